"""IOS debug text as people have it: heads of every kind, broken, glued, interleaved, quoted, hostile."""

from __future__ import annotations

import io
import random
import textwrap

import pytest
from tests.ios.test_debug_levels import told

from ikescope.capture.octets import Octets
from ikescope.capture.text import lines_of
from ikescope.events import Record
from ikescope.events.life import SessionDown, SessionUp
from ikescope.events.negotiation import AuthRefused, KeysDerived, ProposalRefused
from ikescope.events.router import EspDropped, InterfaceDown
from ikescope.ios.debug import Renderer, transcript
from ikescope.ios.debug_read import Foreign, Unknown, read
from ikescope.ios.text_lines import LONGEST

SCENARIOS = ("life", "wrong key", "no ESP proposal")
KEYS = "IKEv2:(SESSION ID = 7,SA ID = 1):Checking NAT discovery"


def rendered(name: str, side: str = "R1", *, stamps: bool = True, number: int = 1) -> list[str]:
    """One side's debug; `number` of its first SA."""
    lines = transcript(Renderer(stamps=stamps), told(name, side))
    return [
        line.replace("SESSION ID = ", f"SESSION ID = {number}").replace("SA ID = 1)", f"SA ID = {number})")
        for line in lines
    ]


def events(lines: list[str]) -> list[str]:
    """The events of a text by name, in order; no line of it may be unknown."""
    found = list(read(lines))
    assert [one for one in found if type(one) is Unknown] == []
    return [type(one.event).__name__ for one in found if isinstance(one, Record)]


HEADS = [
    "",
    "*May  2 16:05:33.248: ",
    ".May  2 16:05:33.248: ",
    "Nov 30 2024 11:16:54.881 UTC: ",
    "2328304: Jun  8 19:14:38.051 GMT: ",
    "000123: *May  2 16:05:33.248: ",
    "000123: ",
    "1w2d: ",
    "00:01:02: ",
    "2024-05-02T16:05:33.248Z: ",
    "<191>2328304: Jun  8 19:14:38.051 GMT: ",
    "<191>1 2024-05-02T16:05:33.248Z edge1 - - - - 29: *May  2 16:05:33.248: ",
    "Jun  8 19:14:38 edge1 2328304: Jun  8 19:14:38.051 GMT: ",
    "2024-05-02 16:05:33\tLocal7.Debug\t192.0.2.1\t29: *May  2 16:05:33.248: ",
    "> *May  2 16:05:33.248: ",
    "R1#*May  2 16:05:33.248: ",
    "\u00a0*May\u00a0 2 16:05:33.248:\u00a0",
]


@pytest.mark.parametrize("head", HEADS)
def test_every_head_is_one(head: str) -> None:
    """Whatever stands before a message, the message is read; a stamp of any form gives its time."""
    (record,) = (one for one in read([head + KEYS]) if isinstance(one, Record))
    assert (record.stamp.session, record.stamp.sa) == (7, 1)
    assert (record.stamp.wall > 0) is any(mark in head for mark in ("May", "Nov", "Jun", "2024", "1w2d", "00:01:02"))
    assert record.stamp.router == ("edge1" if "edge1" in head else "192.0.2.1" if "Local7" in head else "")


@pytest.mark.parametrize("prefix", ["IKEv2:(SA ID = 1):", "IKEv2:(SESSION ID = 7,SA ID = 1):", "IKEv2:"])
def test_every_generation_s_prefix_is_one(prefix: str) -> None:
    """The text after the prefix is the same event, with the SA where the prefix names it."""
    assert events([prefix + "Checking NAT discovery"]) == ["NatChecked"]


@pytest.mark.parametrize("name", SCENARIOS)
@pytest.mark.parametrize("width", [80, 100, 132])
def test_a_terminal_s_width_breaks_nothing(name: str, width: int) -> None:
    """Lines that a terminal broke at its last column are read as they were written."""
    lines = rendered(name)
    broken = [line[at : at + width] for line in lines for at in range(0, max(len(line), 1), width)]
    assert events(broken) == events(lines)


@pytest.mark.parametrize("width", [70, 90])
def test_a_page_s_words_break_nothing(width: int) -> None:
    """Lines that a web page broke between words are read as they were written."""
    lines = rendered("wrong key")
    broken = [part for line in lines for part in (textwrap.wrap(line, width) or [""])]
    assert events(broken) == events(lines)


@pytest.mark.parametrize("seed", range(6))
def test_lines_of_two_routers_may_come_mixed(seed: int) -> None:
    """With a server's heads the messages of two routers come apart again, each with its router's name."""
    chance = random.Random(seed)
    parts = {host: blocks(rendered("life", side, stamps=False)) for host, side in (("east", "R1"), ("west", "R2"))}
    mixed: list[str] = []
    while any(parts.values()):
        host = chance.choice([one for one, left in parts.items() if left])
        first, *rest = parts[host].pop(0)
        mixed += [f"Jun  8 19:14:38 {host} 12: Jun  8 19:14:38.051: {first}", *rest]
    found = [one for one in read(mixed) if isinstance(one, Record)]
    for host, side in (("east", "R1"), ("west", "R2")):
        names = [type(one.event).__name__ for one in found if one.stamp.router == host]
        assert sorted(names) == sorted(events(rendered("life", side)))


