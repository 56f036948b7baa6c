"""Wireshark's eye, out of .peers/: take a capture in a namespace, decode it with key tables, judge what it says."""

import platform
import re
import signal
import subprocess
import tempfile
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.machine import PEERS
from tests.support.netns import Namespace
from tests.support.process import wait_until_settled

IKE_TABLE, ESP_TABLE = "ikev2_decryption_table", "esp_sa"
OPTIONS = ("esp.enable_encryption_decode:TRUE", "esp.enable_authentication_check:TRUE")


def environment() -> dict[str, str]:
    """What a program out of .peers/root needs to find its own libraries and data."""
    usr = PEERS / "root" / "usr"
    libraries = usr / "lib" / f"{platform.machine()}-linux-gnu"
    return {"LD_LIBRARY_PATH": str(libraries), "WIRESHARK_DATA_DIR": str(usr / "share" / "wireshark")}


def program(name: str) -> str:
    """The path of a program out of .peers/root."""
    return str(PEERS / "root" / "usr" / "bin" / name)


@contextmanager
def capturing(namespace: Namespace, path: Path, *, link: str = "wan", expression: str = "") -> Iterator[Path]:
    """Write what passes `link` of the namespace to the pcap file `path` for as long as the block lasts.

    `expression` is a capture filter ("udp port 500 or udp port 4500 or esp").
    """
    words = ["-i", link, "-Z", "root", "-U", "-n", "-s", "0", "--immediate-mode", "-w", str(path), *expression.split()]
    argv = [program("tcpdump"), *words]
    process = namespace.start(*argv, directory=path.parent, name=f"{path.stem}-tcpdump", env=environment())
    with process:
        process.wait_for("listening on")
        yield path
        # tcpdump ends on the signal even with packets still to read.
        wait_until_settled(path)
        process.stop(signal.SIGINT)


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a decoded packet: its filter name, its value as a filter writes it, its line in the tree."""

    name: str
    show: str
    line: str


@dataclass(frozen=True, slots=True)
class Packet:
    """One decoded packet: its number in the capture, its protocols from the outside in, its fields in order."""

    number: int
    protocols: tuple[str, ...]
    fields: tuple[Field, ...]

    def values(self, name: str) -> list[str]:
        """The values of every field of that filter name, in order."""
        return [field.show for field in self.fields if field.name == name]

    def value(self, name: str) -> str:
        """The first value of that filter name; empty when the packet has none."""
        return next(iter(self.values(name)), "")

    def lines(self, pattern: str) -> list[str]:
        """The lines of the tree in which `pattern` (a regular expression) is found."""
        return [field.line for field in self.fields if re.search(pattern, field.line)]

    @property
    def faults(self) -> list[str]:
        """Wireshark's own malformed marks and its expert remarks of severity error."""
        marks = [field.line for field in self.fields if field.name.startswith("_ws.malformed")]
        severe = [field.line for field in self.fields if re.search(r"Expert Info \(Error/", field.line)]
        return marks + severe


def write_tables(directory: Path, *, ike: Iterable[str] = (), esp: Iterable[str] = ()) -> Path:
    """Write key table lines, in Wireshark's own form, where `decode` takes them from; the directory."""
    directory.mkdir(parents=True, exist_ok=True)
    for name, lines in ((IKE_TABLE, ike), (ESP_TABLE, esp)):
        (directory / name).write_text("".join(f"{line}\n" for line in lines))
    return directory


def decode(capture: Path, *, tables: Path | None = None, display_filter: str = "") -> list[Packet]:
    """Every packet of a capture (that `display_filter` lets through), decoded.

    `tables` is a directory with `ikev2_decryption_table` and `esp_sa`, as `write_tables` or Wireshark keep them.
    """
    return [_packet(element) for element in pdml(capture, tables=tables, display_filter=display_filter)]


def pdml(capture: Path, *, tables: Path | None = None, display_filter: str = "") -> list[ElementTree.Element]:
    """The packets as `tshark -T pdml` writes them; arguments as in `decode`."""
    with tempfile.TemporaryDirectory(prefix="tshark-") as scratch:
        configuration = Path(scratch)
        for name in (IKE_TABLE, ESP_TABLE):
            if tables is not None and (tables / name).is_file():
                (configuration / name).write_bytes((tables / name).read_bytes())
        options = [word for option in OPTIONS for word in ("-o", option)]
        chosen = ["-Y", display_filter] if display_filter else []
        done = subprocess.run(
            [program("tshark"), "-n", "-r", str(capture), *options, *chosen, "-T", "pdml"],
            env={**environment(), "WIRESHARK_CONFIG_DIR": scratch, "HOME": scratch, "PATH": "/usr/bin:/bin"},
            capture_output=True,
            check=False,
            timeout=120,
        )
    if done.returncode:
        raise AssertionError(f"tshark: exit status {done.returncode}: {done.stderr.decode(errors='replace')}")
    return list(ElementTree.fromstring(done.stdout).iter("packet"))


def _packet(element: ElementTree.Element) -> Packet:
    protocols = tuple(proto.get("name", "") for proto in element.findall("proto"))
    fields = tuple(
        Field(part.get("name", ""), part.get("show", ""), part.get("showname", "") or part.get("show", ""))
        for part in element.iter()
        if part.tag in ("field", "proto")
    )
    number = next(field.show for field in fields if field.name == "frame.number")
    return Packet(int(number), protocols, fields)


def assert_clean(packets: Iterable[Packet]) -> None:
    """Nothing is malformed and no expert remark is an error."""
    faults = [f"frame {packet.number}: {fault}" for packet in packets for fault in packet.faults]
    assert not faults, "\n".join(faults)


def unopened(packets: Iterable[Packet]) -> list[str]:
    """Every encrypted IKE message or ESP packet that the key tables do not open with a correct ICV."""
    return [f"frame {packet.number}: {why}" for packet in packets if (why := _why_unopened(packet))]


def _why_unopened(packet: Packet) -> str:
    checks = packet.values("isakmp.enc.icd") and packet.lines("^Integrity Checksum Data")
    if any("[correct]" not in line for line in checks):
        return checks[0]
    if packet.values("isakmp.enc.data") and not checks:
        return "an Encrypted payload that no key table opens"
    if "esp" in packet.protocols and "1" not in packet.values("esp.icv_good"):
        return f"ESP SPI {packet.value('esp.spi')}: no correct ICV"
    return ""
