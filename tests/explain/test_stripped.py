"""Facts stripped at random from recordings: every view stands, and none claims what is no longer there."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from random import Random
from typing import Any

import msgspec
import pytest
from tests.support.world import Side, pair
from tests.timeline.sessions import KINDS, records

from ikescope.capture.convert import from_records
from ikescope.events import Record, decode, encode
from ikescope.ios.debug import LEVELS, Renderer, transcript
from ikescope.timeline.fold import ZERO_SPI
from ikescope.tui.watch_model import WatchModel
from ikescope.views.html_model import Model
from ikescope.views.metrics import Metrics, Now
from ikescope.views.read import VIEWS, render

#: What the reader of a source fills in always: who tells, in what order, when.
KEPT = frozenset({"seq", "mono", "wall", "router"})
_SCRIPTS = re.compile(r"<style>.*?</style>|<script>.*?</script>", re.DOTALL)
OCTETS = frozenset({"octets", "opened"})


def attempt(first: Side, second: Side, seconds: float = 20.0) -> list[Record]:
    """R1 tries to reach R2."""
    one = pair(first, second, seed="stripped")
    one.ping("R1")
    one.world.run(seconds)
    return one.world.records


#: What goes wrong, or another way, beside the sessions of the timeline's tests.
OTHERS: dict[str, tuple[Side, Side, float]] = {
    "IKE proposal": (Side(ike="cbc"), Side(ike="modp"), 20),
    "ESP proposal": (Side(esp="cbc"), Side(esp="gcm"), 20),
    "no profile": (Side(), Side(match="address 203.0.113.9 255.255.255.255"), 20),
    "another group": (Side(groups=(20, 19), pfs=20), Side(groups=(19,), pfs=19), 20),
    "reauthentication": (Side(reauthentication=120), Side(), 130),
    "childless": (Side(childless="prefer"), Side(childless="prefer"), 20),
}


def views(told: list[Record]) -> Iterator[tuple[str, str]]:
    """Every rendering of these records by its name."""
    for view in VIEWS:
        yield view, _SCRIPTS.sub("", "\n".join(render(told, view)))
    for level in LEVELS:
        yield f"debug {level}", "\n".join(transcript(Renderer(level, stamps=True), told))
    yield "pcapng", from_records(told).decode("latin-1")
    watch = WatchModel()
    watch.add(told)
    watch.refresh()
    states = "\n".join(state.text for state in watch.states())
    nodes = "\n".join(str(watch.facts(row)) for row in watch.rows if row.rung is not None)
    yield "watch", "\n".join((*(line.text for line in watch.lines(80)), states, nodes))
    yield "page", msgspec.json.encode(Model().extend(told).snapshot()).decode()
    yield "metrics", "\n".join(map(str, Metrics().extend(told).families(Now(hostname="R1", uptime=1.0))))


def without(record: Record, event: frozenset[str], stamp: frozenset[str] = frozenset()) -> Record:
    """The record as a source would give it that holds none of these facts of its event and its stamp."""
    line = msgspec.json.decode(encode(record))
    for part, names in (("event", event - {"event"}), ("stamp", stamp - KEPT)):
        line[part] = {name: value for name, value in line[part].items() if name not in names}
    return decode(msgspec.json.encode(line))


def thinned(told: Iterable[Record], random: Random, share: float) -> list[Record]:
    """The records, each fact of an event and of a stamp gone by chance; some records gone altogether."""
    found = []
    for record in told:
        if random.random() < share / 4:
            continue
        found.append(without(record, _some(record.event, random, share), _some(record.stamp, random, share)))
    return found


def _some(value: Any, random: Random, share: float) -> frozenset[str]:
    return frozenset(name for name in type(value).__struct_fields__ if random.random() < share)


_ABSENT = re.compile(r"UNSET|\bNone\b(?! of| in this source)|<class|\{\}\}")


def sound(name: str, text: str) -> None:
    """No view prints a fact's absence as if it were one."""
    said(name, text, _ABSENT)


def said(name: str, text: str, words: re.Pattern[str]) -> None:
    """Fail where a view says one of these words."""
    found = words.search(text)
    assert found is None, f"{name}: {text[max(found.start() - 60, 0) : found.end() + 40]}" if found else name


@pytest.mark.parametrize("share", [0.15, 0.6])
@pytest.mark.parametrize("kind", KINDS)
def test_every_view_stands_without_facts(kind: str, share: float) -> None:
    """Whatever facts a source lacks, each view renders and none prints UNSET or None."""
    told = thinned(records(kind), Random(f"{kind} {share}"), share)
    for name, text in views(told):
        sound(name, text)