def blocks(lines: list[str]) -> list[list[str]]:
    """Messages, each with the lines that continue it."""
    found: list[list[str]] = []
    for line in lines:
        if line.startswith(("IKEv2:", "IKEv2-")) or not found:
            found.append([line])
        else:
            found[-1].append(line)
    return found


@pytest.mark.parametrize("seed", range(6))
def test_lines_of_two_sas_may_come_mixed(seed: int) -> None:
    """A group goes on after lines of another SA; none of either's own events is lost."""
    chance = random.Random(seed)
    parts = [blocks(rendered("wrong key", number=number)) for number in (1, 2)]
    own = [[block for block in part if "SA ID" in block[0]] for part in parts]
    mixed: list[str] = []
    left = [list(part) for part in own]
    while any(left):
        mixed += chance.choice([part for part in left if part]).pop(0)
    found = [one for one in read(mixed) if isinstance(one, Record)]
    for number, part in zip((1, 2), own, strict=True):
        names = [type(one.event).__name__ for one in found if one.stamp.sa == number]
        assert sorted(names) == sorted(events([line for block in part for line in block]))


@pytest.mark.parametrize("seed", range(8))
def test_a_text_cut_at_both_ends_gives_what_is_left(seed: int) -> None:
    """The events of a part of a text stand, in order, among those of the whole."""
    chance = random.Random(seed)
    lines = rendered("life")
    begin = chance.randrange(len(lines) // 2)
    part = lines[begin : begin + len(lines) // 2]
    whole = iter(events(lines))
    names = [type(one.event).__name__ for one in read(part) if isinstance(one, Record)]
    middle = names[1:-1]
    assert len(names) > 10
    assert all(name in whole for name in middle)


def test_messages_glued_on_one_line_come_apart() -> None:
    """Several messages on one physical line are as many lines, and what follows a syslog line is no part of it."""
    body = "IKEv2:(SESSION ID = 7,SA ID = 1):"
    glued = [
        f"{body}Generating IKE_AUTH message{body}Retransmitting packet",
        "*May  2 16:05:37.450: %CRYPTO-6-ISAKMP_ON_OFF: ISAKMP is OFFno shut",
    ]
    found = list(read(glued))
    assert [type(one.event).__name__ for one in found if isinstance(one, Record)] == [
        "MessageBuilding",
        "Retransmitting",
    ]
    assert [type(one) for one in found if not isinstance(one, Record)] == [Foreign]


def test_a_page_s_marks_are_undone() -> None:
    """Entities, tags, quotes, tabs, carriage returns and colours of a terminal do not hide a message."""
    body = "IKEv2:(SESSION ID = 7,SA ID = 1):"
    lines = [
        f"&gt; {body}[IKEv2 -&gt; Crypto Engine] Computing DH public key, DH Group 14\r",
        f"<p>{body}Generating&nbsp;IKE_AUTH message<br>{body}Retransmitting packet</p>",
        f"\x1b[31m{body}\x1b[0mInsert SA\t",
    ]
    assert events(lines) == ["KeyExchangeComputed", "MessageBuilding", "Retransmitting", "SaInserted"]


#: After the layout of a published transcript (26): a responder that cannot verify a certificate, broken by its page.
CERTIFICATE = """\
2328304: Jun  8 19:14:38.051 GMT: IKEv2:(SESSION ID = 107,SA ID = 68):
Get peer's authentication method
2328305: Jun 8 19:14:38.051 GMT: IKEv2:(SESSION ID = 107,SA ID = 68):
Peer's authentication method is 'RSA'
2328306: Jun 8 19:14:38.051 GMT: IKEv2:(SESSION ID = 107,SA ID = 68):
SM Trace-> SA: I_SPI=00000000000000A1 R_SPI=00000000000000B2 (R) MsgID = 1
CurState: R_VERIFY_AUTH Event: EV_CHK_CERT_ENC
2328316: Jun 8 19:14:38.055 GMT: CRYPTO_PKI: Unable to locate cert record by
issuername
2328319: Jun 8 19:14:38.059 GMT: IKEv2:(SESSION ID = 107,SA ID = 68):: Platform
errors
2328320: Jun 8 19:14:38.059 GMT: IKEv2:(SESSION ID = 107,SA ID = 68):SM Trace-> SA:
I_SPI=00000000000000A1 R_SPI=00000000000000B2 (R) MsgID = 1 CurState:
R_VERIFY_AUTH Event: EV_CERT_FAIL
2328321: Jun 8 19:14:38.059 GMT: IKEv2:(SESSION ID = 107,SA ID = 68):Verify cert
failed
2328323: Jun 8 19:14:38.059 GMT: IKEv2:(SESSION ID = 107,SA ID = 68)
:Verification of peer's authentication data FAILED
"""


def test_a_certificate_that_does_not_verify_is_told_once() -> None:
    """Of a broken transcript no line is unknown; the refusal has the method and the SPIs that other lines tell."""
    found = list(read(CERTIFICATE.splitlines()))
    (record,) = (one for one in found if isinstance(one, Record))
    assert isinstance(record.event, AuthRefused)
    assert (record.event.method, record.stamp.spi_i, record.stamp.initiator) == (1, "00000000000000a1", False)
    assert [one.number for one in found if isinstance(one, Foreign)] == [8, 9]
    assert [one for one in found if type(one) is Unknown] == []


def test_syslog_that_tells_is_an_event() -> None:
    """What a router logs without any debug becomes events: sessions, tunnels, ESP that was dropped."""
    lines = [
        "%CRYPTO-5-IKEV2_SESSION_STATUS: Crypto tunnel v2 is UP.  Peer 192.0.2.2:500       Id: 192.0.2.2",
        "*May  2 16:05:39.439: %LINEPROTO-5-UPDOWN: Line protocol on Interface Tunnel46, changed state to down",
        "%CRYPTO-4-RECVD_PKT_INV_SPI: decaps: rec'd IPSEC packet has invalid spi for destaddr=192.0.2.1, prot=50, "
        "spi=0xA1B2C3D4(2712847316), srcaddr=192.0.2.2, input interface=GigabitEthernet1",
        "%CRYPTO-5-IKEV2_SESSION_STATUS: Crypto tunnel v2 is DOWN.  Peer 192.0.2.2:500       Id: 192.0.2.2",
    ]
    found = [one.event for one in read(lines) if isinstance(one, Record)]
    assert [type(one) for one in found] == [SessionUp, InterfaceDown, EspDropped, SessionDown]
    assert isinstance(found[2], EspDropped)
    assert (found[2].spi, found[2].source) == ("a1b2c3d4", "192.0.2.2")


def test_a_router_that_ignores_the_colon_is_read_too() -> None:
    """IOS 26 glues the proposals to the error; an error's text may stand with or without its colon, or twice."""
    at = "IKEv2-ERROR:(SESSION ID = 89,SA ID = 1):"
    labels = "PRF: SHA512 INTEGRITY: SHA512 DH GROUP: DH_GROUP_384_ECP/Group 20"
    lines = [
        f"{at}Received Policies: : Failed to find a matching policyProposal 1:  ENCRYPTION: AES-CBC-128 {labels}",
        f"{at}Expected Policies: : Failed to find a matching policyProposal 1:  ENCRYPTION: AES-CBC-256 {labels}",
    ]
    for way in (lines, [line.replace("  ", "\t") for line in lines], [f"{line}<br>" for line in lines]):
        found = [one.event for one in read(way) if isinstance(one, Record)]
        assert [type(one) for one in found] == [ProposalRefused]
    for text in ("Auth exchange failed", ": Auth exchange failed", "Auth exchange failed: Auth exchange failed"):
        assert events([at + text]) == ["ExchangeFailed"]


def test_what_nobody_knows_is_kept_and_shown_harmlessly() -> None:
    """An unknown line comes with its number, escaped and bounded, and hides nothing around it."""
    lines = [
        KEYS,
        "IKEv2:(SESSION ID = 7,SA ID = 1):a purple \x1b]0;x\x07\u202eelephant" + "x" * 5000,
        "\x00\x00",
        KEYS,
    ]
    found = list(read(lines))
    unknown = [one for one in found if type(one) is Unknown]
    assert unknown[0].number == 2
    assert all(one.text.isprintable() and len(one.text) < 300 for one in unknown)
    assert len([one for one in found if isinstance(one, Record)]) == 2


@pytest.mark.parametrize("octets", [b"x" * (3 << 20) + b"\nlast\n", b"first\r\n" + b"y" * (1 << 21), b"a\xff\xfeb\nc"])
def test_a_line_is_bounded_however_long(octets: bytes) -> None:
    """A line gives no more than is looked at, the lines around it whole; octets that are no UTF-8 do no harm."""
    lines = list(lines_of(Octets(io.BytesIO(octets))))
    assert len(lines) == len(octets.splitlines())
    assert max(map(len, lines)) <= LONGEST
    assert lines[-1] in ("last", "c") or lines[0] == "first"


def test_a_trace_line_of_another_sa_parts_no_group() -> None:
    """Keys derived by the crypto engine stay one event though another SA's line stands between their two lines."""
    engine = "[Crypto Engine -> IKEv2] SKEYSEED calculation and creation of rekeyed IKEv2 SA PASSED"
    lines = [
        "IKEv2:(SA ID = 1):[IKEv2 -> Crypto Engine] Calculate SKEYSEED and create rekeyed IKEv2 SA",
        "IKEv2:(SA ID = 2):Retransmitting packet",
        f"IKEv2:(SA ID = 1):{engine}",
    ]
    found = [one for one in read(lines) if isinstance(one, Record)]
    assert isinstance(found[0].event, KeysDerived)
    assert [one.stamp.line for one in found] == [1, 2]
    assert [one.stamp.seq for one in found] == [1, 2]
