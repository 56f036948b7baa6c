"""All rows of configuration mode in the order that running-config prints them, compiled by mode."""

from __future__ import annotations

from ikescope.ios import configuration_access as access
from ikescope.ios import configuration_ikev2 as ikev2
from ikescope.ios import configuration_interface as interface
from ikescope.ios import configuration_ipsec as ipsec
from ikescope.ios import configuration_logging as logging
from ikescope.ios import configuration_routing as routing
from ikescope.ios import configuration_vrf as vrf
from ikescope.ios.grammar import Row, Table
from ikescope.ios.grammar_help import WORDS

ROWS: dict[str, tuple[Row, ...]] = {
    "global": (
        *routing.GLOBAL_ROWS_FIRST,
        *logging.GLOBAL_ROWS,
        *access.GLOBAL_ROWS_FIRST,
        *vrf.GLOBAL_ROWS,
        *ikev2.GLOBAL_ROWS,
        *ipsec.GLOBAL_ROWS,
        *interface.GLOBAL_ROWS,
        *routing.GLOBAL_ROWS_LAST,
        *access.GLOBAL_ROWS_LAST,
    ),
    "proposal": ikev2.PROPOSAL_ROWS,
    "policy": ikev2.POLICY_ROWS,
    "keyring": ikev2.KEYRING_ROWS,
    "peer": ikev2.PEER_ROWS,
    "profile": ikev2.PROFILE_ROWS,
    "transform-set": ipsec.TRANSFORM_SET_ROWS,
    "ipsec-profile": ipsec.IPSEC_PROFILE_ROWS,
    "tunnel": interface.TUNNEL_ROWS,
    "interface": interface.INTERFACE_ROWS,
    "vrf": vrf.VRF_ROWS,
    "vrf-family": vrf.VRF_FAMILY_ROWS,
    "access-list": routing.ACCESS_LIST_ROWS,
    "vty": access.VTY_ROWS,
    "pubkey-chain": access.PUBKEY_CHAIN_ROWS,
    "pubkey-user": access.PUBKEY_USER_ROWS,
    "key-string": access.KEY_STRING_ROWS,
}

GRAMMAR: dict[str, Table] = {mode: Table(rows, WORDS) for mode, rows in ROWS.items()}
