"""Sessions of the simulator at each level and for each generation of IOS, printed and read back."""

import re
from collections.abc import Callable
from functools import cache

import msgspec
import pytest
from tests.ios.fidelity import BASE, CONFIG, ENDS, LISTS, PROTECT, session
from tests.ios.test_debug_catalogue import known

from ikescope.engine.commands import Clear, Probe, Rekey
from ikescope.events import UNSET, Record, Stamp
from ikescope.events.negotiation import NatChecked
from ikescope.ios.catalogue_table import ROWS
from ikescope.ios.configuration import load
from ikescope.ios.debug import Level, Renderer, transcript
from ikescope.ios.debug_internal import WEAVES
from ikescope.ios.debug_read import Unknown, read
from ikescope.sim.world import World


def _life(side: str) -> list[Record]:
    """Up, both kinds of rekey, a probe, and the end."""
    world = World(1)
    first = world.add(load(CONFIG.format(**ENDS["R1"], **BASE)))
    second = world.add(load(CONFIG.format(**ENDS["R2"], **BASE)))
    world.ping("R1", "10.1.0.10", "10.2.0.10")
    world.run(3)
    for intent in (Rekey(spi=world.status("R1").children[0].inbound), Rekey(sa=1), Probe(), Clear()):
        first.node.request(intent, world.now)
        world.settle(first)
        world.run(3)
    return list((first if side == "R1" else second).records)


SESSIONS: dict[str, Callable[[str], list[Record]]] = {
    "life": _life,
    "wrong key": lambda side: session(side, {"key": "another"}),
    "no IKE proposal": lambda side: session(side, {"bits": "256"}),
    "no ESP proposal": lambda side: session(side, {"suite": "esp-aes 128 esp-sha256-hmac"}),
    "no selector": lambda side: session(side, {"protect": LISTS["R2"]}, first={"protect": LISTS["R1"]}),
    "no response": lambda side: session(side, alone=True),
    "response lost": lambda side: session(side, deaf=True),
}
LEVELS: tuple[tuple[Level, ...], ...] = (
    ("default",),
    ("error",),
    ("internal",),
    ("packet",),
    ("hexdump",),
    ("ipsec",),
    ("internal", "hexdump", "ipsec"),
)


@cache
def told(name: str, side: str) -> tuple[Record, ...]:
    """The records of one side of a session."""
    return tuple(SESSIONS[name](side))


#: A line of the error level alone that stands for two events: who refused, and who was refused.
ALIKE = {"AuthRefused": "ResponseRefused"}


@pytest.mark.parametrize("generation", ["15", "17", "26"])
@pytest.mark.parametrize("levels", LEVELS, ids="+".join)
@pytest.mark.parametrize("name", SESSIONS)
def test_a_session_is_read_back_at_every_level(name: str, levels: tuple[Level, ...], generation: str) -> None:
    """No line is unknown to the reader; it gives each event that printed something, in order, with the facts told."""
    for side in ("R1", "R2"):
        renderer = Renderer(levels, generation)  # type: ignore[arg-type]
        printed = [one for one in told(name, side) if renderer.lines(one)]
        found = list(read(transcript(renderer, printed)))
        assert [one for one in found if isinstance(one, Unknown)] == []
        records = [one for one in found if isinstance(one, Record)]
        names = [type(one.event).__name__ for one in printed]
        if levels == ("error",):
            names = [ALIKE.get(one, one) for one in names]
        assert [ALIKE.get(kind, kind) if levels == ("error",) else kind for kind in map(_name, records)] == names
        for one, wanted in zip(records, printed, strict=True):
            _same(one, wanted, alike=levels == ("error",))


def _name(record: Record) -> str:
    return type(record.event).__name__


#: What a text says of these is another's: the trace tells no reason, an empty exchange no count.
NOT_TOLD = {"trigger", "payloads", "octets"}


