"""Key tables for Wireshark: lines of `ikev2_decryption_table` and `esp_sa`, as tshark 4.0 reads them."""

from __future__ import annotations

import msgspec

from ikescope.errors import LocalError
from ikescope.wire.registry import EncryptionId, IntegrityId

#: Wireshark's names by (encryption, key length in bits) and by integrity; what is not here it cannot open.
IKE_ENCRYPTION: dict[tuple[int, int | None], str] = {
    (EncryptionId.ENCR_3DES, None): "3DES [RFC2451]",
    (EncryptionId.ENCR_NULL, None): "NULL [RFC2410]",
    **{(EncryptionId.ENCR_AES_CBC, bits): f"AES-CBC-{bits} [RFC3602]" for bits in (128, 192, 256)},
    **{
        (number, bits): f"AES-{mode}-{bits} with {icv} octet ICV [RFC5282]"
        for bits in (128, 192, 256)
        for number, mode, icv in (
            (EncryptionId.ENCR_AES_CCM_8, "CCM", 8),
            (EncryptionId.ENCR_AES_CCM_12, "CCM", 12),
            (EncryptionId.ENCR_AES_CCM_16, "CCM", 16),
            (EncryptionId.ENCR_AES_GCM_8, "GCM", 8),
            (EncryptionId.ENCR_AES_GCM_12, "GCM", 12),
            (EncryptionId.ENCR_AES_GCM_16, "GCM", 16),
        )
    },
}
IKE_INTEGRITY: dict[int, str] = {
    IntegrityId.NONE: "NONE [RFC4306]",
    IntegrityId.AUTH_HMAC_MD5_96: "HMAC_MD5_96 [RFC2403]",
    IntegrityId.AUTH_HMAC_SHA1_96: "HMAC_SHA1_96 [RFC2404]",
    IntegrityId.AUTH_HMAC_SHA2_256_128: "HMAC_SHA2_256_128 [RFC4868]",
    IntegrityId.AUTH_HMAC_SHA2_384_192: "HMAC_SHA2_384_192 [RFC4868]",
    IntegrityId.AUTH_HMAC_SHA2_512_256: "HMAC_SHA2_512_256 [RFC4868]",
}
ESP_ENCRYPTION: dict[int, str] = {
    EncryptionId.ENCR_NULL: "NULL",
    EncryptionId.ENCR_3DES: "TripleDES-CBC [RFC2451]",
    EncryptionId.ENCR_AES_CBC: "AES-CBC [RFC3602]",
    EncryptionId.ENCR_AES_GCM_8: "AES-GCM with 8 octet ICV [RFC4106]",
    EncryptionId.ENCR_AES_GCM_12: "AES-GCM with 12 octet ICV [RFC4106]",
    EncryptionId.ENCR_AES_GCM_16: "AES-GCM with 16 octet ICV [RFC4106]",
}
ESP_INTEGRITY: dict[int, str] = {
    IntegrityId.NONE: "NULL",
    IntegrityId.AUTH_HMAC_MD5_96: "HMAC-MD5-96 [RFC2403]",
    IntegrityId.AUTH_HMAC_SHA1_96: "HMAC-SHA-1-96 [RFC2404]",
    IntegrityId.AUTH_HMAC_SHA2_256_128: "HMAC-SHA-256-128 [RFC4868]",
    IntegrityId.AUTH_HMAC_SHA2_384_192: "HMAC-SHA-384-192 [RFC4868]",
    IntegrityId.AUTH_HMAC_SHA2_512_256: "HMAC-SHA-512-256 [RFC4868]",
}


class IkeKeys(msgspec.Struct, frozen=True, kw_only=True):
    """The SK_e and SK_a keys of an IKE SA as octets (an AEAD's SK_e with its salt, SK_a empty).

    SPIs are 16 hexadecimal digits, `encryption` and `integrity` IANA numbers, `key_length` in bits. Prints no key.
    """

    spi_i: str
    spi_r: str
    encryption: int
    key_length: int | None
    sk_ei: bytes
    sk_er: bytes
    integrity: int = 0
    sk_ai: bytes = b""
    sk_ar: bytes = b""

    def __repr__(self) -> str:
        return f"<keys of IKE SA {self.spi_i} {self.spi_r}, {len(self.sk_ei)}+{len(self.sk_ai)} octets>"


class EspKeys(msgspec.Struct, frozen=True, kw_only=True):
    """The keys of one ESP SA as octets (an AEAD's key with its salt); SPI 8 hexadecimal digits. Prints no key."""

    source: str
    destination: str
    spi: str
    encryption: int
    key: bytes
    integrity: int = 0
    integrity_key: bytes = b""

    def __repr__(self) -> str:
        return f"<keys of ESP SA 0x{self.spi}, {len(self.key)}+{len(self.integrity_key)} octets>"


def ike_line(keys: IkeKeys) -> str:
    """One line of `ikev2_decryption_table`, without its line feed; LocalError where Wireshark knows no such suite."""
    bits = keys.key_length
    encryption = IKE_ENCRYPTION.get((keys.encryption, bits)) or IKE_ENCRYPTION.get((keys.encryption, None))
    integrity = IKE_INTEGRITY.get(keys.integrity)
    if encryption is None or integrity is None:
        raise _unknown(keys.encryption, keys.integrity)
    cells = [keys.spi_i, keys.spi_r, keys.sk_ei.hex(), keys.sk_er.hex(), f'"{encryption}"']
    return ",".join([*cells, keys.sk_ai.hex(), keys.sk_ar.hex(), f'"{integrity}"'])


def esp_line(keys: EspKeys) -> str:
    """One line of `esp_sa`, without its line feed; LocalError where Wireshark knows no such suite."""
    encryption, integrity = ESP_ENCRYPTION.get(keys.encryption), ESP_INTEGRITY.get(keys.integrity)
    if encryption is None or integrity is None:
        raise _unknown(keys.encryption, keys.integrity)
    family = "IPv6" if ":" in keys.source else "IPv4"
    cells = (family, keys.source, keys.destination, f"0x{keys.spi}", encryption, f"0x{keys.key.hex()}", integrity)
    return ",".join(f'"{cell}"' for cell in (*cells, f"0x{keys.integrity_key.hex()}"))


def _unknown(encryption: int, integrity: int) -> LocalError:
    return LocalError(
        f"no key table line: Wireshark does not open {EncryptionId.of(encryption)} with {IntegrityId.of(integrity)}"
    )
