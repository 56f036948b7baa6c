"""What the fields of the catalogue's templates hold, each both ways: fact to text, text to fact."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ikescope.events import UNSET, AttributeFact, Event, IdentityFact, ProposalFact, Stamp, TransformFact
from ikescope.events.message import DropTrigger
from ikescope.ios import words
from ikescope.ios.catalogue import Facts, Field, Items
from ikescope.wire.registry.identity import IdType
from ikescope.wire.registry.message import ExchangeType, ProtocolId
from ikescope.wire.registry.transform import TransformType

ADDRESS = r"\S+"
ZERO_SPI = "0" * 16


def _there(value: object) -> bool:
    return value is not UNSET and value is not None


def text_field(name: str, pattern: str = r".+?") -> Field:
    """A fact that is text."""

    def render(event: Event, _: Stamp) -> str | None:
        value = getattr(event, name)
        return str(value) if _there(value) else None

    def read(text: str, facts: Facts, _: Facts) -> None:
        facts[name] = text

    return Field(pattern, render, read)


def _address(name: str) -> Field:
    def render(event: Event, _: Stamp) -> str | None:
        value = getattr(event, name)
        return words.address(value) if _there(value) else None

    def read(text: str, facts: Facts, _: Facts) -> None:
        facts[name] = text.lower()

    return Field(ADDRESS, render, read)


def _mapped(name: str, to_text: Callable[[int], str], to_number: Callable[[str], int | None], pattern: str) -> Field:
    def render(event: Event, _: Stamp) -> str | None:
        value = getattr(event, name)
        return to_text(value) if _there(value) else None

    def read(text: str, facts: Facts, _: Facts) -> None:
        number = to_number(text)
        if number is not None:
            facts[name] = number

    return Field(pattern, render, read)


def _number(name: str) -> Field:
    return _mapped(name, lambda value: f"{value:g}", int, r"\d+")


def _identity(name: str) -> Field:
    """The value of an identity; its type is UNSET until the `type` field of the same text says it."""

    def render(event: Event, _: Stamp) -> str | None:
        value = getattr(event, name)
        return words.identity(value) if _there(value) else None

    def read(text: str, facts: Facts, _: Facts) -> None:
        kind: Any = facts.pop(f"{name}.type", _type_by_form(text))
        facts[name] = IdentityFact(kind, text.lower() if kind == IdType.ID_IPV6_ADDR else text)

    return Field(r".+?", render, read)


def _type_by_form(text: str) -> Any:
    """An address says its own type; of a name the text does not tell whether it is an FQDN or a key ID."""
    if ":" in text and "@" not in text:
        return int(IdType.ID_IPV6_ADDR)
    return int(IdType.ID_IPV4_ADDR) if text.count(".") == 3 and text.replace(".", "").isdigit() else UNSET


def _identity_type(name: str) -> Field:
    def render(event: Event, _: Stamp) -> str | None:
        value = getattr(event, name)
        return words.id_type(value.type) if _there(value) else None

    def read(text: str, facts: Facts, _: Facts) -> None:
        number = words.id_type_number(text)
        held = facts.get(name)
        if number is None:
            return
        if held is None:
            facts[f"{name}.type"] = number
        else:
            facts[name] = IdentityFact(number, held.value)

    return Field(r".+?", render, read)


def _stamp_spi(name: str) -> Field:
    def render(event: Event, stamp: Stamp) -> str | None:
        value = getattr(stamp, name)
        if _there(value):
            return str(value).upper()
        # Before the responder has answered there is none, and zeros stand for it.
        first = name == "spi_r" and getattr(event, "exchange", UNSET) == ExchangeType.IKE_SA_INIT
        return ZERO_SPI if first else None

    def read(text: str, _: Facts, stamp: Facts) -> None:
        if text != ZERO_SPI:
            stamp[name] = text.lower()

    return Field(r"[0-9A-Fa-f]{16}", render, read)


def _message_id() -> Field:
    def render(_: Event, stamp: Stamp) -> str | None:
        return str(stamp.message_id) if _there(stamp.message_id) else None

    def read(text: str, _: Facts, stamp: Facts) -> None:
        stamp["message_id"] = int(text)

    return Field(r"\d+", render, read)


def _endpoint(name: str, stamp_name: str) -> Field:
    def render(event: Event, _: Stamp) -> str | None:
        value = getattr(event, name)
        return words.address(value) if _there(value) else None

    def read(text: str, facts: Facts, stamp: Facts) -> None:
        facts[name] = stamp[stamp_name] = text.lower()

    return Field(ADDRESS, render, read)


def _direction() -> Field:
    def render(event: Any, _: Stamp) -> str | None:
        return {True: "RESPONSE", False: "REQUEST"}.get(event.response)

    def read(text: str, facts: Facts, _: Facts) -> None:
        facts["response"] = text == "RESPONSE"

    return Field("REQUEST|RESPONSE", render, read)


def _payloads(event_inner: bool = False, after: str = "") -> Field:
    """The payloads of a message, `after` each; of a received one those inside the Encrypted payload, as IOS does."""

    def render(event: Any, _: Stamp) -> str | None:
        names = event.inner if event_inner and _there(event.inner) else event.payloads
        if not _there(names):
            return None
        return "".join(f"{name}{after}" for name in names) if after else " ".join(names)

    def read(text: str, facts: Facts, _: Facts) -> None:
        inside = event_inner and facts.get("exchange") != ExchangeType.IKE_SA_INIT
        facts["inner" if inside else "payloads"] = tuple(text.split())

    return Field(r"(?:\S+(?: \S+)*)?", render, read)


SENT_PAYLOADS = _payloads(after=" ")
RECEIVED_PAYLOADS = _payloads(event_inner=True, after=" ")


def _spis(name: str = "spis") -> Field:
    def render(event: Event, _: Stamp) -> str | None:
        value = getattr(event, name)
        return " ".join(f"0x{spi.upper()}" for spi in value) if value else None

    def read(text: str, facts: Facts, _: Facts) -> None:
        facts[name] = tuple(spi.removeprefix("0x").lower() for spi in text.split())

    return Field(r"0x[0-9A-Fa-f]+(?: 0x[0-9A-Fa-f]+)*", render, read)


def _hex(name: str) -> Field:
    def render(event: Event, _: Stamp) -> str | None:
        value = getattr(event, name)
        return str(value).upper() if _there(value) else None

    def read(text: str, facts: Facts, _: Facts) -> None:
        facts[name] = text.lower()

    return Field(r"[0-9A-Fa-f]+", render, read)


def _float_port() -> Field:
    """The initiator's port after the float to 4500: what is behind a NAT may show another."""

    def render(_: Event, stamp: Stamp) -> str:
        if stamp.initiator is False and isinstance(stamp.peer, str):
            port = stamp.peer.rpartition(":")[2]
            return "4500" if port == "500" else port
        return "4500"

    return Field(r"\d+", render, lambda *_: None)


