"""Captures without keys, or with the wrong ones: what follows on a message tells what it was, and how sure that is."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import pytest
from tests.capture.session import packet, wire
from tests.capture.test_keyed import KEY, plain_ring
from tests.support.world import Pair, Side, pair

from ikescope.capture import pcapng, to_records
from ikescope.capture.conversation import Reading
from ikescope.engine.commands import Probe, Rekey
from ikescope.events import Event, Record
from ikescope.events.life import (
    ChildSaClosed,
    ChildSaCreated,
    ChildSaRekeyed,
    IkeSaRekeyed,
    LivenessAnswered,
    LivenessReceived,
)
from ikescope.events.message import FragmentsForgotten
from ikescope.events.negotiation import AuthNearMiss, AuthRefused, AuthVerified
from ikescope.explain.findings import Finding, findings
from ikescope.explain.summary import verdict
from ikescope.sim.world import EPOCH, Mail, World
from ikescope.timeline import Timeline


def captured(world: World, keep: Callable[[Mail], bool] = lambda mail: True) -> bytes:
    """What a capture that sees only some of the mail holds."""
    blocks = [pcapng.section(), pcapng.interface("wire")]
    blocks += [pcapng.packet(0, int((EPOCH + mail.at) * 1e9), packet(mail)) for mail in world.mail if keep(mail)]
    return b"".join(blocks)


def told(records: Iterable[Record], kind: type[Event]) -> list[Record]:
    """The records of a kind."""
    return [one for one in records if isinstance(one.event, kind)]


def judged(records: Iterable[Record]) -> list[Finding]:
    """What is found, from the side that spoke first."""
    return findings(Timeline().extend(records))


def answer(records: Iterable[Record]) -> str:
    """The verdict."""
    return "\n".join(verdict(Timeline().extend(records)))


def busy(pair: Pair, seconds: float) -> None:
    """Pings for so long."""
    for _ in range(int(seconds // 5)):
        pair.ping("R1")
        pair.world.run(5)


def test_up_is_said_as_inferred() -> None:
    """Nothing in a closed capture says that a tunnel is up: the first line says that it seems so, the second why."""
    both = pair(Side(mode="acl")).up()
    first, second, *_ = verdict(Timeline().extend(to_records(wire(both.world))))
    assert first == "Up, it seems: the IKE SA with 192.0.2.2 and 1 Child SA, inferred."
    assert second.startswith("Inferred: ESP goes both ways since IKE_AUTH was answered; without the keys")
    opened = verdict(Timeline().extend(to_records(wire(both.world), Reading(ring=plain_ring(both)))))
    assert "inferred" not in opened[0]


@pytest.mark.parametrize("by", ["R1", "R2"])
@pytest.mark.parametrize("suite", ["cbc", "gcm"])
def test_a_rekeyed_child_is_told_by_its_new_spis(by: str, suite: str) -> None:
    """With PFS the sizes leave open what is rekeyed; ESP both ways to new SPIs after it says that a Child SA was."""
    both = pair(Side(mode="acl", ike=suite, pfs=19)).up()
    both.ask(by, Rekey(spi=both.one_child(by).inbound))
    both.world.run(1)
    busy(both, 10)
    records = list(to_records(wire(both.world)))
    first, second = told(records, ChildSaCreated)
    mine = both.one_child("R1")
    assert (second.event.inbound, second.event.outbound) == (f"{mine.inbound:08x}", f"{mine.outbound:08x}")  # type: ignore[attr-defined]
    (rekeyed,), (closed,) = told(records, ChildSaRekeyed), told(records, ChildSaClosed)
    assert rekeyed.event.old_inbound == closed.event.inbound == first.event.inbound  # type: ignore[attr-defined]
    assert rekeyed.event.initiator is (by == "R1")  # type: ignore[attr-defined]
    assert all(isinstance(one.stamp.inferred, str) for one in (second, rekeyed, closed))
    assert judged(records) == [] or {one.severity for one in judged(records)} == {"note"}


@pytest.mark.parametrize("by", ["R1", "R2"])
def test_a_rekeyed_ike_sa_is_told_by_spis_without_an_init(by: str) -> None:
    """New IKE SPIs that no IKE_SA_INIT made, after CREATE_CHILD_SA was answered: the successor, with its Child SAs."""
    both = pair(Side(mode="acl")).up()
    both.ask(by, Rekey(sa=both.one_ike(by).id))
    both.world.run(1)
    both.ask("R1", Probe(sa=both.one_ike("R1").id))
    both.world.run(1)
    records = list(to_records(wire(both.world)))
    (rekeyed,) = told(records, IkeSaRekeyed)
    assert rekeyed.event.new_spi_i == both.one_ike("R1").spi_i.hex()  # type: ignore[attr-defined]
    assert rekeyed.event.initiator is (by == "R1") and rekeyed.event.children == 1  # type: ignore[attr-defined]
    assert "Rekeyed so far: IKE SA once" in answer(records)


def test_liveness_over_cbc_is_told_by_what_follows() -> None:
    """Padding leaves open whether it is a question or a Delete: the next one, and ESP that goes on, tell."""
    both = pair(Side(ike="cbc", mode="acl")).up()
    for name in ("R1", "R2", "R1"):
        both.ask(name, Probe(sa=both.one_ike(name).id))
        busy(both, 10)
    records = list(to_records(wire(both.world)))
    assert [len(told(records, kind)) for kind in (LivenessAnswered, LivenessReceived)] == [1, 1]
    assert all(isinstance(one.stamp.inferred, str) for one in told(records, LivenessAnswered))


@pytest.mark.parametrize("silent", ["192.0.2.1", "192.0.2.2"])
def test_esp_one_way_alone_is_at_most_likely(silent: str) -> None:
    """ESP to one end alone since IKE_AUTH: it seems up and nothing comes back; never certain."""
    both = pair(Side(mode="acl")).up()
    busy(both, 60)
    seen = captured(both.world, lambda mail: mail.kind == "ike" or str(mail.path.local) != silent)
    records = list(to_records(seen))
    (found,) = [one for one in judged(records) if one.severity != "note"]
    assert (found.id, found.confidence) == ("up-no-traffic", "likely")
    assert f"no ESP of {silent}" in found.cause
    assert answer(records).startswith("Up, it seems")


def test_esp_both_ways_is_no_finding() -> None:
    """The same capture with both directions: nothing is wrong."""
    both = pair(Side(mode="acl")).up()
    busy(both, 60)
    assert judged(to_records(wire(both.world))) == []


def test_a_capture_of_one_direction_says_so() -> None:
    """Requests that go on without one response: they were answered, elsewhere; no silence is diagnosed."""
    both = pair(Side(mode="acl", dpd="10 2 periodic")).up()
    both.world.run(60)
    notes: list[str] = []
    seen = captured(both.world, lambda mail: mail.kind == "ike" and str(mail.path.local) == "192.0.2.1")
    records = list(to_records(seen, Reading(note=notes.append)))
    assert [one for one in judged(records) if one.severity != "note"] == []
    assert any("holds one direction only" in note for note in notes)
    assert "one direction only" in answer(records)


def test_a_peer_that_repeats_unanswered_is_not_told_as_answered() -> None:
    """R2 asks again and again and R1 is not seen to answer: R1 is silent, which is no loss of answers."""
    both = pair(Side(mode="acl", dpd="10 2 periodic")).up()
    both.world.remove("R1")
    both.world.run(300)
    (found,) = [one for one in judged(to_records(wire(both.world))) if one.severity != "note"]
    assert (found.id, found.side) == ("peer-dead", "local")
    assert "does not answer INFORMATIONAL" in found.cause


def torn(octets: bytes) -> list[bytes]:
    """An IPv4 packet as its first fragment of 1,280 octets, the rest lost; small ones whole."""
    if len(octets) <= 1300:
        return [octets]
    head = bytearray(octets[:20])
    head[2:4], head[6:8] = (20 + 1280).to_bytes(2, "big"), (0x2000).to_bytes(2, "big")
    return [bytes(head) + octets[20 : 20 + 1280]]


def test_lost_ip_fragments_are_large_messages_that_are_lost() -> None:
    """Of IKE_AUTH the first IP fragment alone is in the capture, each time: large messages are lost."""
    long = Side(mode="acl", identity=f"key-id {'x' * 1300}")
    both = pair(long, long)
    both.world.impairments.append(lambda mail: () if mail.kind == "ike" and len(mail.octets) > 1280 else None)
    both.ping("R1")
    both.world.run(100)
    blocks = [pcapng.section(), pcapng.interface("wire")]
    for number, mail in enumerate(both.world.mail):
        for part in torn(packet(mail)):
            part = part[:4] + number.to_bytes(2, "big") + part[6:]
            blocks.append(pcapng.packet(0, int((EPOCH + mail.at) * 1e9), part))
    records = list(to_records(b"".join(blocks)))
    assert told(records, FragmentsForgotten)
    (found,) = [one for one in judged(records) if one.severity != "note"]
    assert (found.id, found.side, found.confidence) == ("large-messages-lost", "path", "likely")
    assert any("crypto ikev2 fragmentation" in line for one in found.remedy for line in one.lines)


def with_psk(both: Pair, *keys: bytes) -> tuple[list[Record], list[str]]:
    """A capture with all SK_ keys and these pre-shared keys, and what is noted."""
    notes: list[str] = []
    psks = tuple(("", key) for key in keys)
    reading = Reading(ring=plain_ring(both), psks=psks, note=notes.append)
    return list(to_records(wire(both.world), reading)), notes


def test_a_wrong_psk_of_a_session_that_came_up_is_not_the_key() -> None:
    """Both ends took each other's AUTH: the key in the file is another, and nothing is wrong with the session."""
    records, notes = with_psk(pair(Side(mode="acl")).up(), b"wrong")
    assert told(records, AuthRefused) == [] and judged(records) == []
    assert ["this is not the key" in note for note in notes] == [True, True]
    assert answer(records).startswith("The tunnel is up")


