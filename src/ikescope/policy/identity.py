"""Identities: as they stand on the wire, as an operator writes them, and whether a profile's match admits one."""

from __future__ import annotations

from ipaddress import AddressValueError, IPv4Address, IPv6Address

from ikescope.config.model import Address, Identity, IdentityMatch, Profile
from ikescope.errors import LocalError, PeerError
from ikescope.wire.registry import IdType, NotifyType

_HEX = "0x"
_ADDRESS_OCTETS: dict[int, int] = {IdType.ID_IPV4_ADDR: 4, IdType.ID_IPV6_ADDR: 16}
_NAME_ENCODINGS: dict[int, str] = {IdType.ID_FQDN: "ascii", IdType.ID_RFC822_ADDR: "utf-8"}
_KIND_TYPES: dict[str, int] = {
    "fqdn": IdType.ID_FQDN,
    "email": IdType.ID_RFC822_ADDR,
    "key-id": IdType.ID_KEY_ID,
}


class IdentityError(PeerError):
    """Identification data that its ID type does not allow (INVALID_SYNTAX)."""

    notify = NotifyType.INVALID_SYNTAX
    section = "RFC 7296 section 3.5"


def of_address(address: Address) -> Identity:
    """The identity that an address is."""
    return Identity(int(IdType.ID_IPV4_ADDR if address.version == 4 else IdType.ID_IPV6_ADDR), str(address))


def local_identity(profile: Profile, local: Address) -> Identity:
    """Who we say we are: `identity local`, by default the local address."""
    return profile.identity_local or of_address(local)


def identity_from_wire(id_type: int, data: bytes) -> Identity:
    """The identity of an IDi or IDr payload; IdentityError where the data does not fit the type.

    Names are text; KEY_ID is text where it is printable ASCII, otherwise hexadecimal after `0x`, and so is every type
    that is not read here (a distinguished name, say).
    """
    octets = _ADDRESS_OCTETS.get(id_type)
    if octets is not None:
        if len(data) != octets:
            raise IdentityError(f"{IdType.of(id_type)} octets: had {len(data)}, wanted {octets}", found=len(data))
        return Identity(int(id_type), str(IPv4Address(data) if octets == 4 else IPv6Address(data)))
    encoding = _NAME_ENCODINGS.get(id_type)
    if encoding is not None:
        return Identity(int(id_type), _name(id_type, data, encoding))
    printable = id_type == IdType.ID_KEY_ID and data.isascii() and data.decode("latin-1").isprintable()
    if printable and not data.startswith(_HEX.encode()):
        return Identity(int(id_type), data.decode("ascii"))
    return Identity(int(id_type), _HEX + data.hex())


def _name(id_type: int, data: bytes, encoding: str) -> str:
    try:
        name = data.decode(encoding)
    except UnicodeDecodeError as error:
        raise IdentityError(f"{IdType.of(id_type)} at offset {error.start}: not {encoding} text") from error
    ##= rfc7296#section-3.5
    ##% The string MUST NOT contain any terminators
    ##% (e.g., NULL, CR, etc.).
    bad = next((at for at, character in enumerate(name) if not character.isprintable()), None)
    if bad is not None:
        raise IdentityError(f"{IdType.of(id_type)} at character {bad}: had {ord(name[bad])}, wanted a printable one")
    return name


def identity_to_wire(identity: Identity) -> tuple[int, bytes]:
    """ID type and identification data; LocalError where the value is not of its type.

    What `identity_from_wire` gives goes back to the same octets.
    """
    octets = _ADDRESS_OCTETS.get(identity.type)
    if octets is not None:
        family = IPv4Address if octets == 4 else IPv6Address
        try:
            return identity.type, family(identity.value).packed
        except AddressValueError as error:
            raise LocalError(f"identity `{identity.value}` is no address; write one such as 192.0.2.1") from error
    encoding = _NAME_ENCODINGS.get(identity.type)
    if encoding is not None:
        try:
            return identity.type, identity.value.encode(encoding)
        except UnicodeEncodeError as error:
            raise LocalError(f"identity `{identity.value}` is not {encoding} text; write its encoded form") from error
    if identity.value.startswith(_HEX):
        try:
            return identity.type, bytes.fromhex(identity.value.removeprefix(_HEX))
        except ValueError:
            return identity.type, identity.value.encode()
    return identity.type, identity.value.encode()


def identity_text(identity: Identity) -> str:
    """An identity for people: `ID_FQDN (2) r1.example.org`."""
    return f"{IdType.of(identity.type)} {identity.value}"


def match_text(match: IdentityMatch) -> str:
    """A `match identity remote` line as IOS writes it, without its first words."""
    if match.kind == "any":
        return "any"
    return " ".join([match.kind, *(["domain"] if match.domain else []), str(match.network or match.value)])


def identity_matches(match: IdentityMatch, identity: Identity) -> bool:
    """Whether one `match identity remote` line, or a keyring's `identity`, admits an identity.

    Names compare without case, `domain` by whole labels (`example.org` admits `r1.example.org`, `a@r1.example.org`).
    """
    if match.kind == "any":
        return True
    if match.kind == "address":
        return _in_network(match, identity)
    if identity.type != _KIND_TYPES[match.kind]:
        return False
    if match.kind == "key-id":
        return identity_to_wire(identity)[1] == identity_to_wire(Identity(identity.type, match.value))[1]
    mine, theirs = match.value.lower().strip("."), identity.value.lower().rstrip(".")
    if not match.domain:
        return theirs == mine
    host = theirs.rpartition("@")[2]
    return host == mine or host.endswith(f".{mine}")


def identity_verdict(match: IdentityMatch, identity: Identity, fits: bool) -> str:
    """Why a line admits an identity, or the first thing that parts the two: its type, then its value."""
    if fits:
        return f"admits {identity_text(identity)}"
    types = tuple(_ADDRESS_OCTETS) if match.kind == "address" else (_KIND_TYPES[match.kind],)
    if identity.type not in types:
        wanted = " or ".join(str(IdType.of(one)) for one in types)
        return f"identity type had {IdType.of(identity.type)}, wanted {wanted}"
    return f"had {identity.value}"


def _in_network(match: IdentityMatch, identity: Identity) -> bool:
    if match.network is None or identity.type not in _ADDRESS_OCTETS:
        return False
    family = IPv4Address if _ADDRESS_OCTETS[identity.type] == 4 else IPv6Address
    try:
        return family(identity.value) in match.network
    except AddressValueError:
        return False
