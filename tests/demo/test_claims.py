"""What the tour checks about itself can fail, and it says so."""

from __future__ import annotations

import errno
import io
from ipaddress import ip_address
from pathlib import Path

import pytest
from tests.demo.tours import flat, in_memory, texts

from ikescope.capture.frames import ethernet_frame, ike_packet, ip_packet
from ikescope.capture.pcapng import LINK_ETHERNET, LINK_RAW
from ikescope.demo import checks, namespaces, output
from ikescope.demo.memory import MemoryStage
from ikescope.demo.plan import plan
from ikescope.demo.screen import Screen, tally
from ikescope.demo.session import Session
from ikescope.demo.stage import Echoed, Frame, Unavailable
from ikescope.errors import LocalError
from ikescope.explain.scene import Step

R1, R2 = ip_address("198.51.100.1"), ip_address("198.51.100.2")


def _ike(spi_i: int, spi_r: int) -> Frame:
    header = spi_i.to_bytes(8, "big") + spi_r.to_bytes(8, "big") + bytes(12)
    return Frame(0, LINK_RAW, ike_packet(str(R1), 500, str(R2), 500, header))


def _ip(protocol: int, data: bytes, *, ethernet: bool = False) -> Frame:
    packet = ip_packet(R1, R2, protocol, data)
    return Frame(0, LINK_ETHERNET, ethernet_frame(packet)) if ethernet else Frame(0, LINK_RAW, packet)


def test_ike_before_the_ping_is_seen() -> None:
    """One IKE packet before the first ping breaks the claim; ESP and silence do not."""
    assert checks.quiet_before([]).held
    assert checks.quiet_before([_ip(50, bytes(16))]).held
    assert not checks.quiet_before([_ike(1, 0)]).held


def test_a_printed_spi_must_be_in_the_capture() -> None:
    """An SPI that no packet carries is named; the zero responder SPI is none."""
    printed = ["Initiator SPI : 00000000000000AB - Responder SPI : 0000000000000000", "[SPI: 0x0000CAFE]"]
    frames = [_ike(0xAB, 0), _ip(50, bytes.fromhex("0000cafe") + bytes(12))]
    assert checks.spis_on_the_wire(printed, frames).held
    missing = checks.spis_on_the_wire(printed, frames[:1])
    assert not missing.held
    assert missing.claim.endswith("missing: 0000CAFE")
    assert checks.spis_on_the_wire(printed, frames[:1], esp_too=False).held
    assert not checks.spis_on_the_wire(printed, frames[1:], esp_too=False).held


@pytest.mark.parametrize("ethernet", [False, True])
@pytest.mark.parametrize("protocol", [1, 47])
def test_a_packet_in_clear_is_seen(protocol: int, ethernet: bool) -> None:
    """ICMP or GRE between the routers breaks the claim, on either link type; ARP is no packet of the LANs."""
    arp = Frame(0, LINK_ETHERNET, bytes(12) + b"\x08\x06" + bytes(28))
    esp = _ip(50, bytes(16), ethernet=ethernet)
    assert checks.nothing_in_clear([esp, arp]).held
    assert not checks.nothing_in_clear([esp, _ip(protocol, bytes(16), ethernet=ethernet)]).held


def test_a_lost_ping_is_seen() -> None:
    """A request without a reply breaks the claim, and so does a ping that never was."""
    assert checks.none_lost("the ping", [Echoed(1, 1.0)]).held
    assert not checks.none_lost("the ping", [Echoed(1, 1.0), Echoed(2, None)]).held
    assert not checks.none_lost("the ping", []).held


def test_a_printed_or_written_key_is_seen() -> None:
    """A pre-shared key in the output or in any file breaks the claim."""
    keys = checks.secrets(plan(texts()).configs.values())
    assert keys == {b"ike-scope-tour"}
    assert checks.no_secret(keys, ["quiet"], [b"quiet"]).held
    assert not checks.no_secret(keys, ["it is ike-scope-tour"], []).held
    assert not checks.no_secret(keys, [], [b"..ike-scope-tour.."]).held


def test_a_missing_part_is_seen() -> None:
    """Parts out of order or left out break the claim."""
    assert checks.in_order([1, 2], [1, 2]).held
    assert not checks.in_order([2, 1], [1, 2]).held


@pytest.mark.usefixtures("without_tun")
def test_a_tour_that_does_not_go_as_claimed_ends_with_status_1(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a ping of the tour is lost, a line says NO and the exit status is 1; the files are written all the same."""
    monkeypatch.setattr(MemoryStage, "ping_off", lambda stage: [Echoed(1, None)])
    tour = in_memory(tmp_path)
    assert tour.status == 1
    assert "NO   the ping through both rekeys and the new Child SA: 1 echo requests, 1 lost" in flat(tour.text)
    assert (tmp_path / "walkthrough.md").is_file()


@pytest.mark.usefixtures("without_tun")
def test_a_rekey_that_does_not_come_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where something claimed never happens, the tour says what, in one line, and ends with status 1."""
    monkeypatch.setattr(Session, "rekeys", lambda session: session._rekeyed(int, int, 0, "IKE SA"))
    tour = in_memory(tmp_path)
    assert tour.status == 1
    assert "NO   the rekey of the IKE SA did not happen within 20 s" in tour.text


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    """`--output` on a file is refused in one line before anything runs."""
    (tmp_path / "file").write_text("")
    with pytest.raises(LocalError, match=r"--output .*file: "):
        output.prepare(tmp_path / "file", keys=False)


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_colour_is_for_terminals_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """A terminal gets colour, a file none, a terminal with NO_COLOR none."""
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)

    def printed(out: io.StringIO) -> str:
        Screen(out).note(Step(1, "Title", 0, ("A sentence.",)))
        return out.getvalue()

    assert "\x1b[" in printed(_Terminal())
    assert "\x1b[" not in printed(io.StringIO())
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b[" not in printed(_Terminal())


def test_a_number_stays_with_its_unit() -> None:
    """Folding parts no number from its unit and no section from its number."""
    out = io.StringIO()
    Screen(out).say("x" * 72 + " 292 octets as RFC 7296 has them in section 2.8.")
    assert "292 octets" in out.getvalue().splitlines()[1]


def test_the_tally_counts_as_ping_does() -> None:
    """Sent, received, loss in per cent."""
    assert tally([Echoed(1, 1.0), Echoed(2, None)]) == "2 packets transmitted, 1 received, 50% packet loss"
    assert tally([Echoed(1, 1.0)]) == "1 packet transmitted, 1 received, 0% packet loss"


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without pyroute2 the tour plays in memory, and the line says what to install."""
    monkeypatch.setattr(namespaces, "find_spec", lambda name: None)
    found = namespaces.obstacle()
    assert found == namespaces.Obstacle("The package pyroute2 is missing", "pip install 'ikescope[router]'")


@pytest.mark.parametrize(
    ("failure", "why"),
    [
        (OSError(errno.EPERM, "Operation not permitted", "unshare"), "unshare: Operation not permitted"),
        (Unavailable("this kernel has no user namespaces"), "this kernel has no user namespaces"),
    ],
)
def test_refused_namespaces_are_an_obstacle(monkeypatch: pytest.MonkeyPatch, failure: Exception, why: str) -> None:
    """A kernel that refuses namespaces is no error of the tour: what it refused is told."""

    def refuse() -> None:
        raise failure

    monkeypatch.setattr(namespaces, "enter", refuse)
    assert namespaces.obstacle() == namespaces.Obstacle("No network namespaces for this user", why)
