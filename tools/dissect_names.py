"""The tables of `tools.dissect`: Wireshark's fields by our names, and when two values are the same."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple

from ikescope.wire import words
from ikescope.wire.registry import HashAlgorithm


class Theirs(NamedTuple):
    """A field of Wireshark's: filter name, value as a filter writes it, line of the tree, octets in hexadecimal."""

    place: str
    at: int
    size: int
    name: str
    show: str
    line: str
    octets: str


Same = Callable[[str, Theirs], bool]
IN_BRACKETS = re.compile(r"\((0x[0-9a-f]+|\d+)\)")
LABELLED = re.compile(r": *(?P<label>.*?) *\(\d+\)$")


def _number(text: str) -> int:
    found = IN_BRACKETS.search(text)
    return int(found[1] if found else text, 0)


def numbers(ours: str, theirs: Theirs) -> bool:
    """The same number, alone or behind its name."""
    return _number(ours) == int(theirs.show, 0)


def octets(ours: str, theirs: Theirs) -> bool:
    """The same octets, in hexadecimal, or as text or address where they are put so."""
    data = bytes.fromhex(theirs.octets)
    return ours in (words.octets(data), words.text_or_octets(data), words.address_or_octets(data))


def shown(ours: str, theirs: Theirs) -> bool:
    """The same text."""
    return ours == theirs.show


def flag(name: str) -> Same:
    """A bit that we name where it is set."""
    return lambda ours, theirs: (name in ours.split()) == (theirs.show in ("1", "True"))


def starts(text: str, otherwise: str) -> Same:
    """A bit that we put into words."""
    return lambda ours, theirs: ours.startswith(text if theirs.show in ("1", "True") else otherwise)


def data(ours: str, theirs: Theirs) -> bool:
    """The data of a notify: octets, or what they mean to us."""
    raw = bytes.fromhex(theirs.octets)
    hashes = (raw[at : at + 2] for at in range(0, len(raw) - 1, 2))
    listed = " ".join(HashAlgorithm.of(int.from_bytes(one, "big")).label for one in hashes)
    return octets(ours, theirs) or ours in (words.number(raw), f"group {words.number(raw)}", listed)


def version(ours: str, theirs: Theirs) -> bool:
    """Major and minor version in one octet, or one of them."""
    number, (major, minor) = int(theirs.show, 0), map(int, ours.split("."))
    return number == {"isakmp.version": major << 4 | minor, "isakmp.mjver": major, "isakmp.mnver": minor}[theirs.name]


def reserved(ours: str, theirs: Theirs) -> bool:
    """The seven bits behind the critical one."""
    return _number(ours) & 0x7F == int(theirs.show, 0)


def form(ours: str, theirs: Theirs) -> bool:
    """Whether a transform attribute is in the short form."""
    return ours.endswith(", type and value") == (theirs.show in ("1", "True"))


def long_form(ours: str, theirs: Theirs) -> bool:
    """A configuration attribute has no short form: the bit is reserved and 0 (RFC 7296 section 3.15.1)."""
    return theirs.show in ("0", "False")


def length(ours: str, theirs: Theirs) -> bool:
    """Their length says it; they show no octets."""
    return True


def value(ours: str, theirs: Theirs) -> bool:
    """A configuration attribute's octets, whatever we make of them; its fields are compared for themselves."""
    return True


