"""The shows, column for column against small samples of real output."""

from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Address
from typing import Any

import msgspec
import pytest

from ikescope import __version__
from ikescope.config.model import (
    AccessEntry,
    AccessList,
    Dpd,
    Identity,
    IdentityMatch,
    Interface,
    IpsecProfile,
    Policy,
    Profile,
    Proposal,
    Route,
    RouterConfig,
    TransformChoice,
    TransformSet,
    Tunnel,
)
from ikescope.events import SelectorFact
from ikescope.ios import show_ikev2, show_ipsec, show_router, show_session
from ikescope.node.status import ChildSaStatus, Counters, IkeSaStatus, NodeStatus, TunnelStatus

R1, R2 = IPv4Address("10.0.0.1"), IPv4Address("10.0.0.2")
HOST_1, HOST_2 = SelectorFact("10.0.0.1", "10.0.0.1", 47), SelectorFact("10.0.0.2", "10.0.0.2", 47)

IKE = IkeSaStatus(
    id=1,
    session=7,
    state="READY",
    description="Negotiation done",
    local=R1,
    local_port=500,
    remote=R2,
    remote_port=500,
    initiator=True,
    encryption=12,
    key_length=256,
    prf=7,
    integrity=14,
    group=19,
    auth_local=2,
    auth_remote=2,
    lifetime=86400,
    active=735.9,
    rekey_in=80000.0,
    spi_local="a1a2a3a4a5a6a7a8",
    spi_remote="b1b2b3b4b5b6b7b8",
    local_id=Identity(1, "10.0.0.1"),
    remote_id=Identity(1, "10.0.0.2"),
    profile="default",
    local_request_id=2,
    remote_request_id=0,
    local_window=5,
    remote_window=5,
    dpd=Dpd(60, 3, True),
    nat_local=False,
    nat_remote=False,
    encapsulated=False,
    last_heard=1.0,
    children=(1,),
)
CHILD = ChildSaStatus(
    id=1,
    ike=1,
    tunnel="Tunnel0",
    index=0,
    state="installed",
    inbound=0xA54D38A4,
    outbound=0x2E8482F8,
    encryption=12,
    key_length=256,
    integrity=2,
    esn=False,
    group=None,
    transport=True,
    udp=False,
    local_address=R1,
    local_port=500,
    remote_address=R2,
    remote_port=500,
    local=(HOST_1,),
    remote=(HOST_2,),
    lifetime=3600,
    active=363.0,
    remaining=3237.0,
    kilobytes=4608000,
    replay_window=64,
    received=Counters(4, 1024, 0),
    sent=Counters(5, 2048, 1),
)
TUNNEL = TunnelStatus(
    name="Tunnel0",
    up=True,
    admin_down=False,
    addresses=(IPv4Interface("172.16.0.1/30"),),
    source=R1,
    destination=R2,
    mode="gre ip",
    ipsec_profile="default",
    profile="default",
    mtu=1400,
    selectors=(((HOST_1,), (HOST_2,)),),
)
STATUS = NodeStatus(
    hostname="R1",
    uptime=93784.0,
    wall=1795442701.123,
    plane="userland",
    ike=(IKE,),
    children=(CHILD,),
    tunnels=(TUNNEL,),
)
CONFIG = RouterConfig(
    hostname="R1",
    proposals={
        "default": Proposal(
            name="default",
            encryption=(TransformChoice(12, 256),),
            prf=(7, 6),
            integrity=(14, 13),
            groups=(19, 14, 21, 5),
            smart_default=True,
        ),
        "ikev2proposal": Proposal(
            name="ikev2proposal", encryption=(TransformChoice(12, 128),), prf=(2,), integrity=(2,), groups=(16,)
        ),
    },
    policies={
        "default": Policy(name="default", proposals=("default",), smart_default=True),
        "ikev2policy": Policy(name="ikev2policy", proposals=("ikev2proposal",)),
    },
    profiles={
        "ikev2_profile": Profile(
            name="ikev2_profile",
            match_remote=(IdentityMatch(kind="address", network=IPv4Network("10.16.201.0/30")),),
            identity_local=Identity(1, "10.16.201.2"),
            auth_local=2,
            auth_remote=(2,),
            keyring="ikev2_keyring",
        )
    },
    transform_sets={
        "default": TransformSet(
            name="default", encryption=TransformChoice(12, 128), integrity=2, transport=True, smart_default=True
        ),
        "strong": TransformSet(name="strong", encryption=TransformChoice(12, 256), integrity=14),
    },
    ipsec_profiles={"default": IpsecProfile(name="default", transform_sets=("default",), ikev2_profile="default")},
    access_lists={
        "LANS": AccessList(
            name="LANS",
            entries=(
                AccessEntry(
                    permit=True,
                    protocol=0,
                    source=IPv4Network("10.1.0.0/16"),
                    destination=IPv4Network("10.2.0.9/32"),
                ),
            ),
        )
    },
    interfaces={
        "GigabitEthernet1": Interface(name="GigabitEthernet1", addresses=(IPv4Interface("10.0.0.1/24"),)),
        "Loopback0": Interface(name="Loopback0", loopback=True, shutdown=True),
    },
    tunnels={
        "Tunnel0": Tunnel(
            name="Tunnel0",
            addresses=(IPv4Interface("172.16.0.1/30"),),
            source="GigabitEthernet1",
            source_address=R1,
            destination=R2,
            ipsec_profile="default",
        )
    },
    routes=(
        Route(prefix=IPv4Network("10.2.0.0/16"), interface="Tunnel0"),
        Route(prefix=IPv4Network("0.0.0.0/0"), next_hop=IPv4Address("10.0.0.254")),
    ),
)


