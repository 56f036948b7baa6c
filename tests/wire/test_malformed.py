"""What does not form a payload is refused in words: payload, offset, had, wanted."""

from __future__ import annotations

import pytest
from tests.wire.messages import STRONGSWAN_SA_INIT_REQUEST

from ikescope.errors import DecodeError
from ikescope.wire import Header, Message, parse_chain
from ikescope.wire.message import MAX_PAYLOADS
from ikescope.wire.registry import PayloadType

P = PayloadType
TS4 = "07000010" + "0000ffff" + "0a000001" + "0a0000ff"

CASES = [
    (P.SA, "", "SA payload at offset 4: proposal length: had 0, wanted at least 8"),
    (P.SA, "0000000801010000ff", "SA payload at offset 4: last proposal: had 0, wanted 2 (more)"),
    (P.SA, "0200000801010000", "SA payload at offset 4: last proposal: had 2, wanted 0 (last)"),
    (P.SA, "0000000701010000", "SA payload at offset 4: proposal length: had 7, wanted 8 to 8"),
    (P.SA, "0000000901010000", "SA payload at offset 4: proposal length: had 9, wanted 8 to 8"),
    (P.SA, "0000000801010400", "SA payload at offset 4: proposal length: had 8, wanted 12 to 8"),
    (P.SA, "0000000801010001", "SA payload at offset 12: transforms: had 0, wanted 1"),
    (P.SA, "00000010010100000000000801000014", "SA payload at offset 12: transforms: had more, wanted 0"),
    (P.SA, "00000010010100010300000801000014", "SA payload at offset 12: last transform: had 3, wanted 0 (last)"),
    (P.SA, "00000010010100010000000901000014", "SA payload at offset 12: transform length: had 9, wanted 8 to 8"),
    (P.SA, "0000000a010100010000", "SA payload at offset 12: transform length: had 2, wanted at least 8"),
    (
        P.SA,
        "000000120101000100 00000a01000014 800e",
        "attribute length: had 2, wanted at least 4",
    ),
    (P.SA, "000000140101000100 00000c01000014 000e0001", "attribute length: had 1, wanted at most 0"),
    (P.KE, "001f00", "KE payload at offset 4: length: had 7, wanted at least 8"),
    (P.IDI, "0100", "IDi payload at offset 4: length: had 6, wanted at least 8"),
    (P.IDR, "0100", "IDr payload at offset 4: length: had 6, wanted at least 8"),
    (P.CERT, "", "CERT payload at offset 4: length: had 4, wanted at least 5"),
    (P.CERTREQ, "", "CERTREQ payload at offset 4: length: had 4, wanted at least 5"),
    (P.AUTH, "02", "AUTH payload at offset 4: length: had 5, wanted at least 8"),
    (P.NONCE, "00" * 15, "N payload at offset 4: nonce octets: had 15, wanted 16 to 256"),
    (P.NONCE, "00" * 257, "N payload at offset 4: nonce octets: had 257, wanted 16 to 256"),
    (P.NOTIFY, "000040", "NOTIFY payload at offset 4: length: had 7, wanted at least 8"),
    (P.NOTIFY, "03044009 010203", "NOTIFY payload at offset 5: SPI size: had 4, wanted at most 3"),
    (P.DELETE, "0304", "DELETE payload at offset 4: length: had 6, wanted at least 8"),
    (P.DELETE, "03040002 01020304", "DELETE payload at offset 8: octets of SPIs: had 4, wanted 8"),
    (P.DELETE, "03080001 0102030405060708", "DELETE payload at offset 5: SPI size: had 8, wanted 4 for ESP (3)"),
    (P.DELETE, "01080001 0102030405060708", "DELETE payload at offset 5: SPI size: had 8, wanted 0 for IKE (1)"),
    (P.DELETE, "0300ffff", "DELETE payload at offset 5: SPI size: had 0, wanted an SPI size for 65535 SPIs"),
    (P.TSI, "00000000", "TSi payload at offset 4: traffic selectors: had 0, wanted at least 1"),
    (P.TSI, "01", "TSi payload at offset 4: length: had 5, wanted at least 8"),
    (P.TSR, "02000000" + TS4, "TSr payload at offset 4: traffic selectors: had 1, wanted 2"),
    (P.TSI, "01000000" + TS4 + TS4, "TSi payload at offset 24: traffic selectors: had more, wanted 1"),
    (P.TSI, "01000000 08000010", "TSi payload at offset 8: TS_IPV6_ADDR_RANGE (8) length: had 4, wanted 40"),
    (P.TSI, "01000000 0900", "TSi payload at offset 8: selector length: had 2, wanted at least 4"),
    (P.TSI, "01000000 09000003", "TSi payload at offset 8: selector length: had 3, wanted 4 to 4"),
    (P.SKF, "0001", "SKF payload at offset 4: length: had 6, wanted at least 8"),
    (P.SKF, "00000001", "SKF payload at offset 4: fragment number: had 0 of 1, wanted 1 to the total"),
    (P.SKF, "00030002", "SKF payload at offset 4: fragment number: had 3 of 2, wanted 1 to the total"),
    (P.CP, "01", "CFG payload at offset 4: length: had 5, wanted at least 8"),
    (P.CP, "01000000 0001", "CFG payload at offset 8: attribute length: had 2, wanted at least 4"),
    (P.CP, "01000000 00010004 00", "CFG payload at offset 8: attribute length: had 4, wanted at most 1"),
    (P.EAP, "0101", "EAP payload at offset 4: length: had 6, wanted at least 8"),
    (P.EAP, "01010009 01", "EAP payload at offset 6: EAP length: had 9, wanted 5"),
]