#: Wireshark's names of configuration attributes that are one value.
ATTRIBUTES = (
    *("internal_ip4_address", "internal_ip4_netmask", "internal_ip4_dns", "internal_ip4_nbns", "internal_ip4_dhcp"),
    *("internal_ip6_dns", "internal_ip6_dhcp", "p_cscf_ip4_address", "p_cscf_ip6_address", "application_version"),
)
GATEWAYS = ("New Responder GW Identity", "Original Responder GW Identity")
#: Wireshark's field -> our names for it, and when the values are the same.
NAMES: dict[str, tuple[tuple[str, ...], Same]] = {
    "isakmp.ispi": (("IKE SA Initiator's SPI",), octets),
    "isakmp.rspi": (("IKE SA Responder's SPI",), octets),
    "isakmp.nextpayload": (("Next Payload", "Last Substruc"), numbers),
    "isakmp.version": (("Version",), version),
    "isakmp.mjver": (("Version",), version),
    "isakmp.mnver": (("Version",), version),
    "isakmp.exchangetype": (("Exchange Type",), numbers),
    "isakmp.flags": (("Flags",), numbers),
    "isakmp.flag_i": (("Flags",), flag("INITIATOR")),
    "isakmp.flag_v": (("Flags",), flag("VERSION")),
    "isakmp.flag_r": (("Flags",), flag("RESPONSE")),
    "isakmp.messageid": (("Message ID",), numbers),
    "isakmp.length": (("Length",), numbers),
    "isakmp.criticalpayload": (("Critical, RESERVED",), starts("critical", "not critical")),
    "isakmp.reserved7": (("Critical, RESERVED",), reserved),
    "isakmp.payloadlength": (("Payload Length", "Proposal Length", "Transform Length"), numbers),
    "isakmp.reserved": (("RESERVED",), octets),
    "isakmp.prop.number": (("Proposal Num",), numbers),
    "isakmp.prop.protoid": (("Protocol ID",), numbers),
    "isakmp.prop.transforms": (("Num Transforms",), numbers),
    "isakmp.spisize": (("SPI Size",), numbers),
    "isakmp.spi": (("SPI",), octets),
    "isakmp.tf.type": (("Transform Type",), numbers),
    **{f"isakmp.tf.id.{name}": (("Transform ID",), numbers) for name in ("encr", "prf", "integ", "dh", "esn")},
    "isakmp.tf.id": (("Transform ID",), numbers),
    "isakmp.ike2.attr.format": (("Attribute Type",), form),
    "isakmp.ike2.attr.type": (("Attribute Type",), numbers),
    "isakmp.ike2.attr.length": (("Attribute Length",), numbers),
    "isakmp.ike2.attr.value": (("Attribute Value",), data),
    "isakmp.ike2.attr.key_length": (("Attribute Value",), data),
    "isakmp.key_exchange.dh_group": (("Key Exchange Method",), numbers),
    "isakmp.key_exchange.data": (("Key Exchange Data",), octets),
    "isakmp.nonce": (("Nonce Data",), octets),
    "isakmp.notify.protoid": (("Protocol ID",), numbers),
    "isakmp.notify.msgtype": (("Notify Message Type",), numbers),
    "isakmp.notify.data": (("Notification Data",), data),
    "isakmp.datapayload": (("Octets",), octets),
    "isakmp.notify.data.ipcomp.cpi": (("CPI",), numbers),
    "isakmp.notify.data.ipcomp.transform_id": (("Transform ID",), numbers),
    "isakmp.notify.data.auth_lifetime": (("Notification Data",), numbers),
    "isakmp.notify.data.redirect.gw_ident.type": (("GW Ident Type",), numbers),
    "isakmp.notify.data.redirect.gw_ident.len": (("GW Ident Len",), numbers),
    **{
        f"isakmp.notify.data.redirect.{name}": (GATEWAYS, shown)
        for name in ("new_resp_gw_ident.ipv4", "org_resp_gw_ident.ipv4")
    },
    "isakmp.notify.data.redirect.nonce_data": (("Nonce Data",), octets),
    "isakmp.notify.data.ticket_opaque.lifetime": (("Lifetime",), numbers),
    "isakmp.notify.data.ticket_opaque.data": (("Ticket", "Notification Data"), octets),
    "isakmp.notify.data.qcd.token_secret_data": (("Notification Data",), octets),
    "isakmp.notify.data.ha.nonce_data": (("Nonce Data",), octets),
    "isakmp.notify.data.ha.expected_send_req_message_id": (("EXPECTED_SEND_REQ_MESSAGE_ID",), numbers),
    "isakmp.notify.data.ha.expected_recv_req_message_id": (("EXPECTED_RECV_REQ_MESSAGE_ID",), numbers),
    "isakmp.notify.data.ha.incoming_ipsec_sa_delta_value": (("Notification Data",), octets),
    "isakmp.notify.data.secure_password_methods": (("Notification Data",), octets),
    "isakmp.notify.data.signature_hash_algorithms": (("Hash Algorithm",), numbers),
    "isakmp.notify.data.accepted_dh_group": (("Notification Data",), lambda o, t: o == f"group {int(t.show, 0)}"),
    "isakmp.id.type": (("ID Type",), numbers),
    "isakmp.id.data.ipv4_addr": (("Identification Data",), shown),
    "isakmp.id.data.ipv6_addr": (("Identification Data",), shown),
    "isakmp.id.data.fqdn": (("Identification Data",), shown),
    "isakmp.id.data.user_fqdn": (("Identification Data",), shown),
    "isakmp.id.data.key_id": (("Identification Data",), octets),
    "isakmp.auth.method": (("Auth Method",), numbers),
    "isakmp.auth.data": (("Authentication Data",), octets),
    "isakmp.ts.number": (("Number of TSs",), numbers),
    "isakmp.ts.type": (("TS Type",), numbers),
    "isakmp.ts.protoid": (("IP Protocol ID",), numbers),
    "isakmp.ts.selector_length": (("Selector Length",), numbers),
    "isakmp.ts.start_port": (("Start Port",), numbers),
    "isakmp.ts.end_port": (("End Port",), numbers),
    **{f"isakmp.ts.start_{family}": (("Starting Address",), shown) for family in ("ipv4", "ipv6")},
    **{f"isakmp.ts.end_{family}": (("Ending Address",), shown) for family in ("ipv4", "ipv6")},
    "isakmp.delete.protoid": (("Protocol ID",), numbers),
    "isakmp.spinum": (("Num of SPIs",), numbers),
    "isakmp.delete.spi": (("SPI",), octets),
    "isakmp.vid_bytes": (("Vendor ID",), octets),
    "isakmp.cfg.type": (("CFG Type",), numbers),
    "isakmp.cfg.attr.format": (("Attribute Type",), long_form),
    "isakmp.cfg.attr.type": (("Attribute Type",), numbers),
    "isakmp.cfg.attr.length": (("Length",), numbers),
    "isakmp.cfg.attr.value": (("Value",), value),
    **{f"isakmp.cfg.attr.{name}": (("Value",), shown) for name in ATTRIBUTES},
    **{f"isakmp.cfg.attr.{name}": (("Value",), octets) for name in ("unity.banner", "unity.def_domain")},
    "isakmp.cfg.attr.internal_ip6_address": (("Value", "Address"), shown),
    "isakmp.cfg.attr.internal_ip6_address.prefix": (("Prefix Length",), numbers),
    "isakmp.cfg.attr.internal_ip4_subnet_ip": (("Address",), shown),
    "isakmp.cfg.attr.internal_ip4_subnet_netmask": (("Netmask",), shown),
    "isakmp.cfg.attr.internal_ip6_subnet_ip": (("Address",), shown),
    "isakmp.cfg.attr.internal_ip6_subnet_prefix": (("Prefix Length",), numbers),
    "isakmp.cfg.attr.supported_attributes": (("Attribute",), numbers),
    "isakmp.cfg.attr.internal_ip6_link_interface": (("Link-Local Interface ID",), octets),
    "isakmp.cfg.attr.internal_ip6_link_id": (("IKEv2 Link ID",), octets),
    "isakmp.frag.number": (("Fragment Number",), numbers),
    "isakmp.frag.total": (("Total Fragments",), numbers),
    "isakmp.enc.iv": (("Initialization Vector",), octets),
    "isakmp.enc.data": (("Encrypted Data", "IV, ciphertext and ICV"), length),
    "isakmp.enc.icd": (("Integrity Checksum Data",), octets),
    "isakmp.enc.padding": (("Padding",), length),
    "isakmp.enc.pad_length": (("Pad Length",), numbers),
}
#: Wireshark's nodes that stand for what is below them, or are drawn from it, and hold no octet that is not there.
GROUPS = frozenset(
    {
        *("isakmp", "isakmp.ike2.attr", "isakmp.ts.data", "isakmp.id.data", "isakmp.cfg.attr"),
        *("isakmp.enc.decrypted", "isakmp.fragments", "isakmp.fragment", "isakmp.fragment.count"),
        *("isakmp.reassembled.length", "isakmp.reassembled.data", "isakmp.vid_string"),
        "isakmp.enc.contained",
    }
)
#: Wireshark's numbers of what is no payload of its own (RFC 7296 sections 3.3.1 and 3.3.2) -> how our nodes begin.
SUBSTRUCTURES = {2: "Proposal", 3: ""}
#: Names of the same number that differ, ours and Wireshark's.
LABELS: frozenset[tuple[str, str]] = frozenset(
    {
        ("AUTH (39)", "Authentication"),
        ("AUTHORIZATION_FAILED (46)", "CHILD_SA_NOT_FOUND"),
        ("BRAINPOOL_P224R1 (27)", "224-bit Brainpool ECP group"),
        ("BRAINPOOL_P256R1 (28)", "256-bit Brainpool ECP group"),
        ("BRAINPOOL_P384R1 (29)", "384-bit Brainpool ECP group"),
        ("BRAINPOOL_P512R1 (30)", "512-bit Brainpool ECP group"),
        ("CP (47)", "Configuration"),
        ("CURVE25519 (31)", "Curve25519"),
        ("CURVE448 (32)", "Curve448"),
        ("DELETE (42)", "Delete"),
        ("DSS_DIGITAL_SIGNATURE (3)", "DSS Digital Signature"),
        ("ECDSA_SHA256_P256 (9)", "ECDSA with SHA-256 on the P-256 curve"),
        ("ECDSA_SHA384_P384 (10)", "ECDSA with SHA-384 on the P-384 curve"),
        ("ECDSA_SHA512_P521 (11)", "ECDSA with SHA-512 on the P-521 curve"),
        ("ECP_192 (25)", "192-bit Random ECP Group"),
        ("ECP_224 (26)", "224-bit Random ECP Group"),
        ("ECP_256 (19)", "256-bit random ECP group"),
        ("ECP_384 (20)", "384-bit random ECP group"),
        ("ECP_521 (21)", "521-bit random ECP group"),
        ("ENCR (1)", "Encryption Algorithm (ENCR)"),
        ("ENCR_AES_CCM_12 (15)", "ENCR-AES-CCM_12"),
        ("ENCR_AES_CCM_16 (16)", "ENCR-AES-CCM_16"),
        ("ENCR_AES_CCM_8 (14)", "ENCR_AES-CCM_8"),
        ("ENCR_AES_GCM_12 (19)", "AES-GCM with a 12 octet ICV"),
        ("ENCR_AES_GCM_16 (20)", "AES-GCM with a 16 octet ICV"),
        ("ENCR_AES_GCM_8 (18)", "AES-GCM with a 8 octet ICV"),
        ("ENCR_CAMELLIA_CCM_12 (26)", "ENCR_CAMELLIA_CCM with a 12-octet ICV"),
        ("ENCR_CAMELLIA_CCM_16 (27)", "ENCR_CAMELLIA_CCM with a 16-octet ICV"),
        ("ENCR_CAMELLIA_CCM_8 (25)", "ENCR_CAMELLIA_CCM with an 8-octet ICV"),
        ("ENCR_NONE (0)", "RESERVED"),
        ("ENCR_XTS_AES (22)", "Reserved for IEEE P1619 XTS-AES"),
        ("ESN (1)", "Extended Sequence Numbers"),
        ("ESN (5)", "Extended Sequence Numbers (ESN)"),
        ("GENERIC_SECURE_PASSWORD (12)", "Generic Secure Password Authentication Method"),
        ("IDENTITY (5)", "Identity"),
        ("IDI (35)", "Identification - Initiator"),
        ("IDR (36)", "Identification - Responder"),
        ("ID_FQDN (2)", "FQDN"),
        ("ID_IPV4_ADDR (1)", "IPV4_ADDR"),
        ("ID_IPV6_ADDR (5)", "IPV6_ADDR"),
        ("ID_KEY_ID (11)", "KEY_ID"),
        ("INTEG (3)", "Integrity Algorithm (INTEG)"),
        ("KE (34)", "Key Exchange"),
        ("KE (4)", "Diffie-Hellman Group (D-H)"),
        ("KEY_LENGTH (14)", "Key Length"),
        ("MODP_1024 (2)", "Alternate 1024-bit MODP group"),
        ("MODP_1024_160 (22)", "1024-bit MODP Group with 160-bit Prime Order Subgroup"),
        ("MODP_1536 (5)", "1536 bit MODP group"),
        ("MODP_2048 (14)", "2048 bit MODP group"),
        ("MODP_2048_224 (23)", "2048-bit MODP Group with 224-bit Prime Order Subgroup"),
        ("MODP_2048_256 (24)", "2048-bit MODP Group with 256-bit Prime Order Subgroup"),
        ("MODP_3072 (15)", "3072 bit MODP group"),
        ("MODP_4096 (16)", "4096 bit MODP group"),
        ("MODP_6144 (17)", "6144 bit MODP group"),
        ("MODP_768 (1)", "Default 768-bit MODP group"),
        ("MODP_8192 (18)", "8192 bit MODP group"),
        ("NONCE (40)", "Nonce"),
        ("NONE (0)", "RESERVED"),
        ("NONE (0)", "UNDEFINED - 0"),
        ("NOTIFY (41)", "Notify"),
        ("NOTIFY_9000 (9000)", "NON_3GPP_ACCESS_TO_EPC_NOT_ALLOWED"),
        ("NO_ESN (0)", "No Extended Sequence Numbers"),
        ("NO_NEXT (0)", "NONE / No Next Payload"),
        ("NULL_AUTHENTICATION (13)", "NULL Authentication"),
        ("PRF (2)", "Pseudo-random Function (PRF)"),
        ("PRF_AES128_CMAC (8)", "PRF_AES128_CMAC6"),
        ("PRF_AES128_XCBC (4)", "PRF_AES128_CBC"),
        ("PRF_NONE (0)", "RESERVED"),
        ("RSA_DIGITAL_SIGNATURE (1)", "RSA Digital Signature"),
        ("SA (33)", "Security Association"),
        ("SHA2_256 (2)", "SHA2-256"),
        ("SHA2_384 (3)", "SHA2-384"),
        ("SHA2_512 (4)", "SHA2-512"),
        ("SHARED_KEY_MIC (2)", "Shared Key Message Integrity Code"),
        ("SK (46)", "Encrypted and Authenticated"),
        ("SKF (53)", "Encrypted and Authenticated Fragment"),
        ("TSI (44)", "Traffic Selector - Initiator"),
        ("TSR (45)", "Traffic Selector - Responder"),
        ("USE_ASSIGNED_HOA (42)", "USE_ASSIGNED_HoA"),
        ("VENDOR (43)", "Vendor ID"),
    }
)
#: What Wireshark 4.0 says of a number that it has no name for.
NAMELESS = ("reserved to iana", "private use", "unknown", "unused")
#: Wireshark's fields that we do not tell apart, and why.
EXPLAINED = {"isakmp.notify.data.rohc.": "RFC 5857: the octets are shown, header compression is nothing of ours"}
#: Ours that Wireshark does not show, and why.
SEALED = "IV, ciphertext and ICV"
ALONE = {
    "Part of the payloads": "Wireshark shows its octets, without a field",
    SEALED: "without its keys nobody knows how long IV and ICV are",
}
#: What Wireshark says of an Encrypted payload without its keys: it takes the IV for 4 octets.
GUESSED = frozenset({"isakmp.enc.iv", "isakmp.enc.data"})
