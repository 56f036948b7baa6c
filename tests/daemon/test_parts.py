"""The parts around the node: UDP sockets, recordings, key files, the choice of a data plane."""

import socket
from datetime import UTC, datetime
from ipaddress import IPv4Address, ip_address
from pathlib import Path

import pytest
from tests.daemon.routers import R1

from ikescope.crypto.keys import IkeKeys
from ikescope.crypto.suites import ENCRYPTIONS, INTEGRITIES, PRFS, EspSuite, IkeSuite
from ikescope.daemon import dataplane
from ikescope.daemon.keyfile import KeyFiles, esp_line, ike_line
from ikescope.daemon.recording import Recording
from ikescope.daemon.sockets import BATCH, Sockets
from ikescope.engine.commands import Destination, EspKeys, InstallSa, KeysReady, Send
from ikescope.errors import LocalError
from ikescope.events import Record, Stamp, decode
from ikescope.events.router import InterfaceUp
from ikescope.ios.configuration import load

LOOPBACK = IPv4Address("127.0.0.7")
STARTED = datetime(2024, 1, 31, 12, 0, 0, tzinfo=UTC)


class Heard:
    """What sockets handed over."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("ikescope.daemon.sockets.IKE_PORT", 20500)
        monkeypatch.setattr("ikescope.daemon.sockets.NAT_PORT", 24500)
        self.ike: list[tuple[bytes, Destination]] = []
        self.esp: list[tuple[bytes, Destination, int]] = []
        self.keepalives: list[tuple[bytes, Destination]] = []
        self.sockets = Sockets(
            [LOOPBACK],
            ike=lambda *heard: self.ike.append(heard),
            esp=lambda *heard: self.esp.append(heard),
            keepalive=lambda *heard: self.keepalives.append(heard),
        )

    def read(self) -> None:
        """Read every socket once."""
        for fd in self.sockets.filenos():
            self.sockets.read_ready(fd)


def test_port_4500_tells_ike_esp_and_keepalives_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """Four zero octets lead an IKE message, 0xFF alone is a keepalive, all else is ESP (RFC 3948 section 2)."""
    ##= rfc7296#section-2 type=test
    ##% The UDP payload of all packets containing IKE messages sent on port 4500 MUST begin with the prefix of
    ##% four zeros; otherwise, the receiver won't know how to handle them.
    heard = Heard(monkeypatch)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
        peer.bind(("127.0.0.1", 0))
        for octets in (b"\0\0\0\0message", b"\xff", b"\0\0\1\0esp"):
            peer.sendto(octets, (str(LOOPBACK), 24500))
        peer.sendto(b"\0\0\0\0of port 500", (str(LOOPBACK), 20500))
        heard.read()
        port = peer.getsockname()[1]
        far = IPv4Address("127.0.0.1")
        nat, plain = Destination(LOOPBACK, 24500, far, port), Destination(LOOPBACK, 20500, far, port)
        assert heard.ike == [(b"\0\0\0\0of port 500", plain), (b"message", nat)]
        assert heard.esp == [(b"\0\0\1\0esp", nat, 0)]
        assert heard.keepalives == [(b"\xff", nat)]
        for message, wire in (
            (Send(b"answer", plain), b"answer"),
            (Send(b"answer", nat), b"\0\0\0\0answer"),
            (Send(b"\xff", nat), b"\xff"),
        ):
            assert heard.sockets.send(message) == ""
            assert peer.recvfrom(100) == (wire, (str(LOOPBACK), message.path.local_port))
        heard.sockets.send_esp(b"\0\0\1\0esp", nat)
        assert peer.recvfrom(100) == (b"\0\0\1\0esp", (str(LOOPBACK), 24500))
    heard.sockets.close()


def test_esp_in_udp_carries_its_congestion_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    """The ECN bits go out in the IP header around ESP, and what came in it is told with the packet (RFC 6040)."""
    heard = Heard(monkeypatch)
    here = Destination(LOOPBACK, 24500, LOOPBACK, 24500)
    for ecn in range(4):
        heard.sockets.send_esp(b"\0\0\1\0esp", here, ecn)
    heard.read()
    assert [ecn for _, _, ecn in heard.esp] == [0, 1, 2, 3]
    heard.sockets.close()


def test_a_flood_is_taken_in_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    """One wake-up takes `BATCH` datagrams and no more, so that timers and the other sockets have their turn."""
    heard = Heard(monkeypatch)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
        for _ in range(BATCH + 6):
            peer.sendto(b"x", (str(LOOPBACK), 20500))
    heard.read()
    assert len(heard.ike) == BATCH
    heard.read()
    assert len(heard.ike) == BATCH + 6
    heard.sockets.close()


def test_an_unreachable_peer_is_a_reason_not_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """What cannot be sent gives its reason; an ICMP error for what was sent ends nothing."""
    heard = Heard(monkeypatch)
    dead = Destination(LOOPBACK, 20500, IPv4Address("127.0.0.1"), 9)
    for _ in range(3):
        heard.sockets.send(Send(b"to nobody", dead))
        heard.read()
    wide = Destination(LOOPBACK, 20500, IPv4Address("255.255.255.255"), 9)
    assert heard.sockets.send(Send(b"x", wide)) != ""
    stranger = Destination(IPv4Address("127.0.0.9"), 500, IPv4Address("127.0.0.1"), 9)
    assert heard.sockets.send(Send(b"x", stranger)) == "no socket on 127.0.0.9:500"
    assert "too long" in heard.sockets.send(Send(bytes(70000), dead)).lower()
    heard.sockets.close()


def test_a_port_in_use_is_one_line_and_the_others_are_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A second daemon on the same address is told which port is taken, and holds none of them afterwards."""
    first = Heard(monkeypatch)
    with pytest.raises(LocalError, match=r"^UDP port 20500 on 127\.0\.0\.7 is in use"):
        Heard(monkeypatch)
    first.sockets.close()
    Heard(monkeypatch).sockets.close()