_CONFIG_KIND = {1: "Config-request", 2: "Config-reply", 3: "Config-set", 4: "Config-ack"}
_CONFIG_NUMBER = {text: number for number, text in _CONFIG_KIND.items()}

FIELDS: dict[str, Field] = {
    "keyring": text_field("keyring"),
    "block": text_field("block"),
    "local": _address("local"),
    "searched": _address("peer"),
    "policy": text_field("policy"),
    "profile": text_field("profile"),
    "tunnel": text_field("tunnel"),
    "reason": text_field("reason"),
    "why": text_field("why"),
    "task": text_field("task"),
    "trigger": text_field("trigger", "|".join(DropTrigger)),
    "group": _number("group"),
    "offered_group": _number("offered"),
    "wanted_group": _number("wanted"),
    "octets": _number("octets"),
    "held": _number("held"),
    "total": _number("total"),
    "size_before": _number("before"),
    "size_after": _number("after"),
    "lifetime": _number("lifetime"),
    "index": _number("index"),
    "interval": _number("interval"),
    "seconds": _number("seconds"),
    "key_length": _number("key_length"),
    "notify": _mapped("notify", words.notify, words.notify_number, r"[A-Z0-9_]+"),
    "method": _mapped("method", words.method, words.method_number, r"[\w .-]+"),
    "exchange": _mapped("exchange", words.exchange, words.exchange_number, r"[A-Z0-9_]+"),
    "config_kind": _mapped("kind", lambda n: _CONFIG_KIND.get(n, f"Config-{n}"), _CONFIG_NUMBER.get, r"Config-\w+"),
    "id_kind": text_field("kind", "IDi|IDr"),
    "id": _identity("identity"),
    "id_type": _identity_type("identity"),
    "peer_id": _identity("peer"),
    "local_id": _identity("local"),
    "remote_id": _identity("remote"),
    "spi_i": _stamp_spi("spi_i"),
    "spi_r": _stamp_spi("spi_r"),
    "message_id": _message_id(),
    "remote_end": _endpoint("remote", "peer"),
    "local_end": _endpoint("local", "local"),
    "direction": _direction(),
    "payloads": _payloads(),
    "spis": _spis(),
    "spi_a": _hex("spi_a"),
    "new_spi_i": _hex("new_spi_i"),
    "new_spi_r": _hex("new_spi_r"),
    "old_inbound": _hex("old_inbound"),
    "new_inbound": _hex("new_inbound"),
    "inbound": _hex("inbound"),
    "outbound": _hex("outbound"),
    "init_port": _float_port(),
}