def but(thing: Any, **changes: Any) -> Any:
    """The same with other values."""
    return msgspec.structs.replace(thing, **changes)


def columns(line: str) -> list[int]:
    """Where each word of a line begins."""
    return [at for at, letter in enumerate(line) if letter != " " and (at == 0 or line[at - 1] == " ")]


def test_show_crypto_ikev2_sa_has_ios_s_columns() -> None:
    """The table of a real router (IOS-XE 17): header, row, suite and lifetime, blanks at line ends included."""
    assert show_ikev2.ikev2_sa(STATUS, CONFIG) == [
        " IPv4 Crypto IKEv2  SA ",
        "",
        "Tunnel-id Local                 Remote                fvrf/ivrf            Status ",
        "1         10.0.0.1/500          10.0.0.2/500          none/none            READY  ",
        "      Encr: AES-CBC, keysize: 256, PRF: SHA512, Hash: SHA512, DH Grp:19, Auth sign: PSK, Auth verify: PSK",
        "      Life/Active Time: 86400/735 sec",
        "",
        " IPv6 Crypto IKEv2  SA ",
        "",
    ]


def test_show_crypto_ikev2_sa_row_stands_under_its_header() -> None:
    """Each word of a row begins where the header's does, as in a sample of a real router."""
    sample = "1         66.66.66.1/500        66.66.66.2/500        none/none            READY  "
    lines = show_ikev2.ikev2_sa(STATUS, CONFIG)
    assert columns(lines[2]) == columns(lines[3]) == columns(sample)


def test_show_crypto_ikev2_sa_detailed_has_ios_s_lines() -> None:
    """The details of a real router's SA, in its order and columns; what we do not do is said so in its words."""
    lines = show_ikev2.ikev2_sa(STATUS, CONFIG, detailed=True)
    assert lines[6:22] == [
        "      CE id: 1001, Session-id: 7",
        "      Local spi: A1A2A3A4A5A6A7A8       Remote spi: B1B2B3B4B5B6B7B8",
        "      Status Description: Negotiation done",
        "      Local id: 10.0.0.1",
        "      Remote id: 10.0.0.2",
        "      Local req msg id:  2              Remote req msg id:  0         ",
        "      Local next msg id: 2              Remote next msg id: 0         ",
        "      Local req queued:  2              Remote req queued:  0         ",
        "      Local window:      5              Remote window:      5         ",
        "      DPD configured for 60 seconds, retry 3",
        "      Fragmentation not  configured.",
        "      Dynamic Route Update: disabled",
        "      Extended Authentication not configured.",
        "      NAT-T is not detected  ",
        "      Cisco Trust Security SGT is disabled",
        "      Initiator of SA : Yes",
    ]