def record(seq: int) -> Record:
    """Some record."""
    return Record(Stamp(seq=seq, mono=0.0, wall=0.0, router="R1"), InterfaceUp(interface="Tunnel0"))


def test_a_recording_is_readable_at_any_moment(tmp_path: Path) -> None:
    """Every record is a whole line in the file as soon as it was added, for its owner's eyes."""
    recording = Recording(tmp_path / "new", "R1", STARTED)
    for seq in range(3):
        recording.add(record(seq))
        assert [decode(line).stamp.seq for line in recording.path.read_bytes().splitlines()] == list(range(seq + 1))
    assert recording.path == tmp_path / "new" / "R1-20240131T120000.jsonl"
    assert recording.path.stat().st_mode & 0o777 == 0o600
    recording.close()
    recording.add(record(9))


def test_a_recording_is_bounded(tmp_path: Path) -> None:
    """Full files make room for new ones; the latest are kept, no line is torn."""
    recording = Recording(tmp_path, "R1", STARTED, part_octets=400, parts=3)
    for seq in range(40):
        recording.add(record(seq))
    recording.close()
    files = sorted(tmp_path.iterdir(), key=lambda path: int(path.name.split(".")[1]))
    assert len(files) == 3
    assert all(path.stat().st_size <= 400 for path in files)
    kept = [decode(line).stamp.seq for path in files for line in path.read_bytes().splitlines()]
    assert kept == list(range(kept[0], 40))


def test_a_full_disk_ends_the_recording_alone() -> None:
    """What the disk refuses ends the recording with its reason; adding goes on without an error."""
    recording = Recording.__new__(Recording)
    Recording.__init__(recording, Path("/dev/shm"), "ikescope-test", STARTED)
    real = recording.path
    try:
        with open("/dev/full", "wb", buffering=0) as full:
            recording._fd = full.fileno()
            recording.add(record(1))
            recording.add(record(2))
        assert recording.ended.endswith(": No space left on device")
    finally:
        real.unlink()


