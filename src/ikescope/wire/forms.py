"""Data that has fields of its own: notifies and configuration attributes, where their RFCs lay them out."""

from __future__ import annotations

from ikescope.wire import words
from ikescope.wire.registry import CpAttribute, HashAlgorithm, NotifyType

#: Name, octets (0: all that is left) and words of each field, in order.
Form = tuple[tuple[str, int, words.Words], ...]
#: Octets, name and words of each entry of a list that fills the data.
List = tuple[int, str, words.Words]

_GATEWAY: Form = (("GW Ident Type", 1, words.number), ("GW Ident Len", 1, words.number))

#: Notifies whose data is more than a number or octets.
NOTIFY_FORMS: dict[int, Form] = {
    NotifyType.IPCOMP_SUPPORTED: (("CPI", 2, words.number), ("Transform ID", 1, words.number)),  # RFC 7296 3.10.1
    NotifyType.TICKET_LT_OPAQUE: (("Lifetime", 4, words.number), ("Ticket", 0, words.octets)),  # RFC 5723 7.1
    NotifyType.IKEV2_MESSAGE_ID_SYNC: (  # RFC 6311 section 8.2
        ("Nonce Data", 4, words.octets),
        ("EXPECTED_SEND_REQ_MESSAGE_ID", 4, words.number),
        ("EXPECTED_RECV_REQ_MESSAGE_ID", 4, words.number),
    ),
}
#: Notifies that name a gateway by length (RFC 5685 sections 6.2 and 6.3): its identity, then what is left.
NOTIFY_GATEWAYS: dict[int, Form] = {
    NotifyType.REDIRECT: (*_GATEWAY, ("New Responder GW Identity", 0, words.address_or_octets)),
    NotifyType.REDIRECTED_FROM: (*_GATEWAY, ("Original Responder GW Identity", 0, words.address_or_octets)),
}
#: Notifies whose data is a list.
NOTIFY_LISTS: dict[int, List] = {
    NotifyType.SIGNATURE_HASH_ALGORITHMS: (2, "Hash Algorithm", words.named(HashAlgorithm)),  # RFC 7427 section 4
}

_ADDRESS4: Form = (("Value", 4, words.address_or_octets),)
_ADDRESS6: Form = (("Value", 16, words.address_or_octets),)
_PREFIX6: Form = (("Address", 16, words.address_or_octets), ("Prefix Length", 1, words.number))

#: Configuration attributes by their value (RFC 7296 section 3.15.1, RFC 5739 section 3); empty in a request.
ATTRIBUTE_FORMS: dict[int, Form] = {
    CpAttribute.INTERNAL_IP4_ADDRESS: _ADDRESS4,
    CpAttribute.INTERNAL_IP4_NETMASK: _ADDRESS4,
    CpAttribute.INTERNAL_IP4_DNS: _ADDRESS4,
    CpAttribute.INTERNAL_IP4_NBNS: _ADDRESS4,
    CpAttribute.INTERNAL_IP4_DHCP: _ADDRESS4,
    CpAttribute.P_CSCF_IP4_ADDRESS: _ADDRESS4,
    CpAttribute.INTERNAL_IP6_ADDRESS: _PREFIX6,
    CpAttribute.INTERNAL_IP6_DNS: _ADDRESS6,
    CpAttribute.INTERNAL_IP6_DHCP: _ADDRESS6,
    CpAttribute.P_CSCF_IP6_ADDRESS: _ADDRESS6,
    CpAttribute.INTERNAL_IP4_SUBNET: (
        ("Address", 4, words.address_or_octets),
        ("Netmask", 4, words.address_or_octets),
    ),
    CpAttribute.INTERNAL_IP6_SUBNET: _PREFIX6,
    CpAttribute.INTERNAL_IP6_PREFIX: _PREFIX6,
    CpAttribute.INTERNAL_IP6_LINK: (("Link-Local Interface ID", 8, words.octets), ("IKEv2 Link ID", 0, words.octets)),
}
ATTRIBUTE_LISTS: dict[int, List] = {
    CpAttribute.SUPPORTED_ATTRIBUTES: (2, "Attribute", words.named(CpAttribute)),
}


def fits(form: Form, data: bytes) -> bool:
    """Whether data can be laid out so."""
    fixed = sum(size for _, size, _ in form)
    return len(data) == fixed or (len(data) > fixed and not all(size for _, size, _ in form))


def gateway(form: Form, data: bytes) -> Form | None:
    """The form of a notify that names a gateway, its identity as long as the data says; None where it is not."""
    if len(data) < 2 or len(data) < 2 + data[1]:
        return None
    name, _, say = form[2]
    rest: Form = (("Nonce Data", len(data) - 2 - data[1], words.octets),)
    identity: Form = ((name, data[1], say),) if data[1] else ()
    return (*form[:2], *identity, *(rest if rest[0][1] else ()))