@pytest.mark.parametrize("kind", OTHERS)
def test_every_view_of_a_failure_stands_without_facts(kind: str) -> None:
    """The same of what goes wrong, and of the rarer ways to go right."""
    whole = attempt(*OTHERS[kind])
    for name, text in views(thinned(whole, Random(kind), 0.3)):
        sound(name, text)


def erased(told: Iterable[Record], wanted: str) -> list[Record]:
    """The records without any fact that says `wanted`, and without octets, which would say it too."""
    found = []
    for record in told:
        line = msgspec.json.decode(encode(record))
        event = {name for name, value in line["event"].items() if wanted in msgspec.json.encode(value).decode().lower()}
        stamp = {name for name, value in line["stamp"].items() if wanted in str(value).lower()}
        found.append(without(record, OCTETS | event, frozenset(stamp)))
    return found


@pytest.mark.parametrize("kind", ["crossing rekeys", "fragments", "a NAT", "another key"])
def test_no_view_says_what_was_erased(kind: str) -> None:
    """An SPI, an address, a selector or a name that no fact holds any more is in no view."""
    told = records(kind)
    text = "\n".join(encode(record).decode().lower() for record in told)
    spis = sorted(set(re.findall(r'"(?:inbound|outbound|spi_i|spi_r)":"(\w+)"', text)) - {ZERO_SPI})
    names = [name for name in ("10.2.0.0", "192.0.2.2", "tunnel0", "10.1.0.0") if name in text]
    for wanted in (*spis[:: max(len(spis) // 2, 1)], *names):
        for name, view in views(erased(told, wanted)):
            assert not re.search(rf"(?<![\w.]){re.escape(wanted)}(?![\w.])", view.lower()), (name, wanted)


#: Facts that go together, and the words that none may say without them.
CLAIMS: dict[str, tuple[set[str], str]] = {
    "who began": ({"initiator", "by"}, r"\b[Ww]e began|peer began|The responder, |The initiator is auth|we, the resp"),
    "mode": (
        {"transport", "payloads", "inner", "found", "wanted", "mode", "why"},
        r"[Tt]ransport mode|[Tt]unnel mode|USE_TRANSPORT|settings =\{T",
    ),
    "lifetimes": (
        {"lifetime", "kilobytes", "rekey_in", "before", "after", "ends_in", "seconds"},
        r"\b(?:86400|3600|4608000)\b|\(24 h\)|\(1 h\)",
    ),
    "algorithms": (
        {
            *("encryption", "key_length", "integrity", "suite", "chosen", "offered", "proposals", "received"),
            *("expected", "prf", "lengths", "esn", "why", "tried", "found", "wanted"),
        },
        r"\bAES|\bSHA\d|\bGCM\b|ENCR_|HMAC|AES-GCM",
    ),
    "groups": (
        {
            *("group", "chosen", "offered", "proposals", "received", "expected", "wanted", "found", "allowed", "suite"),
            *("inner", "why", "tried"),
        },
        r"\b[Gg]roup:? ?\d|MODP|\bECP|elliptic|Curve\d|without a key exchange|no new key exchange|no PFS",
    ),
    "NAT": (
        {"supported", "local_behind", "remote_behind", "forced", "floated", "udp", "octets"},
        r"\b[Nn]o NAT\b|NAT not found|NAT found|(?:is|are|stands?) behind a NAT|inside UDP",
    ),
    "identities": ({"identity", "local", "remote", "tried", "peer"}, r"IPv4 address|ID_IPV4|FQDN"),
    "reasons": ({"reason", "cause", "why", "trigger"}, r"cleared by the operator|lifetime ended|replaced by a rekey"),
}


@pytest.mark.parametrize("what", CLAIMS)
def test_no_view_claims_a_fact_that_is_not_there(what: str) -> None:
    """Without the facts that decide it no view says who began, which mode, which algorithm, whether there is a NAT."""
    gone, words = CLAIMS[what]
    for kind in ("a NAT", "fragments") if what == "NAT" else ("a whole life", "another key"):
        told = [
            without(record, frozenset(gone) | OCTETS, frozenset({"initiator"} if "initiator" in gone else ()))
            for record in records(kind)
        ]
        for name, text in views(told):
            said(f"{kind}, {name}", text, re.compile(words))
