"""What an ASA text has told of each IKE SA so far, and what it takes to stamp its events."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Any

from msgspec.structs import replace

from ikescope.events import Event, IdentityFact, ProposalFact, SelectorFact
from ikescope.events.base import Tried

#: SAs that are remembered; a text of years has more.
MOST = 4096
_MOST_TOLD = 1024

Selectors = tuple[SelectorFact, ...]


def event_of(kind: type[Event], **facts: Any) -> Event:
    """An event of these facts; what a text does not tell is UNSET."""
    return kind(**facts)


def changed(event: Event, **facts: Any) -> Event:
    """An event with these facts besides."""
    made: Event = replace(event, **facts)
    return made


@dataclass(slots=True)
class Sa:
    """One IKE SA of the text. `facts` are its stamp's; selectors are TSi and TSr as the messages hold them."""

    number: int | None = None
    facts: dict[str, Any] = field(default_factory=dict)
    offered: dict[int, tuple[ProposalFact, ...]] = field(default_factory=dict)
    chosen: dict[int, ProposalFact] = field(default_factory=dict)
    proposed: tuple[Selectors, Selectors] | None = None
    answered: tuple[Selectors, Selectors] | None = None
    transport: bool = False
    missed: list[Tried] = field(default_factory=list)
    missed_at: int = 0
    map: str = ""
    identity: IdentityFact | None = None
    method: int | None = None
    admitted: int | None = None
    mismatch: bool = False
    group: str = ""
    exchange: int | None = None
    sends: int = 0
    inbound: str = ""
    outbound: str = ""
    told: set[tuple[Any, ...]] = field(default_factory=set)
    hints: dict[str, str] = field(default_factory=dict)
    received: tuple[ProposalFact, ...] | None = None
    expected: tuple[ProposalFact, ...] | None = None
    remarks: list[str] = field(default_factory=list)
    sealed: Any = None
    nat: set[str] | None = None
    closed: bool = False
    esp_bits: int | None = None

    @property
    def initiator(self) -> bool | None:
        """Whether the box whose text this is began the SA; None where it is not told yet."""
        return self.facts.get("initiator")

    def once(self, *what: Any) -> bool:
        """Whether this is told for the first time."""
        if what in self.told:
            return False
        if len(self.told) > _MOST_TOLD:
            self.told.clear()
        self.told.add(what)
        return True


class Sas:
    """The SAs by ASA's number, and requests that came before they had one."""

    def __init__(self) -> None:
        self._numbered: OrderedDict[int, Sa] = OrderedDict()
        self.bare: Sa | None = None
        self.last: Sa | None = None

    def begin(self, spi_i: str) -> Sa:
        """A request without a number: it gets one when the SA does."""
        self.bare = Sa(facts={"spi_i": spi_i} if spi_i else {})
        return self.bare

    def of(self, number: int | None) -> Sa | None:
        """The SA of a line; of one without a number the latest."""
        if number is None:
            return self.last
        found = self._numbered.get(number)
        if found is None or (found.closed and self.bare is not None and self.bare.facts):
            found = self._adopt(number)
        self.last = found
        return found

    def named(self, number: int, spi_i: str) -> Sa:
        """The SA of a line that also names the initiator's SPI: another SPI is another SA."""
        found = self.of(number)
        held = found.facts.get("spi_i") if found is not None else None
        if found is None or (held is not None and held != spi_i):
            if self.bare is not None and self.bare.facts.get("spi_i") != spi_i:
                kept, self.bare = self.bare, None
                found = self._adopt(number)
                self.bare = kept
            else:
                found = self._adopt(number)
        found.facts["spi_i"] = spi_i
        self.last = found
        return found

    def _adopt(self, number: int) -> Sa:
        found, self.bare = self.bare or Sa(), None
        found.number = number
        found.facts["sa"] = number
        self._numbered[number] = found
        self._numbered.move_to_end(number)
        if len(self._numbered) > MOST:
            self._numbered.popitem(last=False)
        return found

    def by_spi(self, spi_i: str) -> Sa | None:
        """The SA of an initiator's SPI, the latest first."""
        if self.bare is not None and self.bare.facts.get("spi_i") == spi_i:
            return self.bare
        if self.last is not None and self.last.facts.get("spi_i") == spi_i:
            return self.last
        return next((one for one in reversed(self._numbered.values()) if one.facts.get("spi_i") == spi_i), None)

    def all(self) -> list[Sa]:
        """Every SA that is remembered."""
        return list(self._numbered.values())