def test_an_ike_sa_in_negotiation_says_what_is_not_known_yet() -> None:
    """Before IKE_SA_INIT is answered there is no suite: IOS prints Unknown - 0."""
    young = but(IKE, state="IN-NEG", encryption=None, key_length=None, prf=None, integrity=None, group=None)
    young = but(young, auth_local=None, auth_remote=None)
    assert show_ikev2.suite(young) == (
        "Encr: Unknown - 0, PRF: Unknown - 0, Hash: None, DH Grp:0, Auth sign: Unknown - 0, Auth verify: Unknown - 0"
    )


def test_an_aead_has_no_hash() -> None:
    """AES-GCM prints `Hash: None`, as in a sample of a real router."""
    assert show_ikev2.suite(but(IKE, encryption=20, prf=6, integrity=None, group=20)) == (
        "Encr: AES-GCM, keysize: 256, PRF: SHA384, Hash: None, DH Grp:20, Auth sign: PSK, Auth verify: PSK"
    )


def test_no_ike_sa_prints_nothing() -> None:
    """`show crypto ikev2 sa` on a router without IKE SAs is empty."""
    assert show_ikev2.ikev2_sa(but(STATUS, ike=()), CONFIG) == []


def test_an_ipv6_ike_sa_has_its_own_table() -> None:
    """Addresses of IPv6 have lines of their own, in capitals."""
    six = but(IKE, local=IPv6Address("2001:db8::1"), remote=IPv6Address("2001:db8::2"))
    lines = show_ikev2.ikev2_sa(but(STATUS, ike=(six,)), CONFIG)
    assert lines[:8] == [
        " IPv4 Crypto IKEv2  SA ",
        "",
        " IPv6 Crypto IKEv2  SA ",
        "",
        "Tunnel-id    fvrf/ivrf              Status ",
        "1          none/none             READY  ",
        "Local  2001:DB8::1/500 ",
        "Remote  2001:DB8::2/500 ",
    ]


def test_show_crypto_ikev2_proposal_is_ios_s() -> None:
    """The proposals of a real router of the nine-transform generation."""
    assert show_ikev2.ikev2_proposal(CONFIG) == [
        " IKEv2 proposal: default ",
        "     Encryption : AES-CBC-256",
        "     Integrity  : SHA512 SHA384",
        "     PRF        : SHA512 SHA384",
        "     DH Group   : DH_GROUP_256_ECP/Group 19 DH_GROUP_2048_MODP/Group 14 DH_GROUP_521_ECP/Group 21 "
        "DH_GROUP_1536_MODP/Group 5",
        " IKEv2 proposal: ikev2proposal ",
        "     Encryption : AES-CBC-128",
        "     Integrity  : SHA96",
        "     PRF        : SHA1",
        "     DH Group   : DH_GROUP_4096_MODP/Group 16",
    ]
    assert len(show_ikev2.ikev2_proposal(CONFIG, "default")) == 5


def test_show_crypto_ikev2_policy_is_ios_s() -> None:
    """The policies of a real router: the default one has one blank fewer."""
    assert [line.rstrip() for line in show_ikev2.ikev2_policy(CONFIG)] == [
        " IKEv2 policy : default",
        "      Match fvrf : any",
        "      Match address local : any",
        "      Proposal    : default",
        "",
        " IKEv2 policy : ikev2policy",
        "      Match fvrf  : global",
        "      Match address local : any",
        "      Proposal    : ikev2proposal",
        "",
    ]


def test_show_crypto_ikev2_profile_is_ios_s() -> None:
    """The profile of a real router."""
    assert show_ikev2.ikev2_profile(CONFIG)[:17] == [
        "IKEv2 profile: ikev2_profile",
        " Shutdown : No",
        " Match criteria: ",
        "  Fvrf: global",
        "  Local address/interface: none",
        "  Identities: ",
        "   address 10.16.201.0 255.255.255.252",
        "  Certificate maps: none",
        " Local identity: address 10.16.201.2",
        " Remote identity: none",
        " Local authentication method: pre-share",
        " Remote authentication method(s): pre-share",
        " EAP options: none",
        " Keyring: ikev2_keyring",
        " Trustpoint(s): none",
        " Lifetime: 86400 seconds",
        " DPD: disabled",
    ]


def test_show_crypto_ikev2_stats_counts_sas_by_role() -> None:
    """Counts by role and state, under the limits."""
    lines = show_ikev2.ikev2_stats(STATUS, CONFIG)
    sample = "System Resource Limit:   0        Max IKEv2 SAs: 0        Max in nego(in/out): 40/400"
    assert lines[3] == sample
    assert lines[5] == "Total outgoing IKEv2 SA Count:    1        active:        1        negotiating: 0     "


