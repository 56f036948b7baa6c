"""What stands in for a kernel's IPsec: .peers/fake_xfrm.so preloaded into a daemon, and the ESP keys it was told."""

import csv
from pathlib import Path

from tests.support.machine import PEERS

LIBRARY = PEERS / "fake_xfrm.so"

EspKeys = tuple[str, str, str, str]
"""Of one ESP SA: destination address, SPI, encryption key (AES-GCM: and salt), integrity key or ""; hex."""


def environment(log: Path, library: Path = LIBRARY) -> dict[str, str]:
    """What makes a daemon install its ESP SAs in no kernel, and tell their keys in `log`."""
    return {"LD_PRELOAD": str(library), "FAKE_XFRM_LOG": str(log)}


def esp_keys(log: Path) -> set[EspKeys]:
    """Every ESP SA that the daemon has installed so far; what Libreswan 5 tries at its start goes to no address."""
    lines = log.read_text().splitlines() if log.exists() else []
    rows = (line.split() for line in lines)
    return {
        (to, spi, encryption, "" if integrity == "-" else integrity)
        for to, spi, encryption, integrity in rows
        if encryption != "-" and to != "0.0.0.0"
    }


def table_keys(tables: Path) -> set[EspKeys]:
    """The same of the ESP SAs in a directory of Wireshark's key tables."""
    lines = (tables / "esp_sa").read_text().splitlines()
    return {
        (row[2], row[3].removeprefix("0x"), row[5].removeprefix("0x"), row[7].removeprefix("0x"))
        for row in csv.reader(lines)
    }
