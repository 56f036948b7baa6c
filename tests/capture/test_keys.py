"""Key tables in Wireshark's own words."""

from __future__ import annotations

import pytest

from ikescope.capture import EspKeys, IkeKeys, esp_line, ike_line
from ikescope.errors import LocalError

CBC = IkeKeys(
    spi_i="a1a2a3a4a5a6a7a8",
    spi_r="b1b2b3b4b5b6b7b8",
    encryption=12,
    key_length=256,
    sk_ei=b"\x11" * 32,
    sk_er=b"\x22" * 32,
    integrity=14,
    sk_ai=b"\x33" * 64,
    sk_ar=b"\x44" * 64,
)


def test_a_cbc_line_holds_all_four_keys() -> None:
    """SPIs, SK_e both ways, algorithm, SK_a both ways, algorithm: hexadecimal without 0x."""
    assert ike_line(CBC) == (
        f'a1a2a3a4a5a6a7a8,b1b2b3b4b5b6b7b8,{"11" * 32},{"22" * 32},"AES-CBC-256 [RFC3602]",'
        f'{"33" * 64},{"44" * 64},"HMAC_SHA2_512_256 [RFC4868]"'
    )


def test_a_gcm_line_has_no_integrity_keys() -> None:
    """For an AEAD the keys hold the salt and the integrity cells are empty."""
    keys = IkeKeys(spi_i="01" * 8, spi_r="02" * 8, encryption=20, key_length=128, sk_ei=b"a" * 20, sk_er=b"b" * 20)
    line = ike_line(keys)
    assert line.endswith('"AES-GCM-128 with 16 octet ICV [RFC5282]",,,"NONE [RFC4306]"')


def test_esp_lines() -> None:
    """Every cell of an esp_sa line is quoted, keys with 0x."""
    cbc = EspKeys(
        source="192.0.2.1",
        destination="192.0.2.2",
        spi="c1c1c1c1",
        encryption=12,
        key=b"\x01" * 16,
        integrity=2,
        integrity_key=b"\x02" * 20,
    )
    assert esp_line(cbc) == (
        '"IPv4","192.0.2.1","192.0.2.2","0xc1c1c1c1","AES-CBC [RFC3602]",'
        f'"0x{"01" * 16}","HMAC-SHA-1-96 [RFC2404]","0x{"02" * 20}"'
    )
    gcm = EspKeys(source="192.0.2.1", destination="192.0.2.2", spi="c1c1c1c1", encryption=20, key=b"\x01" * 20)
    assert esp_line(gcm).endswith(f'"AES-GCM with 16 octet ICV [RFC4106]","0x{"01" * 20}","NULL","0x"')


def test_what_wireshark_cannot_open_is_said() -> None:
    """A suite without a name in Wireshark's tables gives one line, not a wrong table."""
    with pytest.raises(LocalError, match="ENCR_CHACHA20_POLY1305"):
        ike_line(IkeKeys(spi_i="", spi_r="", encryption=28, key_length=None, sk_ei=b"", sk_er=b""))


def test_keys_do_not_print() -> None:
    """The repr of key objects holds lengths only."""
    assert repr(CBC) == "<keys of IKE SA a1a2a3a4a5a6a7a8 b1b2b3b4b5b6b7b8, 32+64 octets>"