def test_show_crypto_ipsec_sa_has_ios_s_block() -> None:
    """The whole block of a real router's tunnel, indented as there."""
    assert show_ipsec.ipsec_sa(STATUS, CONFIG) == [
        "interface: Tunnel0",
        "    Crypto map tag: Tunnel0-head-0, local addr 10.0.0.1",
        "",
        "   protected vrf: (none)",
        "   local  ident (addr/mask/prot/port): (10.0.0.1/255.255.255.255/47/0)",
        "   remote ident (addr/mask/prot/port): (10.0.0.2/255.255.255.255/47/0)",
        "   current_peer 10.0.0.2 port 500",
        "     PERMIT, flags={origin_is_acl,}",
        "    #pkts encaps: 5, #pkts encrypt: 5, #pkts digest: 5",
        "    #pkts decaps: 4, #pkts decrypt: 4, #pkts verify: 4",
        "    #pkts compressed: 0, #pkts decompressed: 0",
        "    #pkts not compressed: 0, #pkts compr. failed: 0",
        "    #pkts not decompressed: 0, #pkts decompress failed: 0",
        "    #send errors 1, #recv errors 0",
        "",
        "     local crypto endpt.: 10.0.0.1, remote crypto endpt.: 10.0.0.2",
        "     plaintext mtu 1438, path mtu 1500, ip mtu 1500, ip mtu idb GigabitEthernet1",
        "     current outbound spi: 0x2E8482F8(780436216)",
        "     PFS (Y/N): N, DH group: none",
        "",
        "     inbound esp sas:",
        "      spi: 0xA54D38A4(2773301412)",
        "        transform: esp-256-aes esp-sha-hmac ,",
        "        in use settings ={Transport, }",
        "        conn id: 1, flow_id: SW:1, sibling_flags 80000000, crypto map: Tunnel0-head-0",
        "        sa timing: remaining key lifetime (k/sec): (4607999/3237)",
        "        IV size: 16 bytes",
        "        replay detection support: Y  replay window size: 64",
        "        Status: ACTIVE(ACTIVE)",
        "",
        "     inbound ah sas:",
        "",
        "     inbound pcp sas:",
        "",
        "     outbound esp sas:",
        "      spi: 0x2E8482F8(780436216)",
        "        transform: esp-256-aes esp-sha-hmac ,",
        "        in use settings ={Transport, }",
        "        conn id: 2, flow_id: SW:2, sibling_flags 80000000, crypto map: Tunnel0-head-0",
        "        sa timing: remaining key lifetime (k/sec): (4607998/3237)",
        "        IV size: 16 bytes",
        "        replay detection support: Y  replay window size: 64",
        "        Status: ACTIVE(ACTIVE)",
        "",
        "     outbound ah sas:",
        "",
        "     outbound pcp sas:",
        "",
    ]


def test_the_plaintext_mtu_is_a_real_router_s() -> None:
    """esp-256-aes esp-sha256-hmac in tunnel mode over 1500 leaves 1438, as on a real router."""
    lines = show_ipsec.ipsec_sa(but(STATUS, children=(but(CHILD, integrity=12, transport=False),)), CONFIG)
    assert any(line.startswith("     plaintext mtu 1438, path mtu 1500") for line in lines)


def test_a_tunnel_without_child_sa_shows_an_spi_of_zero() -> None:
    """A flow that has no SA yet keeps its place, with no ESP SAs under it."""
    lines = show_ipsec.ipsec_sa(but(STATUS, children=(), ike=()), CONFIG)
    assert "     current outbound spi: 0x0(0)" in lines
    assert not any("transform:" in line for line in lines)


def test_both_child_sas_of_a_rekey_stand_in_one_flow() -> None:
    """While old and new live side by side the newest is the outbound one, and both are listed, PFS and NAT-T named."""
    new = but(CHILD, id=2, inbound=0x11, outbound=0x22, group=19, udp=True, kilobytes=None)
    lines = show_ipsec.ipsec_sa(but(STATUS, children=(CHILD, new)), CONFIG)
    assert "     current outbound spi: 0x22(34)" in lines
    assert "     PFS (Y/N): Y, DH group: group19" in lines
    assert sum(line.startswith("      spi: ") for line in lines) == 4
    assert "        in use settings ={Transport UDP-Encaps, }" in lines
    assert "        Kilobyte Volume Rekey has been disabled" in lines
    assert lines.count("interface: Tunnel0") == 1


