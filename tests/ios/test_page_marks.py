"""What pages and mails do to a whole text: marks before every line, other signs, other encodings. Findings stay."""

from __future__ import annotations

import html
import io
from collections.abc import Callable

import pytest

from ikescope.explain.findings import findings
from ikescope.ios.page_marks import unmarked
from ikescope.timeline import Timeline
from ikescope.views import read

IOS = """\
*May  2 16:05:33.248: IKEv2:(SESSION ID = 3,SA ID = 2):Received Packet [From 192.0.2.2:500/To 192.0.2.1:500/VRF i0]
Initiator SPI : 00112233445566A7 - Responder SPI : 8877665544332211 Message id: 1
IKEv2 IKE_AUTH Exchange REQUEST
Payload contents:
 VID IDi AUTH SA TSi TSr NOTIFY(INITIAL_CONTACT)
*May  2 16:05:33.249: IKEv2:(SESSION ID = 3,SA ID = 2):Peer's authentication method is 'PSK'
*May  2 16:05:33.250: IKEv2:(SESSION ID = 3,SA ID = 2):Verify peer's authentication data
*May  2 16:05:33.250: IKEv2:(SESSION ID = 3,SA ID = 2):Use preshared key for id 192.0.2.2, key len 5
*May  2 16:05:33.260: IKEv2-ERROR:(SESSION ID = 3,SA ID = 2):: Failed to authenticate the IKE SA
*May  2 16:05:33.260: IKEv2:(SESSION ID = 3,SA ID = 2):Verification of peer's authentication data FAILED"""
ASA = """IKEv2-PROTO-2: (7): Received Packet [From 192.0.2.2:500/To 192.0.2.1:500/VRF i0]
(7): Initiator SPI : 00112233445566A7 - Responder SPI : 8877665544332211 Message id: 1
(7): IKEv2 IKE_AUTH Exchange REQUEST
IKEv2-PROTO-2: (7): Verify peer's authentication data
IKEv2-PROTO-5: (7): SM Trace-> SA: I_SPI=00112233445566A7 R_SPI=8877665544332211 (R) MsgID = 00000001 """
ASA += """CurState: R_VERIFY_AUTH Event: EV_AUTH_FAIL
IKEv2-PROTO-2: (7): Verification of peer's authentication data FAILED
IKEv2-PROTO-1: (7): Auth exchange failed"""


def _each(make: Callable[[int, str], str]) -> Callable[[str], bytes]:
    return lambda text: "\n".join(make(at, one) for at, one in enumerate(text.split("\n"), 1)).encode()


CHANGES: dict[str, Callable[[str], bytes]] = {
    "a mail's quotes": _each(lambda _, line: f"> {line}"),
    "quotes of quotes": _each(lambda _, line: f"> > {line}"),
    "bullets": _each(lambda _, line: f"- {line}"),
    "round bullets": _each(lambda _, line: f"\u2022 {line}"),
    "a list's numbers": _each(lambda at, line: f"{at}. {line}"),
    "an editor's numbers": _each(lambda at, line: f"{at:4}  {line}"),
    "numbers and a rule": _each(lambda at, line: f"{at:>4} | {line}"),
    "numbers and a colon": _each(lambda at, line: f"{at}: {line}"),
    "smart quotes": lambda text: text.replace("'", "\u2019").encode(),
    "smart dashes": lambda text: text.replace("->", "\u2192").replace(" - ", " \u2013 ").encode(),
    "escaped twice": lambda text: html.escape(html.escape(text)).encode(),
    "breaks of a page": lambda text: text.replace("\n", "<br>\n").encode(),
    "carriage returns alone": lambda text: text.replace("\n", "\r").encode(),
    "both ends of a line": lambda text: text.replace("\n", "\r\n").encode(),
    "UTF-16": lambda text: b"\xff\xfe" + text.encode("utf-16-le"),
    "UTF-16 without its mark": lambda text: text.encode("utf-16-le"),
    "Latin-1 before it": lambda text: "gr\u00fc\u00dfe\n".encode("latin-1") + text.encode(),
    "a fence and a greeting": lambda text: f"Hello,\nhere it is:\n\n```\n{text}\n```\nBob".encode(),
    "blanks that do not break": lambda text: text.replace(" ", "\u00a0").encode(),
    "colours": _each(lambda _, line: f"\x1b[31m{line}\x1b[0m"),
    "blank lines": lambda text: text.replace("\n", "\n\n").encode(),
}


def found_in(octets: bytes) -> list[tuple[str, str]]:
    """Id and side of each finding."""
    records = read.read(io.BytesIO(octets), "r1.txt")
    return [(one.id, one.side) for one in findings(Timeline().extend(records))]


@pytest.mark.parametrize("text", [IOS, ASA], ids=["IOS", "ASA"])
@pytest.mark.parametrize("change", CHANGES)
def test_a_change_of_form_changes_no_finding(change: str, text: str) -> None:
    """Marks before lines, signs that were replaced and encodings are no part of what a text tells."""
    assert found_in(CHANGES[change](text)) == [("psk-mismatch", "unknown")]


def test_sequence_numbers_are_no_marks() -> None:
    """The numbers that IOS itself writes before its stamps stay: messages are put in order by them."""
    lines = [f"{at:06}: *May  2 16:05:33.{at}: IKEv2:Got a packet from dispatcher" for at in range(120, 140)]
    assert list(unmarked(lines, lines)) == lines


@pytest.mark.parametrize("end", ["\x7f", "!", " )", " \u00a7"])
def test_a_list_of_payloads_that_is_none_is_read_at_once(end: str) -> None:
    """A line that is nearly a list of payloads is looked at once, however many names stand in it."""
    names = " ".join(["NOTIFY(NAT_DETECTION_SOURCE_IP)", "VIDIDPAYLOADNAMEOFALL"] * 40) + end
    header = "IKEv2:Next payload: SA, version: 2.0 Exchange type: IKE_SA_INIT, flags: INITIATOR "
    for head in (IOS.split("\n", 5)[:4], [f"{header}Message id: 0, length: 9"]):
        text = "\n".join((*head, f" {names}", IOS.split("\n", 6)[6]))
        assert found_in(text.encode()) == [("psk-mismatch", "unknown")]