def names_of(transforms: Sequence[TransformFact], lengths: bool, between: str) -> str:
    """Transforms in IOS's order (type 1, 2, 3, 4, 5), with or without key lengths."""
    ordered = sorted(transforms, key=lambda one: one.type)
    return between.join(
        words.encryption(one.id, one.key_length)
        if lengths and one.type == TransformType.ENCR
        else words.transform(one.type, one.id)
        for one in ordered
        if not (one.type == TransformType.INTEG and one.id == 0)
    )


def transforms_of(text: str, protocol: int) -> Any:
    """The transforms of such a line; UNSET where the words do not say which are PRFs and which integrity.

    Key lengths that the text does not hold are UNSET.
    """
    joined = text.replace("/Group ", "/Group_")
    for word in words.ESN:
        joined = joined.replace(word.text, word.text.replace(" ", "_"))
    parts = [part.replace("/Group_", "/Group ") for part in joined.split()]
    return _typed([part.replace("_", " ") if part.endswith("_ESN") else part for part in parts], protocol)


def _typed(parts: Sequence[str], protocol: int) -> Any:
    found: list[TransformFact] = []
    hashes: list[str] = []
    for part in parts:
        number, length = _encryption(part)
        if number is not None:
            found.append(TransformFact(TransformType.ENCR, number, length))
        elif (number := words.transform_number(TransformType.KE, part)) is not None:
            found.append(TransformFact(TransformType.KE, number))
        elif (number := words.transform_number(TransformType.ESN, part)) is not None:
            found.append(TransformFact(TransformType.ESN, number))
        else:
            hashes.append(part)
    plain = any(one.type == TransformType.ENCR and one.id not in words.AEAD for one in found)
    split = 0 if protocol != ProtocolId.IKE else _split(hashes, plain)
    if split is None:
        return UNSET
    for position, part in enumerate(hashes):
        kind = TransformType.PRF if position < split else TransformType.INTEG
        number = words.transform_number(kind, part)
        if number is None:
            return UNSET
        found.append(TransformFact(kind, number))
    return tuple(sorted(found, key=lambda one: one.type))


def _split(hashes: Sequence[str], plain: bool) -> int | None:
    """How many of the hash names are PRFs: they come first, and a name that returns begins the integrity list."""
    if not plain:
        return len(hashes)
    for position, part in enumerate(hashes):
        if part in hashes[:position] or words.transform_number(TransformType.PRF, part) is None:
            return position
    return 1 if len(hashes) == 2 else None


def _encryption(part: str) -> tuple[int | None, Any]:
    number = words.transform_number(TransformType.ENCR, part)
    if number is not None:
        return number, UNSET
    name, _, length = part.rpartition("-")
    number = words.transform_number(TransformType.ENCR, name) if length.isdigit() else None
    return number, int(length) if number is not None else UNSET


