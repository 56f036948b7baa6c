"""What a running router says on standard error: syslog lines, bounded."""

import pytest

from ikescope.daemon.console import LINES, Console
from ikescope.events import Event, Record, Stamp
from ikescope.events.message import RetransmissionsExhausted
from ikescope.events.negotiation import ExchangeFailed
from ikescope.events.router import InterfaceUp


def record(event: Event, mono: float = 1.0, *, initiator: bool = True) -> Record:
    """An event of R1 with its peer."""
    return Record(Stamp(seq=1, mono=mono, wall=1.7e9, router="R1", peer="198.51.100.2:500", initiator=initiator), event)


def test_an_unreachable_peer_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    """A peer that never answers is named, with what was sent how often and for how long."""
    Console().add(record(RetransmissionsExhausted(exchange=34, sends=7, seconds=254.0)))
    (line,) = capsys.readouterr().err.splitlines()
    assert "Maximum number of retransmissions reached (IKE_SA_INIT sent 7 times in 254 s)" in line
    assert line.endswith("peer 198.51.100.2:500")


def test_a_strangers_failed_request_fills_no_console(capsys: pytest.CaptureFixture[str]) -> None:
    """A refused IKE_SA_INIT of somebody else's is said in the debug, not here."""
    Console().add(record(ExchangeFailed(exchange=34, why="no common proposal"), initiator=False))
    assert capsys.readouterr().err == ""


def test_a_storm_of_lines_is_cut_and_counted(capsys: pytest.CaptureFixture[str]) -> None:
    """More lines than somebody can read are withheld; their number is said later."""
    console = Console()
    for _ in range(LINES + 25):
        console.add(record(InterfaceUp(interface="Tunnel0")))
    assert len(capsys.readouterr().err.splitlines()) == LINES
    console.add(record(InterfaceUp(interface="Tunnel0"), 100.0))
    assert "25 messages were not shown" in capsys.readouterr().err