@pytest.mark.parametrize(("interface", "blocks"), [("Tunnel0", 1), ("Tunnel9", 0), (None, 1)])
def test_show_crypto_ipsec_sa_of_one_interface(interface: str | None, blocks: int) -> None:
    """`interface` and `peer` leave the others out."""
    assert len([1 for line in show_ipsec.ipsec_sa(STATUS, CONFIG, interface) if line.startswith("interface")]) == blocks
    assert show_ipsec.ipsec_sa(STATUS, CONFIG, peer=R1) == []


def test_show_crypto_ipsec_profile_and_transform_set_are_ios_s() -> None:
    """The default profile and transform set as a real router shows them."""
    assert show_ipsec.ipsec_profile(CONFIG) == [
        "IPSEC profile default",
        "\tIKEv2 Profile: default",
        "\tSecurity association lifetime: 4608000 kilobytes/3600 seconds",
        "\tDualstack (Y/N): N",
        "\tResponder-Only (Y/N): N",
        "\tPFS (Y/N): N",
        "\tMixed-mode : Disabled",
        "\tTransform sets={ ",
        "\t\tdefault:  { esp-aes esp-sha-hmac  } , ",
        "\t}",
        "",
    ]
    assert show_ipsec.transform_sets(CONFIG) == [
        "Transform set default: { esp-aes esp-sha-hmac  } ",
        "   will negotiate = { Transport,  }, ",
        "   ",
        "Transform set strong: { esp-256-aes esp-sha512-hmac  } ",
        "   will negotiate = { Tunnel,  }, ",
        "   ",
    ]


def test_show_crypto_session_is_ios_s() -> None:
    """The block of a real router's tunnel, with IKEv2."""
    assert show_session.session(STATUS, CONFIG) == [
        "Crypto session current status",
        "",
        "Interface: Tunnel0",
        "Profile: default",
        "Session status: UP-ACTIVE     ",
        "Peer: 10.0.0.2 port 500 ",
        "  Session ID: 7  ",
        "  IKEv2 SA: local 10.0.0.1/500 remote 10.0.0.2/500 Active ",
        "  IPSEC FLOW: permit 47 host 10.0.0.1 host 10.0.0.2 ",
        "        Active SAs: 2, origin: crypto map",
        "",
    ]


def test_show_crypto_session_detail_is_ios_s() -> None:
    """The detailed block of a real router's tunnel: legend, uptime, identity, capabilities, traffic."""
    lines = show_session.session(STATUS, CONFIG, detail=True)
    assert lines[2] == "Code: C - IKE Configuration mode, D - Dead Peer Detection     "
    assert lines[8:] == [
        "Interface: Tunnel0",
        "Profile: default",
        "Uptime: 00:12:15",
        "Session status: UP-ACTIVE     ",
        "Peer: 10.0.0.2 port 500 fvrf: (none) ivrf: (none)",
        "      Phase1_id: 10.0.0.2",
        "      Desc: (none)",
        "  Session ID: 7  ",
        "  IKEv2 SA: local 10.0.0.1/500 remote 10.0.0.2/500 Active ",
        "          Capabilities:D connid:1 lifetime:23:47:44",
        "  IPSEC FLOW: permit 47 host 10.0.0.1 host 10.0.0.2 ",
        "        Active SAs: 2, origin: crypto map",
        "        Inbound:  #pkts dec'ed 4 drop 0 life (KB/Sec) 4607999/3237",
        "        Outbound: #pkts enc'ed 5 drop 1 life (KB/Sec) 4607998/3237",
        "",
    ]


@pytest.mark.parametrize(
    ("ike", "children", "word"),
    [
        ((IKE,), (CHILD,), "UP-ACTIVE"),
        ((IKE,), (), "UP-IDLE"),
        ((but(IKE, state="IN-NEG"),), (), "DOWN-NEGOTIATING"),
        ((), (CHILD,), "UP-NO-IKE"),
        ((), (), "DOWN"),
    ],
)
def test_a_session_s_state_is_what_its_sas_make_it(
    ike: tuple[IkeSaStatus, ...], children: tuple[ChildSaStatus, ...], word: str
) -> None:
    """The five words of `Session status`."""
    assert show_session.state(ike, children) == word


