"""`--write-keys`: the keys of the SAs in the two tables that Wireshark opens captures with."""

from __future__ import annotations

import os
from pathlib import Path

from ikescope.capture import keys
from ikescope.daemon.paths import make_directory
from ikescope.engine.commands import Command, InstallSa, KeysReady
from ikescope.errors import LocalError

IKE_TABLE, ESP_TABLE = "ikev2_decryption_table", "esp_sa"


def ike_line(command: KeysReady) -> str | None:
    """The row of `ikev2_decryption_table` for an IKE SA; None for a suite that Wireshark does not open."""
    suite, secrets = command.suite, command.keys
    row = keys.IkeKeys(
        spi_i=command.spi_i.hex(),
        spi_r=command.spi_r.hex(),
        encryption=suite.encryption.id,
        key_length=suite.encryption.key_bits or None,
        sk_ei=secrets.sk_ei,
        sk_er=secrets.sk_er,
        integrity=suite.integrity.id if suite.integrity is not None else 0,
        sk_ai=secrets.sk_ai,
        sk_ar=secrets.sk_ar,
    )
    try:
        return keys.ike_line(row)
    except LocalError:
        return None


def esp_line(command: InstallSa) -> str | None:
    """The row of `esp_sa` for an ESP SA; None for a suite that Wireshark does not open."""
    ends = (str(command.path.remote), str(command.path.local))
    source, destination = ends if command.direction == "in" else ends[::-1]
    row = keys.EspKeys(
        source=source,
        destination=destination,
        spi=f"{command.spi:08x}",
        encryption=command.suite.encryption.id,
        key=command.keys.encryption,
        integrity=command.suite.integrity.id if command.suite.integrity is not None else 0,
        integrity_key=command.keys.integrity,
    )
    try:
        return keys.esp_line(row)
    except LocalError:
        return None


class KeyFiles:
    """The two tables in a directory (mode 0600); rows are appended, so that both ends of a tunnel may share one."""

    def __init__(self, directory: Path) -> None:
        make_directory(directory)
        self._files: dict[str, int] = {}
        for name in (IKE_TABLE, ESP_TABLE):
            try:
                flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
                self._files[name] = os.open(directory / name, flags, 0o600)
                os.fchmod(self._files[name], 0o600)
            except OSError as error:
                raise LocalError(f"key file {directory / name}: {error.strerror}") from error

    def add(self, command: Command) -> None:
        """Write the keys of a KeysReady or InstallSa; other commands hold none."""
        match command:
            case KeysReady():
                self._write(IKE_TABLE, ike_line(command))
            case InstallSa():
                self._write(ESP_TABLE, esp_line(command))

    def _write(self, name: str, line: str | None) -> None:
        if line is not None:
            os.write(self._files[name], f"{line}\n".encode())

    def close(self) -> None:
        """Close both."""
        for fd in self._files.values():
            os.close(fd)
        self._files.clear()
