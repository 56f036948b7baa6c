"""`--write-keys`: the keys of the SAs in the two tables that Wireshark opens captures with."""

from __future__ import annotations

import os
from pathlib import Path

from ikescope.crypto.suites import Encryption, Integrity
from ikescope.daemon.paths import make_directory
from ikescope.engine.commands import Command, InstallSa, KeysReady
from ikescope.errors import LocalError
from ikescope.wire.registry.transform import EncryptionId, IntegrityId

IKE_TABLE, ESP_TABLE = "ikev2_decryption_table", "esp_sa"

_IKE_ENCRYPTION = {
    EncryptionId.ENCR_AES_CBC: "AES-CBC-{} [RFC3602]",
    EncryptionId.ENCR_AES_GCM_16: "AES-GCM-{} with 16 octet ICV [RFC5282]",
}
_IKE_INTEGRITY = {
    IntegrityId.AUTH_HMAC_SHA1_96: "HMAC_SHA1_96 [RFC2404]",
    IntegrityId.AUTH_HMAC_SHA2_256_128: "HMAC_SHA2_256_128 [RFC4868]",
    IntegrityId.AUTH_HMAC_SHA2_384_192: "HMAC_SHA2_384_192 [RFC4868]",
    IntegrityId.AUTH_HMAC_SHA2_512_256: "HMAC_SHA2_512_256 [RFC4868]",
}
_ESP_ENCRYPTION = {
    EncryptionId.ENCR_AES_CBC: "AES-CBC [RFC3602]",
    EncryptionId.ENCR_AES_GCM_16: "AES-GCM with 16 octet ICV [RFC4106]",
    EncryptionId.ENCR_CHACHA20_POLY1305: "ChaCha20 with Poly1305 [RFC7634]",
    EncryptionId.ENCR_NULL: "NULL",
}
_ESP_INTEGRITY = {
    IntegrityId.AUTH_HMAC_SHA1_96: "HMAC-SHA-1-96 [RFC2404]",
    IntegrityId.AUTH_HMAC_SHA2_256_128: "HMAC-SHA-256-128 [RFC4868]",
    IntegrityId.AUTH_HMAC_SHA2_384_192: "HMAC-SHA-384-192 [RFC4868]",
    IntegrityId.AUTH_HMAC_SHA2_512_256: "HMAC-SHA-512-256 [RFC4868]",
}


def ike_line(command: KeysReady) -> str | None:
    """The row of `ikev2_decryption_table` for an IKE SA; None for an algorithm that Wireshark does not open."""
    suite, keys = command.suite, command.keys
    encryption = _IKE_ENCRYPTION.get(suite.encryption.id)
    if encryption is None:
        return None
    check = _IKE_INTEGRITY[suite.integrity.id] if suite.integrity is not None else "NONE [RFC4306]"
    octets = (command.spi_i, command.spi_r, keys.sk_ei, keys.sk_er)
    head = ",".join(each.hex() for each in octets)
    return f'{head},"{encryption.format(suite.encryption.key_bits)}",{keys.sk_ai.hex()},{keys.sk_ar.hex()},"{check}"'


def esp_line(command: InstallSa) -> str | None:
    """The row of `esp_sa` for an ESP SA; None for an algorithm that Wireshark does not open."""
    encryption: Encryption = command.suite.encryption
    integrity: Integrity | None = command.suite.integrity
    name = _ESP_ENCRYPTION.get(encryption.id)
    if name is None:
        return None
    ends = (command.path.remote, command.path.local)
    source, destination = ends if command.direction == "in" else ends[::-1]
    check = _ESP_INTEGRITY[integrity.id] if integrity is not None else "NULL"
    fields = (
        f"IPv{source.version}",
        str(source),
        str(destination),
        f"0x{command.spi:08x}",
        name,
        f"0x{command.keys.encryption.hex()}",
        check,
        f"0x{command.keys.integrity.hex()}",
    )
    return ",".join(f'"{each}"' for each in fields)


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