def _same(found: Record, wanted: Record, *, alike: bool) -> None:
    if alike and type(found.event) is not type(wanted.event):
        return
    for name in set(msgspec.structs.asdict(found.event)) - NOT_TOLD:
        value, told_of = getattr(found.event, name), getattr(wanted.event, name)
        if value is not UNSET and told_of is not UNSET:
            assert known(value, told_of), (type(found.event).__name__, name, value, told_of)


def test_a_debug_of_the_state_machine_tells_of_states() -> None:
    """At level internal the changes of an IKE SA's state come back out of the trace; whose they are, too."""
    records = told("life", "R1")
    found = [one for one in read(transcript(Renderer("internal"), records)) if isinstance(one, Record)]
    changes = [(one.event.before, one.event.after) for one in found if _name(one) == "StateChanged"]  # type: ignore[attr-defined]
    assert changes[0] == ("IKE_SA_INIT sent", "IKE_AUTH sent")
    assert changes[1] == ("IKE_AUTH sent", "established")
    assert ("deleting", "closed") in changes
    assert all(one.stamp.initiator is True for one in found if _name(one) == "StateChanged")


def test_a_packet_spelled_out_tells_its_payloads_and_length() -> None:
    """A dump gives the names that the default level would, those inside the Encrypted payload, and the length."""
    records = told("life", "R1")
    sent = [one for one in records if _name(one) == "MessageSent"]
    lines = transcript(Renderer("hexdump"), records)
    found = [one for one in read(lines) if isinstance(one, Record) and _name(one) == "MessageSent"]
    assert [one.event.payloads for one in found] == [one.event.payloads for one in sent]  # type: ignore[attr-defined]
    assert found[0].event.size == len(sent[0].event.octets)  # type: ignore[attr-defined]
    assert found[1].event.inner == sent[1].event.inner  # type: ignore[attr-defined]


def test_no_secret_stands_in_a_dump() -> None:
    """The pre-shared key is in no line of any level."""
    for side in ("R1", "R2"):
        text = "\n".join(transcript(Renderer(("internal", "hexdump", "ipsec")), told("wrong key", side)))
        assert "another" not in text
        assert BASE["key"] not in text.replace("key len", "")
        assert PROTECT not in text


@pytest.mark.parametrize("local", [True, False])
@pytest.mark.parametrize("remote", [True, False])
@pytest.mark.parametrize("generation", ["15", "17"])
def test_a_responder_s_remarks_tell_who_is_behind_a_nat(local: bool, remote: bool, generation: str) -> None:
    """Before IKE_AUTH only level internal tells a responder's verdict; it comes back as the event it is."""
    stamp = Stamp(seq=1, mono=0.0, wall=0.0, router="R1", session=7, sa=2, spi_i="a" * 16, initiator=False)
    event = NatChecked(supported=True, local_behind=local, remote_behind=remote, forced=False, floated=False)
    assert Renderer().lines(Record(stamp, event)) == []
    (found,) = read(Renderer("internal", generation).lines(Record(stamp, event)))  # type: ignore[arg-type]
    assert isinstance(found, Record)
    assert isinstance(found.event, NatChecked)
    assert (found.event.local_behind, found.event.remote_behind) == (local, remote)


def test_every_weave_fits_its_rows() -> None:
    """A weave counts no more default lines than its event has, but for 9, which stands for all."""
    for weave in WEAVES:
        counted = sum(step for step in weave.steps if isinstance(step, int) and step != 9)
        most = max((len(row.lines) for row in ROWS if row.event is weave.event), default=0)
        assert counted <= most, weave
        assert all(re.fullmatch(r"[~@].+|[A-Z_]+ EV_[A-Z0-9_]+", step) for step in weave.steps if isinstance(step, str))


def test_no_weave_is_hidden_behind_another() -> None:
    """Each weave is the first that holds for some event: no two of one event have the same conditions."""
    seen = [(one.event, tuple(sorted(map(str, one.when.items()))), tuple(one.stamp.items())) for one in WEAVES]
    assert len(seen) == len(set(seen))