def test_a_near_psk_of_a_session_that_came_up_is_named_by_its_slip() -> None:
    """A key with a line end of the file too many is not the key, but near to it."""
    _, notes = with_psk(pair(Side(mode="acl")).up(), KEY + b"\r\n")
    assert "this is not the key; a key near to it does (line end)" in notes[0]


def refused() -> Pair:
    """R1 has a key that R2 has not."""
    both = pair(Side(mode="acl"), Side(mode="acl", key="another"))
    both.ping("R1")
    both.world.run(3)
    return both


def test_a_psk_that_fits_a_refused_auth_points_at_the_other_end() -> None:
    """R1's AUTH is made with the key of the file and R2 refused it: R2 has another."""
    records, _ = with_psk(refused(), KEY)
    assert len(told(records, AuthVerified)) == 1
    (found,) = [one for one in judged(records) if one.severity != "note"]
    assert (found.id, found.side, found.confidence) == ("psk-mismatch", "peer", "likely")
    assert "192.0.2.2 has another key" in found.cause and "identity-mismatch" in found.instead


def test_a_psk_that_does_not_fit_a_refused_auth_points_at_who_made_it() -> None:
    """R2 refused R1's AUTH, which is not made with the key of the file: it is R1 that has another."""
    records, _ = with_psk(refused(), b"another")
    (found,) = [one for one in judged(records) if one.severity != "note"]
    assert (found.id, found.side, found.confidence) == ("psk-mismatch", "local", "likely")
    assert "192.0.2.1 has another key" in found.cause


def test_a_near_miss_is_told_offline() -> None:
    """The key of the file with a blank behind it is what R1 used: the slip is told, and no key."""
    both = pair(Side(mode="acl"), Side(mode="acl", key="another"))
    both.ping("R1")
    both.world.run(3)
    records, _ = with_psk(both, KEY.upper())
    ((near, event),) = [(one, one.event) for one in told(records, AuthNearMiss)]
    assert isinstance(event, AuthNearMiss) and event.kind == "case" and near.stamp.router == "192.0.2.2"
    (found,) = [one for one in judged(records) if one.severity != "note"]
    assert any("upper and lower case" in line for line in found.because)
    assert KEY.decode() not in repr(records) and KEY.decode().upper() not in repr(records)