def test_key_lines_are_those_of_wireshark(tmp_path: Path) -> None:
    """The rows have Wireshark's fields and names; a suite that it does not open has none; the files have mode 0600."""
    keys = IkeKeys(b"d" * 32, b"", b"", b"\1" * 20, b"\2" * 20, b"p" * 32, b"p" * 32)
    ready = KeysReady(b"\x11" * 8, b"\x22" * 8, IkeSuite(ENCRYPTIONS[20, 128], None, PRFS[5], 31), keys)
    gcm = "AES-GCM-128 with 16 octet ICV [RFC5282]"
    assert ike_line(ready) == f'{"11" * 8},{"22" * 8},{"01" * 20},{"02" * 20},"{gcm}",,,"NONE [RFC4306]"'
    chacha = KeysReady(b"\x11" * 8, b"\x22" * 8, IkeSuite(ENCRYPTIONS[28, 0], None, PRFS[5], 31), keys)
    assert ike_line(chacha) is None

    path = Destination(ip_address("10.0.0.1"), 4500, ip_address("10.0.0.2"), 4500)
    install = InstallSa(
        spi=0xC0FFEE,
        direction="out",
        suite=EspSuite(ENCRYPTIONS[12, 128], INTEGRITIES[2], False, None),
        keys=EspKeys(b"\3" * 16, b"\4" * 20),
        path=path,
        udp=True,
        transport=False,
        tunnel="Tunnel0",
        local=(),
        remote=(),
        reqid=1,
        replay_window=64,
        lifetime_kilobytes=None,
    )
    row = ("IPv4", "10.0.0.1", "10.0.0.2", "0x00c0ffee", "AES-CBC [RFC3602]", "0x" + "03" * 16)
    assert esp_line(install) == ",".join(f'"{cell}"' for cell in (*row, "HMAC-SHA-1-96 [RFC2404]", "0x" + "04" * 20))

    files = KeyFiles(tmp_path)
    for command in (ready, chacha, install):
        files.add(command)
    files.close()
    for name in ("ikev2_decryption_table", "esp_sa"):
        assert (tmp_path / name).stat().st_mode & 0o777 == 0o600
        assert len((tmp_path / name).read_text().splitlines()) == 1


def test_a_data_plane_that_is_not_here_is_said_in_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """`auto` takes the kernel where it can, else userland, and knows why; where neither is, both reasons are said."""
    config = load(R1)
    assert dataplane.choose("none", config) == ("none", "")
    monkeypatch.setattr("ikescope.planes.kernel_host.probe", lambda config: None)
    assert dataplane.choose("auto", config) == dataplane.choose("kernel", config) == ("kernel", "")
    monkeypatch.setattr("ikescope.planes.kernel_host.probe", lambda config: "it has no ESP")
    monkeypatch.setattr("ikescope.planes.userland.probe", lambda: None)
    assert dataplane.choose("auto", config) == ("userland", "it has no ESP")
    assert dataplane.choose("userland", config) == ("userland", "")
    with pytest.raises(LocalError, match="no kernel data plane here: it has no ESP; --data-plane auto takes"):
        dataplane.choose("kernel", config)
    monkeypatch.setattr("ikescope.planes.userland.probe", lambda: "there is no /dev/net/tun here")
    message = "no userland data plane here: there is no /dev/net/tun here, nor one in the kernel: it has no ESP; "
    with pytest.raises(LocalError, match=message):
        dataplane.choose("auto", config)


def test_a_router_without_a_tunnel_waits_for_one() -> None:
    """It may be configured from empty: nothing is made and no address is listened on until a tunnel is complete."""
    plane, config = dataplane.make(
        load("hostname R1\n", name="R1.cfg"), "none", {}, send_udp=lambda octets, path, ecn: None
    )
    assert dataplane.sources(config) == ()
    change = plane.change(load(R1))
    assert [str(step) for step in change.steps.first] == ["Listen(address=IPv4Address('10.99.0.1'))"]


def test_without_a_data_plane_the_tunnel_source_is_resolved_all_the_same() -> None:
    """The configuration comes back with each tunnel's source address: where the router listens."""
    plane, config = dataplane.make(load(R1), "none", {}, send_udp=lambda octets, path, ecn: None)
    assert plane.name == "none"
    assert dataplane.sources(config) == (ip_address("10.99.0.1"),)
    text = R1.replace("tunnel source 10.99.0.1", "tunnel source GigabitEthernet1").replace("10.99.0.2", "127.0.0.2")
    _, config = dataplane.make(load(text), "none", {}, send_udp=lambda octets, path, ecn: None)
    assert dataplane.sources(config) == (ip_address("127.0.0.1"),)
