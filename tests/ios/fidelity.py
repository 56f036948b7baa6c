"""Our debug beside real ones: sessions of the simulator in the situations of the transcripts, compared line by line.

A transcript is restated in `data/debug-NN.txt` as one sign and a text a line: `.` default level, `!` error, `~`
internal, `>` state machine, `:` what continues a line, `p` payloads. Ours is brought into the same form.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from ikescope.engine.commands import Clear
from ikescope.events import Record
from ikescope.ios.catalogue_deviations import ASA, Deviation
from ikescope.ios.configuration import load
from ikescope.ios.debug import Renderer
from ikescope.sim.world import Mail, World

DATA = Path(__file__).parent / "data"
CONFIG = """
version 17.6
hostname {name}
crypto ikev2 fragmentation
crypto ikev2 dpd 10 2 on-demand
crypto ikev2 proposal P
 encryption aes-cbc-{bits}
 prf {prf}
 integrity sha256
 group 14
crypto ikev2 policy P
 match fvrf any
 proposal P
crypto ikev2 keyring KEYS
 peer PEER
  address {peer}
  pre-shared-key {key}
crypto ikev2 profile default
 match identity remote address {peer} 255.255.255.255
 authentication local pre-share
 authentication remote pre-share
 no config-exchange request
 keyring local KEYS
crypto ipsec transform-set TS {suite}
crypto ipsec profile default
 set transform-set TS
 set ikev2-profile default
 {role}
interface GigabitEthernet1
 ip address {local} 255.255.255.0
interface Tunnel0
 ip address {tunnel} 255.255.255.252
 tunnel source GigabitEthernet1
 tunnel destination {peer}
 tunnel mode ipsec ipv4
 {protect}
ip route {lan} 255.255.255.0 Tunnel0
"""
PROTECT = "tunnel protection ipsec profile default"
POLICY = "tunnel protection ipsec policy ipv4 WANTED\n tunnel protection ipsec profile default"
BASE = {"bits": "128", "prf": "sha1", "key": "12345", "suite": "esp-aes 256 esp-sha256-hmac", "protect": PROTECT}
ENDS = {
    "R1": {
        "name": "R1",
        "local": "192.0.2.1",
        "peer": "192.0.2.2",
        "tunnel": "172.16.0.1",
        "lan": "10.2.0.0",
        "role": "!",
    },
    "R2": {
        "name": "R2",
        "local": "192.0.2.2",
        "peer": "192.0.2.1",
        "tunnel": "172.16.0.2",
        "lan": "10.1.0.0",
        "role": "responder-only",
    },
}


def session(
    side: str, second: dict[str, str] | None = None, first: dict[str, str] | None = None, **how: bool
) -> list[Record]:
    """What one router tells of a session.

    `first` and `second` differ from BASE at R1 and R2; `alone`: nobody is at R2; `deaf`: all is lost but the
    first request; `clear`:
    R1 is cleared by its operator in the end.
    """
    world = World(1)
    base = BASE | (first or {})
    one = world.add(load(CONFIG.format(**ENDS["R1"], **base)))
    other = None if how.get("alone") else world.add(load(CONFIG.format(**ENDS["R2"], **base | (second or {}))))
    if how.get("deaf"):
        world.impairments.append(_first_alone)
    world.ping("R1", "10.1.0.10", "10.2.0.10")
    world.run(900 if how.get("alone") or how.get("deaf") else 3)
    if how.get("clear"):
        one.node.request(Clear(), world.now)
        world.settle(one)
        world.run(2)
    return list(one.records if side == "R1" or other is None else other.records)


def _first_alone(mail: Mail) -> tuple[float, ...]:
    """The first datagram of all arrives, no other does."""
    return (0.01,) if mail.number == 1 else ()


LISTS = {
    name: f"""{POLICY}
ip access-list extended WANTED
 permit ip {source} 0.0.0.255 {destination} 0.0.0.255
