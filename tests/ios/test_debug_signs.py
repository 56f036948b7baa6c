"""Texts without packets: lines picked out of a log, the state machine's trace alone. Own words of each form."""

from __future__ import annotations

import io

import pytest

from ikescope.errors import LocalError
from ikescope.events import Record
from ikescope.events.message import MessageSent, RetransmissionsExhausted, Retransmitting
from ikescope.explain.findings import findings
from ikescope.timeline import Timeline
from ikescope.views import read

PREFIX = "(SESSION ID = 3,SA ID = 2):"


def records_of(text: str) -> list[Record]:
    """The records of a text."""
    return read.read(io.BytesIO(text.encode()), "r1.txt")


def found_in(text: str) -> list[tuple[str, str]]:
    """Id and side of each finding of a text."""
    return [(one.id, one.side) for one in findings(Timeline().extend(records_of(text)))]


def trace(*pairs: str, role: str = "I", mid: int = 0, spi: str = "00112233445566A7") -> str:
    """The state machine's lines of one SA: state and event each."""
    return "\n".join(
        f"IKEv2-INTERNAL:{PREFIX}SM Trace-> SA: I_SPI={spi} R_SPI=8877665544332211 ({role}) MsgID = {mid} "
        f"CurState: {state} Event: {event}"
        for state, event in (one.split() for one in pairs)
    )


WAITING = trace("I_WAIT_AUTH EV_RE_XMT", "I_WAIT_AUTH EV_NO_EVENT", "I_WAIT_AUTH EV_RE_XMT_EXCEED", mid=1)
TEXTS = {
    "no answer to IKE_SA_INIT": (
        trace("I_BLD_INIT EV_BLD_MSG", "I_WAIT_INIT EV_RE_XMT", "I_WAIT_INIT EV_NO_EVENT", "I_WAIT_INIT EV_RE_XMT")
        + "\n"
        + trace("I_WAIT_INIT EV_RE_XMT_EXCEED", "INIT_DONE EV_FAIL", "EXIT EV_ABORT"),
        [("no-response", "path")],
    ),
    "one step alone": (trace("I_WAIT_INIT EV_RE_XMT_EXCEED"), [("no-response", "path")]),
    "no answer on port 4500": (
        trace("I_PROC_INIT EV_DETECT_NAT")
        + f"\nIKEv2-INTERNAL:{PREFIX}Host is located NAT inside\n"
        + trace("I_PROC_INIT EV_CHK_NAT_T", "I_PROC_INIT EV_CHG_NAT_T_PORT", "I_PROC_INIT EV_CHK_CONFIG_MODE")
        + f"\n{WAITING}",
        [("port-4500-blocked", "path")],
    ),
    "no answer on port 4500, by the line of the ports": (
        f"IKEv2:{PREFIX}NAT detected float to init port 4500, resp port 4500\n{WAITING}",
        [("port-4500-blocked", "path")],
    ),
    "a refused key": (
        trace("R_VERIFY_AUTH EV_GET_PRESHR_KEY", "R_VERIFY_AUTH EV_AUTH_FAIL", "AUTH_DONE EV_FAIL", role="R", mid=1),
        [("psk-mismatch", "unknown")],
    ),
    "a remark alone": (
        f"IKEv2-INTERNAL:{PREFIX}Computed authentication value for peer differs from what peer sent",
        [("psk-mismatch", "unknown")],
    ),
    "a refused proposal": (
        trace("IDLE EV_RECV_INIT", "R_INIT EV_NO_PROP_CHOSEN", "INIT_DONE EV_FAIL", role="R"),
        [("ike-proposal-mismatch", "unknown")],
    ),
    "a policy without its lists": (
        f"IKEv2-ERROR:{PREFIX}Failed to find a matching policy",
        [("ike-proposal-mismatch", "unknown")],
    ),
    "up": (
        trace("I_BLD_INIT EV_BLD_MSG", "I_WAIT_INIT EV_RECV_INIT")
        + "\n"
        + trace(
            "I_BLD_AUTH EV_TRYSEND", "I_WAIT_AUTH EV_RECV_AUTH", "AUTH_DONE EV_OK", "AUTH_DONE EV_INSERT_IKE", mid=1
        ),
        [],
    ),
}


@pytest.mark.parametrize("name", TEXTS)
def test_steps_and_remarks_tell_what_no_other_line_does(name: str) -> None:
    """Where a text holds no packet, a step of the state machine or a remark gives the event of the line beside it."""
    text, wanted = TEXTS[name]
    assert found_in(text) == wanted


def test_a_step_beside_the_line_it_belongs_to_tells_nothing_more() -> None:
    """`Maximum number of retransmissions reached` and the step before it are one event, as is each retransmission."""
    text = "\n".join(
        (
            trace("I_WAIT_INIT EV_RE_XMT"),
            f"IKEv2:{PREFIX}Retransmitting packet",
            trace("I_WAIT_INIT EV_NO_EVENT", "I_WAIT_INIT EV_RE_XMT", "I_WAIT_INIT EV_RE_XMT_EXCEED"),
            f"IKEv2-ERROR:{PREFIX}: Maximum number of retransmissions reached",
            trace("INIT_DONE EV_FAIL", "EXIT EV_ABORT"),
        )
    )
    kinds = [type(one.event) for one in records_of(text)]
    assert kinds.count(RetransmissionsExhausted) == 1
    assert kinds.count(Retransmitting) == 1


def test_a_text_with_packets_has_no_messages_of_steps() -> None:
    """Where packets are told, a step stands for none."""
    text = "\n".join(
        (
            trace("I_BLD_INIT EV_BLD_MSG"),
            f"IKEv2:{PREFIX}Sending Packet [To 192.0.2.2:500/From 192.0.2.1:500/VRF i0:f0] ",
            "Initiator SPI : 00112233445566A7 - Responder SPI : 0000000000000000 Message id: 0",
            "IKEv2 IKE_SA_INIT Exchange REQUEST ",
            trace("I_WAIT_INIT EV_NO_EVENT"),
        )
    )
    assert sum(isinstance(one.event, MessageSent) for one in records_of(text)) == 1


def test_another_spi_is_another_attempt() -> None:
    """An SA's number that another SA took has no responder's SPI of the one before, and gives up anew."""
    text = trace("I_WAIT_INIT EV_RE_XMT_EXCEED") + "\n"
    text += trace("I_WAIT_INIT EV_RE_XMT_EXCEED", spi="FF112233445566A7")
    stamps = [one.stamp.spi_i for one in records_of(text) if isinstance(one.event, RetransmissionsExhausted)]
    assert stamps == ["00112233445566a7", "ff112233445566a7"]


def test_debug_lines_that_tell_nothing_are_not_called_foreign() -> None:
    """Of a text whose lines are IKEv2's and tell no event, the one line of complaint says so."""
    with pytest.raises(LocalError, match="a line that tells what happened"):
        records_of("IKEv2-ERROR:: A supplied parameter is incorrect\n")