def test_a_selector_of_everything_is_a_permit_ip() -> None:
    """A static VTI's flow has addresses with masks, as on a real router."""
    every = SelectorFact("0.0.0.0", "255.255.255.255")
    child = but(CHILD, local=(every,), remote=(every,), transport=False)
    status = but(STATUS, children=(child,), tunnels=(but(TUNNEL, selectors=(((every,), (every,)),)),))
    lines = show_session.session(status, CONFIG)
    assert "  IPSEC FLOW: permit ip 0.0.0.0/0.0.0.0 0.0.0.0/0.0.0.0 " in lines


def test_show_ip_route_has_connected_local_and_static_routes() -> None:
    """Routes under their classful network, as IOS lists them, and the gateway of last resort."""
    lines = show_router.ip_route(STATUS, CONFIG)
    assert lines[4:] == [
        "Gateway of last resort is 10.0.0.254 to network 0.0.0.0",
        "",
        "S*    0.0.0.0/0 [1/0] via 10.0.0.254",
        "      10.0.0.0/8 is variably subnetted, 3 subnets, 3 masks",
        "C        10.0.0.0/24 is directly connected, GigabitEthernet1",
        "L        10.0.0.1/32 is directly connected, GigabitEthernet1",
        "S        10.2.0.0/16 is directly connected, Tunnel0",
        "      172.16.0.0/16 is variably subnetted, 2 subnets, 2 masks",
        "C        172.16.0.0/30 is directly connected, Tunnel0",
        "L        172.16.0.1/32 is directly connected, Tunnel0",
    ]


def test_routes_through_a_tunnel_that_is_down_are_not_there() -> None:
    """A static or connected route lives as long as its interface's line protocol."""
    down = but(STATUS, tunnels=(but(TUNNEL, up=False),))
    assert not any("Tunnel0" in line for line in show_router.ip_route(down, CONFIG))


def test_show_ip_interface_brief_has_ios_s_columns() -> None:
    """Names, addresses and states under their headers."""
    lines = show_router.ip_interface_brief(STATUS, CONFIG)
    assert lines == [
        "Interface              IP-Address      OK? Method Status                Protocol",
        "GigabitEthernet1       10.0.0.1        YES NVRAM  up                    up      ",
        "Loopback0              unassigned      YES unset  administratively down down    ",
        "Tunnel0                172.16.0.1      YES NVRAM  up                    up      ",
    ]
    assert columns(lines[0]) == columns(lines[1]) == columns(lines[3])


def test_show_interfaces_tells_of_a_tunnel_s_protection() -> None:
    """A tunnel shows its ends, its transport and its IPsec profile."""
    assert show_router.interfaces(STATUS, CONFIG, "Tunnel0") == [
        "Tunnel0 is up, line protocol is up ",
        "  Hardware is Tunnel",
        "  Internet address is 172.16.0.1/30",
        "  MTU 1400 bytes",
        "  Tunnel source 10.0.0.1 (GigabitEthernet1), destination 10.0.0.2",
        "  Tunnel protocol/transport GRE/IP",
        '  Tunnel protection via IPSec (profile "default")',
    ]


def test_show_access_lists_is_ios_s() -> None:
    """Entries are numbered in tens and have wildcard masks."""
    assert show_router.access_lists(CONFIG) == [
        "Extended IP access list LANS",
        "    10 permit ip 10.1.0.0 0.0.255.255 host 10.2.0.9",
    ]


def test_show_version_names_ikescope_and_no_other_maker_s_software() -> None:
    """The router says what it is."""
    lines = show_router.version(STATUS, CONFIG)
    assert lines[0] == f"ikescope, Version {__version__}"
    assert "not Cisco software" in lines[1]
    assert "R1 uptime is 1 day, 2 hours, 3 minutes" in lines


def test_show_debugging_and_clock() -> None:
    """What is switched on, nothing where nothing is; the time in IOS's form."""
    assert show_router.debugging(["default"]) == ["IKEV2:", "  IKEv2 default debugging is on", ""]
    assert show_router.debugging([]) == []
    assert show_router.clock(STATUS.wall) == ["*14:05:01.123 UTC Mon Nov 23 2026"]