interface Tunnel0"""
    for name, source, destination in (("R1", "10.1.0.0", "10.2.0.0"), ("R2", "10.3.0.0", "10.1.0.0"))
}


@dataclass(frozen=True, slots=True)
class Situation:
    """A transcript, what it shows, and the session of ours in the same situation."""

    number: str
    what: str
    ours: Callable[[], list[Record]]


SITUATIONS: tuple[Situation, ...] = (
    Situation("01", "initiator, up", lambda: session("R1", first={"prf": "sha256"})),
    Situation("02", "responder, up", lambda: session("R2", first={"prf": "sha256"})),
    Situation("05", "initiator, nobody answers", lambda: session("R1", alone=True)),
    Situation("06", "responder, IKE_AUTH never comes", lambda: session("R2", deaf=True)),
    Situation("07", "initiator, up, then cleared", lambda: session("R1", clear=True)),
    Situation("08", "responder, wrong pre-shared key", lambda: session("R2", {"key": "12345678"})),
    Situation("11", "responder, no common IKE proposal", lambda: session("R2", {"bits": "256"})),
    Situation(
        "16", "initiator, no common ESP proposal", lambda: session("R1", {"suite": "esp-aes 128 esp-sha256-hmac"})
    ),
    Situation(
        "17", "responder, no common ESP proposal", lambda: session("R2", {"suite": "esp-aes 128 esp-sha256-hmac"})
    ),
    Situation(
        "18",
        "responder, no matching traffic selector",
        lambda: session("R2", {"protect": LISTS["R2"]}, first={"protect": LISTS["R1"]}),
    ),
)
_BARE = re.compile(r"IKEv2(?P<kind>-ERROR|-INTERNAL)?:(?:\((?:SESSION ID = \d+,)?SA ID = \d+\):)?(?P<text>.*)")
_TRACE = re.compile(r"SM Trace-> SA: .*CurState: (?P<state>\w+) Event: (?P<event>\w+)")
_SIGN = {None: ".", "-ERROR": "!", "-INTERNAL": "~"}
_MASKS = (
    (r"\b0x[0-9A-F]{16}\b", "0x<spi>"),
    (r"\b[0-9A-F]{16}\b", "<spi>"),
    (r"0x[0-9A-F]{8}\b", "0x<spi>"),
    (r"\b\d{1,3}(?:\.\d{1,3}){3}\b", "<ip>"),
    (r"key len \d+", "key len <n>"),
)


def restated(lines: Iterable[str]) -> list[str]:
    """Our lines in the transcripts' form; what our `Parse` remarks repeat of the payloads' names is left out."""
    out: list[str] = []
    contents = False
    for line in lines:
        text = line.rstrip()
        for pattern, mask in _MASKS:
            text = re.sub(pattern, mask, text)
        found = _BARE.fullmatch(text)
        if not text or (found and found["text"].startswith("Parse ")):
            continue
        glued = re.fullmatch(r"(?P<head>.*policy)(?P<tail>(?:ESP: )?Proposal \d+:  .*)", text)
        if glued is not None and found is not None:
            out += [f"! {glued['head'].partition('):')[2]}", f": {glued['tail']}"]
        elif found is None:
            sign = "p" if contents else ":"
            out.append(f"{sign} {re.sub(' +', ' ', text.strip()) if not text.startswith('Proposal') else text}")
        elif trace := _TRACE.fullmatch(found["text"]):
            out.append(f"> {trace['state']} {trace['event']}")
        else:
            out.append(f"{_SIGN[found['kind']]} {found['text'].strip()}".rstrip())
        contents = text.startswith("Payload contents:")
    return out


def real(number: str) -> list[str]:
    """A transcript's lines."""
    text = (DATA / f"debug-{number}.txt").read_text(encoding="utf-8")
    return [line for line in text.splitlines() if not line.startswith("#")]


@cache
def ours(number: str) -> tuple[str, ...]:
    """Our lines in its situation, up to the end of the first IKE SA."""
    situation = next(one for one in SITUATIONS if one.number == number)
    lines = restated(line for record in situation.ours() for line in Renderer("internal").lines(record))
    ends = [lines.index(last) + 1 for last in (". Deleting SA", ". Abort exchange") if last in lines]
    return tuple(lines[: max(ends, default=len(lines))])


@dataclass(frozen=True, slots=True)
class Measure:
    """Lines expected, those of them that are equal in order, the deviations behind the others, and what none names."""

    number: str
    what: str
    lines: int
    equal: int
    named: tuple[tuple[Deviation, int], ...]
    unnamed: tuple[str, ...]

    @property
    def share(self) -> float:
        """Equal lines out of those that no deviation sets aside."""
        aside = sum(count for _, count in self.named)
        return self.equal / (self.lines - aside)


def _names(one: Deviation, number: str, line: str) -> bool:
    if one.only and number not in one.only:
        return False
    patterns = one.ios if line[0] == "-" else one.ours
    return any(re.fullmatch(pattern, line[1:]) for pattern in patterns)


@cache
def measure(number: str) -> Measure:
    """One transcript beside ours; the named are counted by the transcript's lines that they set aside."""
    situation = next(one for one in SITUATIONS if one.number == number)
    ios, mine = real(number), list(ours(number))
    blocks = difflib.SequenceMatcher(None, ios, mine, autojunk=False).get_opcodes()
    differing = [
        f"{sign}{line}"
        for tag, a, b, c, d in blocks
        if tag != "equal"
        for sign, some in (("-", ios[a:b]), ("+", mine[c:d]))
        for line in some
    ]
    counts: dict[Deviation, int] = {}
    unnamed = []
    for line in differing:
        one = next((deviation for deviation in ASA if _names(deviation, number, line)), None)
        if one is None:
            unnamed.append(line)
        else:
            counts[one] = counts.get(one, 0) + (line[0] == "-")
    equal = sum(b - a for tag, a, b, _, _ in blocks if tag == "equal")
    return Measure(number, situation.what, len(ios), equal, tuple(counts.items()), tuple(unnamed))
