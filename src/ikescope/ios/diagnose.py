"""`show crypto ikev2 diagnose error`: what went wrong lately, in IOS's layout, out of the flight recorder.

IOS numbers its errors differently in each release: 12 and 1 are as seen, the others are ours. Where IOS prints the
addresses of its code, we print when it was, of which SA, and what was compared.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from ikescope.events import UNSET, Event, Record, life, message, negotiation, router
from ikescope.events.message import DropTrigger
from ikescope.ios import words
from ikescope.ios.catalogue import Is, conditions_hold
from ikescope.ios.debug import stamp_text
from ikescope.ios.event_trace import head_of

MAX_ENTRIES = 50
"""As many entries as IOS keeps by default; the oldest make room."""


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """An error of IOS's table: number, text, and the event that it stands for."""

    number: int
    text: str
    event: type[Event]
    when: Mapping[str, Any] = field(default_factory=dict)


DIAGNOSES: tuple[Diagnosis, ...] = (
    Diagnosis(12, "Detected an invalid IKE SPI", message.MessageDropped, {"trigger": DropTrigger.UNKNOWN_SPI.value}),
    Diagnosis(1, "A supplied parameter is incorrect", message.MessageDropped, {"trigger": DropTrigger.MALFORMED.value}),
    Diagnosis(101, "Maximum number of retransmissions reached", message.RetransmissionsExhausted),
    Diagnosis(102, "Failed to find a matching policy", negotiation.ProposalRefused),
    Diagnosis(
        103,
        "Peer authentication method configured is mismatching with the method proposed by peer",
        negotiation.AuthRefused,
        {"wanted": Is.SET},
    ),
    Diagnosis(104, "Failed to authenticate the IKE SA", negotiation.AuthRefused),
    Diagnosis(105, "Failed to locate an item in the database", negotiation.ProfileNotFound),
    Diagnosis(106, "There was no IPSEC policy found for received TS", negotiation.SelectorsRefused),
    Diagnosis(107, "Received {notify} notify", message.ResponseRefused),
    Diagnosis(108, "Sending {notify} notify", message.RequestRefused),
    Diagnosis(109, "Initial exchange failed", negotiation.ExchangeFailed, {"exchange": 34}),
    Diagnosis(110, "Auth exchange failed", negotiation.ExchangeFailed, {"exchange": 35}),
    Diagnosis(111, "{exchange} exchange failed", negotiation.ExchangeFailed),
    Diagnosis(112, "IPSec SA not created", life.ChildRefused),
    Diagnosis(113, "Platform errors", router.PlaneFailed),
    Diagnosis(114, "Internal error", life.TaskFailed),
)
"""What is diagnosed; of the rows of one event the first that holds."""


def diagnosis_of(event: Event) -> Diagnosis | None:
    """The row that an event is; None for most."""
    rows = (one for one in DIAGNOSES if type(event) is one.event)
    return next((one for one in rows if conditions_hold(event, one.when)), None)


def diagnose_error(records: Iterable[Record]) -> list[str]:
    """The lines of the show, oldest entry first."""
    found = [(one, record) for record in records if (one := diagnosis_of(record.event)) is not None]
    kept = found[-MAX_ENTRIES:]
    counts = f"current entry {len(kept)}, deleted {len(found) - len(kept)}, max allow {MAX_ENTRIES}"
    out = [f"Exit Path Table - status: enable, {counts}", ""]
    for one, record in kept:
        out += [f"Error({one.number}): {_text(one, record.event)}", "", f"-Traceback= {_where(record)}", ""]
    return out


def _text(one: Diagnosis, event: Any) -> str:
    made = one.text
    for name, word in (("notify", words.notify), ("exchange", words.exchange)):
        if f"{{{name}}}" in made:
            made = made.replace(f"{{{name}}}", word(getattr(event, name)))
    return made


def _where(record: Record) -> str:
    facts = ", ".join(_facts(record.event))
    return (stamp_text(record.stamp.wall) + head_of(record.stamp) + facts).rstrip()


def _facts(event: Any) -> Iterator[str]:
    """What the event holds of a cause, in words."""
    for name in ("why", "found", "wanted"):
        value = getattr(event, name, UNSET)
        if isinstance(value, str) and value:
            yield value if name == "why" else f"{'had' if name == 'found' else name} {value}"