@pytest.mark.parametrize(("kind", "body", "text"), CASES, ids=lambda value: str(value)[:60])
def test_a_malformed_body_is_put_into_words(kind: PayloadType, body: str, text: str) -> None:
    """Each way a body can be malformed says payload, offset, had and wanted, and answers INVALID_SYNTAX."""
    ##= rfc7296#section-3.3 type=test
    ##% When parsing an SA, an implementation MUST check that the total Payload Length is consistent with the
    ##% payload's internal lengths and counts.
    octets = bytes.fromhex(body)
    with pytest.raises(DecodeError) as caught:
        parse_chain(kind, b"\0\0" + (4 + len(octets)).to_bytes(2, "big") + octets)
    assert text in str(caught.value)
    assert caught.value.notify == 7
    assert {"payload", "field", "offset", "had", "wanted"} <= caught.value.facts.keys()


def _tail(count: int) -> bytes:
    return b"\x2b\0\0\x04" * (count - 1) + b"\0\0\0\x04"


CHAINS = [
    (P.VENDOR, "0000", False, "VID payload at offset 0: generic header: had 2, wanted 4"),
    (P.VENDOR, "00000003", False, "VID payload at offset 0: length: had 3, wanted 4 to 4"),
    (P.VENDOR, "00000005", False, "VID payload at offset 0: length: had 5, wanted 4 to 4"),
    (P.VENDOR, "28000004", False, "N payload at offset 4: generic header: had 0, wanted 4"),
    (P.VENDOR, "00000004 00", False, "VID payload at offset 4: octets after the last payload: had 1, wanted 0"),
    (P.NO_NEXT, "00", False, "IKE header at offset 0: octets after the last payload: had 1, wanted 0"),
    (P.SK, "00000004 00", False, "ENCR payload at offset 0: octets after it: had 1, wanted 0"),
    (P.SK, "00000004", True, "ENCR payload at offset 0: place: had inside an Encrypted payload, wanted outside"),
    (P.VENDOR, _tail(MAX_PAYLOADS + 1).hex(), False, f"payloads: had more, wanted at most {MAX_PAYLOADS}"),
]


@pytest.mark.parametrize(("first", "chain", "inside", "text"), CHAINS, ids=lambda value: str(value)[:60])
def test_a_malformed_chain_is_put_into_words(first: PayloadType, chain: str, inside: bool, text: str) -> None:
    """Each way a chain can be malformed is refused; an Encrypted payload is last and holds no other."""
    ##= rfc7296#section-3.14 type=test
    ##% The Encrypted payload, if present in a message, MUST be the last payload in the message.
    ##= rfc7296#section-3.1 type=test
    ##% An Encrypted payload MUST be the last payload
    ##% in a packet and an Encrypted payload MUST NOT contain another
    ##% Encrypted payload.
    with pytest.raises(DecodeError) as caught:
        parse_chain(first, bytes.fromhex(chain), inside=inside)
    assert text in str(caught.value)


def test_as_many_payloads_as_allowed() -> None:
    """The bound on payloads is exact."""
    assert len(parse_chain(P.VENDOR, _tail(MAX_PAYLOADS))) == MAX_PAYLOADS


def test_too_many_proposals_transforms_and_attributes() -> None:
    """What is read out of one SA or CFG payload is bounded."""
    proposal = "02000008 01010000" * 65
    transforms = "00000808010100ff" + "0300000801000014" * 255 + "0000000801000014"
    full = "0007f8010100fe" + "0300000801000014" * 253 + "0000000801000014"
    many = f"02{full}02{full}00{full}"
    attributes = "00000054 01010001 0000004c 01000014" + "800e0080" * 17
    cfg = "01000000" + "00010000" * 1025
    for kind, body, text in (
        (P.SA, proposal, "proposals: had more, wanted at most 64"),
        (P.SA, transforms, "transforms: had more, wanted 255"),
        (P.SA, many, "transforms: had 762, wanted at most 512"),
        (P.SA, attributes, "attributes: had more, wanted at most 16"),
        (P.CP, cfg, "attributes: had more, wanted at most 1024"),
    ):
        octets = bytes.fromhex(body)
        with pytest.raises(DecodeError) as caught:
            parse_chain(kind, b"\0\0" + (4 + len(octets)).to_bytes(2, "big") + octets)
        assert text in str(caught.value)


def test_header_length_is_that_of_the_datagram() -> None:
    """A datagram shorter or longer than its header says is refused, and so is one without a whole header."""
    for octets, had in ((STRONGSWAN_SA_INIT_REQUEST + b"\0", 233), (STRONGSWAN_SA_INIT_REQUEST[:-1], 231)):
        with pytest.raises(DecodeError) as caught:
            Message.parse(octets)
        assert f"IKE header at offset 24: message length: had 232, wanted {had}" in str(caught.value)
    with pytest.raises(DecodeError) as caught:
        Header.parse(bytes(30), 5)
    assert str(caught.value) == "IKE header at offset 5: length: had 25, wanted 28"
