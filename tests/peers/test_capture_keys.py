"""A capture of two strongSwans, opened with what charon's own log tells: as much as tshark opens, and AUTH verified."""

from collections.abc import Callable
from pathlib import Path

import pytest
from tests.peers.test_strongswan_pair import SUITES, Start, bring_up, spis
from tests.support import charonkeys
from tests.support.ikescope import PSK
from tests.support.netns import HOST_B, Topology
from tests.support.process import wait_until
from tests.support.strongswan import Connection
from tests.support.tshark import capturing, decode, unopened

from ikescope.capture import source
from ikescope.capture.conversation import Reading
from ikescope.capture.keyfiles import KeyRing
from ikescope.events import Record
from ikescope.events.life import ChildSaCreated, ChildSaRekeyed, IkeSaClosed, IkeSaRekeyed
from ikescope.events.message import MessageReceived, MessageSent
from ikescope.events.negotiation import AuthVerified
from ikescope.events.router import EspSeen

Site = Callable[..., Connection]
WRONG = b"another key"


def count(records: list[Record], kind: type) -> int:
    """How many records are of a kind."""
    return sum(isinstance(one.event, kind) for one in records)


@pytest.mark.parametrize(("ike", "esp"), SUITES)
def test_charons_log_opens_the_capture(
    net: Topology, charon: Start, site: Site, tmp_path: Path, ike: str, esp: str
) -> None:
    """The keys of a log at level 4, which names no SPI, open every IKE message across rekeys and all ESP."""
    with capturing(net.gw_b, tmp_path / "wire.pcap") as capture:
        a, _ = bring_up(net, charon, site, ike=ike, esp=esp, log_keys=True)
        made = [spis(a)]
        assert net.host_a.ping(HOST_B).lost == 0
        a.rekey(child="net")
        a.wait_for_log(r"outbound CHILD_SA net\{2\} established")
        a.rekey(ike="peer")
        wait_until("a new IKE SA", lambda: [s["initiator-spi"] != made[0][0] for s in a.established()] == [True])
        made.append(spis(a))
        assert net.host_a.ping(HOST_B).lost == 0
        a.terminate(ike="peer")
        log = a.log()
    notes: list[str] = []
    psks = (("", WRONG), ("", PSK.encode()))
    reading = Reading(ring=KeyRing().add(log, "charon.log"), psks=psks, note=notes.append)
    records = source.read(capture.read_bytes(), "wire.pcap", reading)
    messages = [one.event for one in records if isinstance(one.event, MessageSent | MessageReceived)]
    assert notes == []
    assert messages and all(isinstance(one.inner, tuple) for one in messages)
    assert [count(records, kind) for kind in (AuthVerified, IkeSaRekeyed, ChildSaRekeyed)] == [2, 1, 1]
    assert [count(records, kind) for kind in (ChildSaCreated, IkeSaClosed)] == [2, 2]
    seen = [one.event for one in records if isinstance(one.event, EspSeen)]
    assert seen and all(one.opened == one.packets for one in seen)
    packets = decode(capture, tables=charonkeys.tables(log, made, tmp_path / "keys"))
    assert unopened(packets) == []
    assert sum("isakmp" in packet.protocols for packet in packets) == len(messages)
    assert sum("esp" in packet.protocols for packet in packets) == sum(one.packets for one in seen)