def proposals(protocol: int, *, initial: bool = False) -> Items:
    """The block that stands for each proposal of an SA payload; in an `initial` one there is no SPI."""

    def render(item: ProposalFact) -> Mapping[str, str]:
        return {
            "number": str(item.number),
            "count": str(len(item.transforms)),
            "names": names_of(item.transforms, False, "   "),
        }

    def read(texts: Mapping[str, str]) -> ProposalFact:
        unknown: Any = UNSET
        made = transforms_of(texts["names"], protocol) if "names" in texts else unknown
        spi: Any = "" if initial else unknown
        return ProposalFact(int(texts["number"]), protocol, spi, made)

    patterns = {"number": r"\d+", "count": r"\d+", "names": r"\S.*?"}
    return Items(patterns, render, read)


#: How a refused proposal of IOS 26 names the columns.
LABELS = {
    TransformType.ENCR: "ENCRYPTION",
    TransformType.PRF: "PRF",
    TransformType.INTEG: "INTEGRITY",
    TransformType.KE: "DH GROUP",
    TransformType.ESN: "ESN",
}
_LABEL = re.compile(rf" ?(?:{'|'.join(LABELS.values())}): ")


def _labelled(transforms: Sequence[TransformFact]) -> str:
    kinds = ((name, [one for one in transforms if one.type == kind]) for kind, name in LABELS.items())
    return " ".join(f"{name}: {names_of(some, True, ' ')}" for name, some in kinds if some)


def suites(name: str, protocol: int, *, labels: bool = False) -> Field:
    """Proposals of a refusal, one a line: `Proposal 1:  AES-CBC-256 SHA512 SHA512 DH_GROUP_...`.

    With `labels` as IOS 26 does: `Proposal 1:  ENCRYPTION: AES-CBC-256 PRF: SHA512 ...`.
    """
    label = "ESP: Proposal" if protocol == ProtocolId.ESP else "Proposal"

    def render(event: Any, _: Stamp) -> str | None:
        words_of = _labelled if labels else lambda transforms: names_of(transforms, True, " ")
        value = getattr(event, name)
        if not _there(value):
            return None
        return "\n".join(f"{label} {one.number}:  {words_of(one.transforms)}" for one in value)

    def read(text: str, facts: Facts, _: Facts) -> None:
        made = []
        for number, names in _numbered(text):
            if names:
                plain = _LABEL.sub(" ", names).strip()
                made.append(ProposalFact(number, protocol, *_unknown_spi(), transforms_of(plain, protocol)))
        facts[name] = tuple(made)

    return Field(rf"{label} \d+:  ?ENCRYPTION: .*" if labels else rf"(?:{label} \d+:  ?.*)?", render, read)


_WORD = r"(?:[A-Z0-9][A-Z0-9_-]*(?:/Group)?:?|Group|Don't|use)"
_NAMES = re.compile(rf"{_WORD}(?: +{_WORD})*")
"""What a page may have parted from the names before it."""
_PROPOSAL = re.compile(r"(?:[A-Z]{2,3}: )?Proposal (?P<number>\d{1,9}):(?:\s+|$)")


def _numbered(text: str) -> list[tuple[int, str]]:
    """Each proposal's number and names; a line that begins none goes on with the one before, as pages break them."""
    found: list[tuple[int, str]] = []
    for line in text.split("\n"):
        head = _PROPOSAL.match(line.lstrip())
        if head is not None:
            found.append((int(head["number"]), line.lstrip()[head.end() :]))
        elif found and _NAMES.fullmatch(line.strip()):
            found[-1] = found[-1][0], f"{found[-1][1]} {line.strip()}"
    return found


def _unknown_spi() -> tuple[Any]:
    return (UNSET,)


def _attribute(item: AttributeFact) -> Mapping[str, str]:
    value = f", data: {item.value}" if item.value else ""
    return {"name": words.attribute(item.type, item.name), "length": str(item.length), "value": value}


def _attribute_of(texts: Mapping[str, str]) -> AttributeFact:
    known = words.attribute_number(texts["name"])
    number: Any = UNSET if known is None else known
    value = texts.get("value", "").removeprefix(", data: ")
    return AttributeFact(number, texts["name"], int(texts["length"]), value)


ATTRIBUTES = Items({"name": r"[\w-]+", "length": r"\d+", "value": r"(?:, data: .*)?"}, _attribute, _attribute_of)
