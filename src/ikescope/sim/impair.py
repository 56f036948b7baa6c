"""Impairments: faults that a reader can put into a world by hand, one row each. `PROBLEMS` is the whole catalogue.

A line says which fault, with what, and which messages it meets:

    [from ROUTER] FAULT [WORD] [request | response | any] [EXCHANGE | any] [NUMBER | SECONDSs]

`drop response CREATE_CHILD_SA 1` drops the first one, without a number every one; `delay request IKE_AUTH 3s`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from ikescope.engine.commands import InstallSa
from ikescope.errors import LocalError
from ikescope.sim import impair_payloads as payloads
from ikescope.sim.ledger import core_of
from ikescope.sim.world import Mail, Station, World
from ikescope.wire.header import FLAG_RESPONSE, HEADER_OCTETS
from ikescope.wire.payload import Payload
from ikescope.wire.registry import ExchangeType

Where = Literal["network", "header", "payload", "child", "kernel", "life cycle"]
EXCHANGES = {
    one.name: int(one)
    for one in (
        ExchangeType.IKE_SA_INIT,
        ExchangeType.IKE_AUTH,
        ExchangeType.CREATE_CHILD_SA,
        ExchangeType.INFORMATIONAL,
    )
}
REPLAYED = 20
"""How many old datagrams follow each new one under `replay`."""


class ImpairmentError(LocalError):
    """A line that names no impairment."""


@dataclass(slots=True)
class Impairment:
    """One fault at work: which messages it meets and how often it struck (`hits`)."""

    line: str
    row: Row
    word: str = ""
    sender: str = ""
    response: bool | None = None
    exchange: int | None = None
    times: int | None = None
    seconds: float | None = None
    hits: int = 0
    kept: list[Mail] = field(default_factory=list)

    def meets(self, sender: str, exchange: int, response: bool) -> bool:
        """Whether a message is one of those meant, and the number of them is not reached."""
        return (
            self.sender in ("", sender)
            and self.exchange in (None, exchange)
            and self.response in (None, response)
            and (self.times is None or self.hits < self.times)
        )


OnMail = Callable[[World, Impairment, Mail], Iterable[float] | None]
OnOctets = Callable[[Impairment, bytes], bytes]
OnChain = Callable[[Sequence[Payload], str], Sequence[Payload]]


@dataclass(frozen=True, slots=True)
class Row:
    """`impair(name, where, mutate)`: what it does to a datagram's way, its octets, or its payloads before sealing.

    `words`: what may or must follow the name; `#` a number.
    """

    name: str
    where: Where
    text: str
    words: tuple[str, ...] = ()
    mail: OnMail | None = None
    octets: OnOctets | None = None
    chain: OnChain | None = None
    optional: bool = False
    all_traffic: bool = False

    @property
    def usage(self) -> str:
        """The name with its words."""
        words = "|".join("N" if word == "#" else word for word in self.words)
        return f"{self.name} {f'[{words}]' if self.optional else words}".rstrip()


def _drip(world: World, one: Impairment, mail: Mail) -> Iterable[float]:
    one.kept.append(mail)
    if len(one.kept) == int(one.word):
        for number, held in enumerate(one.kept):
            world.at(world.now + world.latency + number * 1e-6, lambda held=held: world.arrive(held))  # type: ignore[misc]
        one.kept.clear()
    return ()


def _replay(world: World, one: Impairment, mail: Mail) -> Iterable[float]:
    for number, old in enumerate(one.kept):
        world.at(world.now + world.latency + (number + 1) * 1e-6, lambda old=old: world.arrive(old))  # type: ignore[misc]
    one.kept.append(mail)
    del one.kept[:-REPLAYED]
    return (world.latency,)


def _suppress(world: World, one: Impairment, mail: Mail) -> Iterable[float] | None:
    if any(old.octets == mail.octets for old in one.kept):
        return ()
    one.kept.append(mail)
    return None


def _block(world: World, one: Impairment, mail: Mail) -> Iterable[float] | None:
    one.kept = one.kept or [mail]
    return () if one.seconds is None or world.now < one.kept[0].at + one.seconds else None


def _late(world: World, one: Impairment, mail: Mail) -> Iterable[float]:
    return (world.latency + (3.0 if one.seconds is None else one.seconds),)


def _twice(world: World, one: Impairment, mail: Mail) -> Iterable[float]:
    return (world.latency, world.latency)


def _at(position: int, change: Callable[[int], int]) -> OnOctets:
    def altered(one: Impairment, octets: bytes) -> bytes:
        return octets[:position] + bytes((change(octets[position]) & 0xFF,)) + octets[position + 1 :]

    return altered


def _zero_spi(one: Impairment, octets: bytes) -> bytes:
    start = 0 if one.word == "initiator" else 8
    return octets[:start] + bytes(8) + octets[start + 8 :]


_NETWORK = (
    Row("drop", "network", "the message is lost", mail=lambda world, one, mail: ()),
    Row("delay", "network", "it comes late, by 3 s unless said otherwise", mail=_late),
    Row("duplicate", "network", "it comes twice", mail=_twice),
    Row(
        "block",
        "network",
        "nothing passes, ESP neither: for so many seconds or for good",
        mail=_block,
        all_traffic=True,
    ),
    Row("drip", "network", "so many are held, then released at once", ("#",), mail=_drip),
    Row("replay", "network", "the old messages come again after each new one", mail=_replay),
    Row("jacob-two-two", "network", "every message is sent twice", mail=_twice),
    Row("suppress-retransmits", "network", "a message that was sent before is lost", mail=_suppress),
)
_HEADER = (
    Row("major-version", "header", "version 3.0", octets=_at(17, lambda octet: octet + 0x10)),
    Row("minor-version", "header", "version 2.1", octets=_at(17, lambda octet: octet + 1)),
    Row("header-flag", "header", "a reserved flag is set", octets=_at(19, lambda octet: octet | 0x01)),
    Row("zero-spi", "header", "an IKE SPI is zero", ("initiator", "responder"), octets=_zero_spi),
    Row("wrong-exchange", "header", "the next exchange type", octets=_at(18, lambda octet: octet + 1)),
    Row("message-id", "header", "another message ID", octets=_at(22, lambda octet: octet + 1)),
)
_PAYLOAD = (
    Row("corrupt", "payload", "an octet of the ciphertext is changed", octets=_at(-20, lambda octet: octet ^ 0xFF)),
    Row("add-unknown", "payload", "a payload of type 200", ("critical",), chain=payloads.add_unknown, optional=True),
    Row("payload-flag", "payload", "a reserved bit in each payload header", chain=payloads.payload_flag),
    Row("reserved", "payload", "reserved octets not zero", ("proposal", "id"), chain=payloads.reserved_fields),
    Row("ke", "payload", "a corrupt KE payload", ("omit", "empty", "zero", "repeat"), chain=payloads.corrupt_ke),
    Row(
        "key-length",
        "payload",
        "a corrupt Key Length attribute",
        ("omit", "empty", "zero", "duplicate"),
        chain=payloads.key_length,
    ),
    Row("integrity", "payload", "no integrity transform, or NONE", ("omit", "none"), chain=payloads.integrity),
    Row("group", "payload", "no key exchange transform, or NONE", ("omit", "none"), chain=payloads.group),
    Row("mangle-cookie", "payload", "a cookie comes back changed", chain=payloads.mangle_cookie),
    Row("add-notify", "payload", "a Notify of that type", ("#",), chain=payloads.add_notify),
    Row("omit-notify", "payload", "Notifies of that type left out", ("#",), chain=payloads.omit_notify),
    Row("omit-idr", "payload", "IDr left out", chain=payloads.omit_idr),
    Row("auth-method", "payload", "AUTH says that it is of that method", ("#",), chain=payloads.auth_method),
)
_OTHERS = (
    Row("omit-child", "child", "no Child SA in IKE_AUTH", chain=payloads.omit_child),
    Row("zero-nonce", "child", "a nonce of zeros, which its sender does not know of", chain=payloads.zero_nonce),
    Row("rekey-ts", "child", "a rekey with other selectors", ("subset", "superset"), chain=payloads.rekey_ts),
    Row("rekey-protocol", "child", "REKEY_SA names AH", chain=payloads.rekey_protocol),
    Row("refuse", "kernel", "the data plane refuses an ESP SA", ("inbound", "outbound")),
    Row("no-delete", "life cycle", "no Delete is ever sent", chain=payloads.no_delete),
)
PROBLEMS: dict[str, Row] = {row.name: row for row in (*_NETWORK, *_HEADER, *_PAYLOAD, *_OTHERS)}
"""Every impairment by its name."""


def catalogue() -> list[str]:
    """A line for each impairment: its usage and what it does."""
    return [f"{row.usage:38} {row.where}: {row.text}" for row in PROBLEMS.values()]


def parse(line: str) -> Impairment:
    """An impairment out of its line; ImpairmentError names what is possible."""
    words = line.split()
    sender = ""
    if words[:1] == ["from"] and len(words) > 1:
        sender, words = words[1], words[2:]
    row = PROBLEMS.get(words[0]) if words else None
    if row is None:
        raise ImpairmentError(f"--impair {line!r}: no such impairment; one of: {', '.join(PROBLEMS)}")
    one = Impairment(line, row, sender=sender)
    rest = _word(one, words[1:])
    if rest and rest[0] in ("request", "response", "any"):
        one.response = {"request": False, "response": True, "any": None}[rest.pop(0)]
    if rest and (rest[0] in EXCHANGES or rest[0] == "any"):
        one.exchange = EXCHANGES.get(rest.pop(0))
    if rest:
        _number(one, rest.pop(0))
    if rest:
        raise _wrong(one, rest[0])
    return one


def _word(one: Impairment, words: list[str]) -> list[str]:
    wanted = one.row.words
    if words and wanted and (words[0] in wanted or (wanted == ("#",) and words[0].isdecimal())):
        one.word = words[0]
        return words[1:]
    if wanted and not one.row.optional:
        raise _wrong(one, words[0] if words else "nothing")
    return words


def _number(one: Impairment, word: str) -> None:
    try:
        if word.endswith("s"):
            one.seconds = float(word[:-1])
        else:
            one.times = int(word)
    except ValueError:
        raise _wrong(one, word) from None


def _wrong(one: Impairment, word: str) -> ImpairmentError:
    wanted = "[request|response|any] [EXCHANGE|any] [NUMBER|SECONDSs]"
    return ImpairmentError(
        f"--impair {one.line!r}: had {word!r}, wanted: {one.row.usage} {wanted}; EXCHANGE is {', '.join(EXCHANGES)}"
    )


def impair(world: World, one: Impairment) -> None:
    """Put a fault into a world, before its routers are added."""
    row = one.row
    if row.mail is not None:
        world.impairments.append(lambda mail: _on_mail(world, one, mail))
    if row.octets is not None:
        world.alterations.append(lambda mail: _on_octets(world, one, mail))
    if row.chain is not None:
        world.on_station.append(lambda station: _on_chain(one, station))
    if row.name == "refuse":
        world.on_station.append(lambda station: _on_plane(one, station))


def _meant(world: World, one: Impairment, mail: Mail) -> bool:
    if mail.kind != "ike" or len(mail.octets) < HEADER_OCTETS:
        return one.row.all_traffic
    return one.meets(world.sender(mail), mail.octets[18], bool(mail.octets[19] & FLAG_RESPONSE))


def _on_mail(world: World, one: Impairment, mail: Mail) -> Iterable[float] | None:
    if not _meant(world, one, mail):
        return None
    assert one.row.mail is not None
    fate = one.row.mail(world, one, mail)
    one.hits += fate is not None
    return fate


def _on_octets(world: World, one: Impairment, mail: Mail) -> bytes | None:
    if not _meant(world, one, mail):
        return None
    assert one.row.octets is not None
    one.hits += 1
    return one.row.octets(one, mail.octets)


def _on_chain(one: Impairment, station: Station) -> None:
    core, before = core_of(station), core_of(station).mutate

    def mutate(exchange: ExchangeType, response: bool, chain: Sequence[Payload]) -> Sequence[Payload]:
        chain = chain if before is None else before(exchange, response, chain)
        if not one.meets(station.name, exchange, response):
            return chain
        assert one.row.chain is not None
        changed = one.row.chain(chain, one.word)
        one.hits += tuple(changed) != tuple(chain)
        return changed

    core.mutate = mutate


def _on_plane(one: Impairment, station: Station) -> None:
    before = station.plane.refuse

    def refuse(sa: InstallSa) -> str:
        why = "" if before is None else before(sa)
        meant = one.sender in ("", station.name) and sa.direction == one.word.removesuffix("bound")
        if not why and meant and (one.times is None or one.hits < one.times):
            one.hits += 1
            return "refused by an impairment"
        return why

    station.plane.refuse = refuse
