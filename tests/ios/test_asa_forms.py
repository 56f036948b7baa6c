"""ASA and FTD text in every form it is pasted in, syslog messages, and text that means harm."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from tests.ios import asa_samples as asa

from ikescope.capture import source
from ikescope.events import Event, IdentityFact, Record, SelectorFact, encode, life, message, negotiation, router
from ikescope.events.life import CloseReason
from ikescope.ios.asa import is_asa, read
from ikescope.ios.asa_state import event_of
from ikescope.ios.debug_read import Unknown
from ikescope.ios.text_lines import LONGEST, behead, unglue
from ikescope.views.anonymise import anonymised
from ikescope.views.read import render

SESSION = [*asa.init_sent(), *asa.init_answered(), *asa.auth_accepted()]


def events(lines: list[str]) -> list[Event]:
    """The events of a text without an unknown line."""
    found = list(read(lines))
    assert [one.text for one in found if isinstance(one, Unknown)] == []
    return [one.event for one in found if isinstance(one, Record)]


def _levels(line: str) -> str:
    return re.sub(r"(PROTO|PLAT)-\d", r"\1-7", line)


FORMS: dict[str, Callable[[str], str]] = {
    "CRLF": lambda line: f"{line}\r\n",
    "other levels": _levels,
    "ASA syslog": lambda line: f"Jun 08 2019 19:14:38: %ASA-7-711001: {line}",
    "FTD syslog": lambda line: f"<189>Mar  4 10:11:12 fw01 %FTD-5-711001: {line}",
    "syslog with two times": lambda line: f"Mar  4 10:11:13 10.0.0.9 Mar 04 2021 10:11:12 fw : %ASA-7-711001: {line}",
    "ISO time and host": lambda line: f"2021-03-04T10:11:12.123Z fw01 : %FTD-5-711001: {line}",
    "server's time": lambda line: f"*May  2 16:05:33.248: {line}",
    "sequence number": lambda line: f"2328304: Jun  8 19:14:38.051 GMT: {line}",
    "a mail's quotes": lambda line: f"> > {line}",
    "a page's entities": lambda line: line.replace(">", "&gt;").replace("'", "&#39;"),
    "a terminal's colours": lambda line: f"\x1b[0m{line}\x1b[K",
    "newer trace": lambda line: line.replace("SM Trace-> SA: I_SPI", "SM Trace-> I_SPI"),
}


@pytest.mark.parametrize("form", FORMS)
def test_forms(form: str) -> None:
    """Whatever stands before and behind a line, and whatever its level, the events are the same."""
    assert events([FORMS[form](line) for line in SESSION]) == events(SESSION)


def test_lines_that_a_terminal_broke() -> None:
    """A trace or packet line broken at a column is joined again, whether the blank there was lost or not."""
    broken: list[str] = []
    for line in SESSION:
        wrapped = len(line) > 80 and ("SM Trace" in line or " PKT [" in line)
        broken += [line[:80], line[80:]] if wrapped else [line]
    assert len(broken) > len(SESSION)
    assert events(broken) == events(SESSION)


def test_releases_before_9_2() -> None:
    """What those releases print otherwise is read as what the later ones print, octets and all."""
    found = events(asa.OLD.splitlines())
    sent, received = (one for one in found if isinstance(one, message.MessageSent | message.MessageReceived))
    assert (sent.local, sent.remote, sent.response) == (f"{asa.LOCAL}:500", f"{asa.REMOTE}:500", False)
    assert (sent.payloads, received.payloads) == (("SA", "N"), ("NOTIFY(NO_PROPOSAL_CHOSEN)",))
    assert isinstance(sent.octets, bytes)
    assert len(sent.octets) == 92
    assert [one.notify for one in found if isinstance(one, message.ResponseRefused)] == [14]
    assert [one.local_behind for one in found if isinstance(one, negotiation.NatChecked)] == [False]
    assert "exchange.completed" in [one.tag for one in found]


def test_times() -> None:
    """The device's own stamp is the wall time; without a stamp a line has the time of the one before it."""
    stamped = [f"Jun 08 2019 19:14:{second:02d}: %ASA-7-711001: {line}" for second, line in enumerate(SESSION[:50])]
    found = [one for one in read(stamped) if isinstance(one, Record)]
    assert found[0].stamp.wall == 1560021278.0 + (found[0].stamp.line or 0) - 1 - 38
    assert found[0].stamp.mono == 0.0
    assert [one.stamp.wall for one in found] == sorted(one.stamp.wall for one in found)


def test_a_cut_beginning() -> None:
    """A first line without its first letters is read, and what is cut off before it is missed by nobody."""
    assert events(["KEv2-PLAT-3: (7): my auth method set to: 2"]) == []
    tail = events(SESSION[SESSION.index(asa.proto(7, "Insert SA")[0]) :])
    assert tail[-2:] == events(SESSION)[-2:]


def test_glued_messages() -> None:
    """Several messages on one physical line are parted where each begins."""
    line = "IKEv2-PROTO-5: Construct Notify Payload: HTTPIKEv2-PROTO-2: (9): Deleting SAIKEv2-PLAT-2: PSH cleanup"
    assert [part.partition(":")[0] for part in unglue(line)] == ["IKEv2-PROTO-5", "IKEv2-PROTO-2", "IKEv2-PLAT-2"]
    assert events([line]) == [event_of(life.IkeSaClosed)]


def test_prompts_and_other_logs() -> None:
    """A prompt before a line is passed over, a command is an event, another program's line is kept as unknown."""
    lines = [
        "fw/act# ",
        "fw/act# IKEv2-PROTO-2: (9): Deleting SA",
        "fw(config)# no debug all",
        "%ASA-6-302013: Built TCP",
    ]
    found = list(read(lines))
    assert [one.event for one in found if isinstance(one, Record)] == [
        event_of(life.IkeSaClosed),
        router.CommandEntered(command="no debug all"),
    ]
    assert [(one.number, one.text) for one in found if isinstance(one, Unknown)] == [(4, "Built TCP")]


def test_two_sas_interleaved() -> None:
    """Lines of two SAs that alternate are each their own SA's."""
    one = asa.proto(7, "Initializing DPD, configured for 10 seconds", "Deleting SA")
    two = asa.proto(8, "Initializing DPD, configured for 20 seconds", "Deleting SA")
    found = [each for pair in zip(one, two, strict=True) for each in read(list(pair)) if isinstance(each, Record)]
    both = list(read([line for pair in zip(one, two, strict=True) for line in pair]))
    assert sorted((each.stamp.sa or 0, each.event.tag) for each in both if isinstance(each, Record)) == sorted(
        (each.stamp.sa or 0, each.event.tag) for each in found
    )


def test_members_of_a_family_never_seen() -> None:
    """A line of a known family is known, whatever its name or number."""
    lines = [
        *asa.plat("Received PFKEY Dump for SPI 0xAB, error FALSE", "Received PFKEY X for SPI 0x1 error FALSE"),
        *asa.plat("supported_peers_auth_method = 14", "peer auth method set to: 9", "tunnel protocol set to: 0x7"),
        *asa.proto(
            None, "Construct Signature Hash Payload: SHA2-512", "Construct Notify Payload: SIGNATURE_HASH_ALGORITHMS"
        ),
        *asa.proto(
            3, "Deleting negotiation context for peer message ID: 0x1F", "Request has mess_id 9; expected 8 through 12"
        ),
    ]
    assert events(lines) == []


def test_platform_alone() -> None:
    """Where the protocol's debug is off, the platform's lines give packets, the session and its end."""
    lines = [line for line in SESSION if line.startswith(("IKEv2-PLAT", "CONNECTION"))]
    lines += asa.plat("session manager killed ikev2 tunnel. Reason: Lost Service", sa=7)
    found = events(lines)
    packets = [one for one in found if isinstance(one, message.MessageSent | message.MessageReceived)]
    assert [(one.tag, one.exchange, one.response) for one in packets] == [
        ("message.sent", 34, False),
        ("message.received", 34, True),
        ("message.sent", 35, False),
        ("message.received", 35, True),
    ]
    assert [one.remote for one in found if isinstance(one, life.SessionUp)] == [IdentityFact(1, asa.REMOTE)]
    assert [one.cause for one in found if isinstance(one, life.SessionDown)] == [CloseReason.SILENCE]


ENDS = f"Local:{asa.LOCAL}:500 Remote:{asa.REMOTE}:500 Username:{asa.REMOTE}"
_NET = "traffic selector = Address Range: 10.1.0.0-10.1.0.255 Protocol: 0 Port Range: 0-65535"
SYSLOGS: dict[str, tuple[str, tuple[type[Event], ...]]] = {
    "750001": (f"{ENDS} Received request to establish an IPsec tunnel; local {_NET}", (router.TrafficMatched,)),
    "750002": (f"{ENDS} IKEv2 Received a IKE_INIT_SA request", (message.MessageReceived,)),
    "750003": (
        f"{ENDS} IKEv2 Negotiation aborted due to ERROR: There was no IPSEC policy found for received TS",
        (negotiation.SelectorsRefused, negotiation.ExchangeFailed),
    ),
    "750006": (f"{ENDS} IKEv2 SA UP. Reason: New Connection Established", (life.SessionUp,)),
    "750007": (f"{ENDS} IKEv2 SA DOWN. Reason: peer lost service", (life.SessionDown,)),
    "751002": (
        f"{ENDS} No preshared key or trustpoint configured for self in tunnel group G",
        (negotiation.KeyNotFound,),
    ),
    "751009": (f"{ENDS} Unable to find tunnel group for peer.", (negotiation.ProfileNotFound,)),
    "751022": (
        f"{ENDS} Tunnel rejected: Crypto Map Policy not found for remote traffic selector "
        "10.2.0.0/10.2.0.255/0/65535/0 local traffic selector 10.1.0.0/10.1.0.255/0/65535/0!",
        (negotiation.SelectorsRefused,),
    ),
    "751025": (f"{ENDS} Assigned IPv4 Address: 10.9.9.9", ()),
    "602303": (
        f"IPSEC: An outbound LAN-to-LAN SA (SPI= 0x9A1B) between {asa.LOCAL} and {asa.REMOTE} has been created.",
        (router.EspInstalled,),
    ),
}


@pytest.mark.parametrize("number", SYSLOGS)
def test_syslog_messages(number: str) -> None:
    """Each syslog message of IKEv2 is known; what it tells is an event with both ends' addresses."""
    text, wanted = SYSLOGS[number]
    found = list(read([f"Jun 08 2019 19:14:38: %ASA-4-{number}: {text}"]))
    assert tuple(type(one.event) for one in found if isinstance(one, Record)) == wanted
    if "Local" in text:
        assert all(one.stamp.peer == f"{asa.REMOTE}:500" for one in found if isinstance(one, Record))


def test_selectors_of_a_syslog_message() -> None:
    """%ASA-4-751022 names both selectors that no crypto map entry holds."""
    (event,) = events([f"%ASA-4-751022: {SYSLOGS['751022'][0]}"])
    assert isinstance(event, negotiation.SelectorsRefused)
    assert event.proposed_remote == (SelectorFact("10.2.0.0", "10.2.0.255"),)


def test_which_text_is_an_asas() -> None:
    """A text is an ASA's by its prefixes or its syslog mnemonics; `read` of a file tells them apart."""
    assert is_asa(["x", "IKEv2-PLAT-3: INVALID PSH HANDLE"])
    assert is_asa(["Jun 08 2019 19:14:38: %FTD-4-750003: x"])
    assert not is_asa(["*May  2 16:05:33.248: IKEv2:(SESSION ID = 7,SA ID = 1):Deleting SA"])
    found = source.read("\n".join(SESSION).encode(), "hub.txt")
    assert {(one.stamp.router, one.stamp.source) for one in found} == {(asa.LOCAL, "hub.txt")}


def test_anonymised() -> None:
    """Of an ASA's text no address, crypto map or tunnel group is left where it is made anonymous."""
    lines = [*asa.init_replied(), *asa.auth_received(), *asa.verified(9, asa.REMOTE)]
    lines += asa.plat("Crypto Map: No proxy match on map OUTSIDE seq 10", sa=9)
    lines += [*asa.policies(9, "ESP: ", "AES-CBC-256 SHA256 Don't use ESN", ""), *asa.child_refused()]
    found = source.read("\n".join(lines).encode(), "hub.txt")
    text = b"\n".join(encode(one) for one in anonymised(found)).decode()
    assert [one for one in (asa.LOCAL, asa.REMOTE, asa.NET_I[0], "OUTSIDE", asa.SPI_I.lower()) if one in text] == []


def test_heads() -> None:
    """What is no head stays in the text: a mnemonic far inside a message, a time without a day."""
    assert behead("IKEv2-PROTO-2: (1): see %ASA-4-750003: x", 2020).tag == ""
    assert behead("Feb 30 2021 10:11:12: x", 2020).wall is None
    assert behead("a" * (LONGEST + 5), 2020).text == "a" * LONGEST


WHO: dict[str, Any] = {"response": False, "initiator": True}
DELETE = "    Security protocol id: IKE, spi size: 999, num of spi: 99999"
HOSTILE = {
    "numbers without room": [
        *asa.message("Sending", 7, "IKE_SA_INIT", 9_999_999_999, asa.init_payloads(("4 DH_GROUP/Group 99999",)), **WHO),
        *asa.message("Sending", 7, "IKE_SA_INIT", 0, asa.notify("NOTIFY_99999"), **WHO),
        *asa.message("Sending", 7, "IKE_SA_INIT", 0, asa.payload("DELETE", "NONE", 8, DELETE), **WHO),
        "IKEv2-PROTO-2: (7): Insert SA",
    ],
    "words unknown": [*asa.init_sent(), "IKEv2-PROTO-2: (7): IKE Proposal: 1, SPI size: 0 (x), ", "   WHAT   EVER"],
    "one long line": ["IKEv2-PROTO-2: (1): " + "A" * 3_000_000],
    "glue": ["IKEv2-PROTO-2: (1): " * 100_000],
    "numbers": ["IKEv2-PROTO-2: (1): " + "(1):" * 200_000],
    "prefix without end": ["IKEv2-PROTO-" + "9" * 500_000],
    "payloads": [
        "IKEv2-PROTO-2: (1): Sending Packet [To a/From b/VRF i0:f0] ",
        *["(1):  SA(1):   Next payload: KE, reserved: 0x0, length: 48"] * 20_000,
    ],
    "octets": [
        "IKEv2-PROTO-2: Sending Packet [To a/From b/VRF i0:f0]",
        " KE  Next payload: N, reserved: 0x0, length: 9",
        *["00 " * 15 + "00"] * 30_000,
    ],
    "escapes": ["\x1b]0;x\x07IKEv2-PROTO-2: (1): \x1b[31mDeleting SA", "IKEv2-PROTO-2: (1): <script>"],
    "policies": ["IKEv2-PROTO-1: (1): Received Policies: ", *["Proposal 1:  " + "AES-CBC-128 " * 400] * 2_000],
    "blanks": [" " * 500_000, "IKEv2-PROTO-2: (1):" + " " * 500_000 + "x"],
    "SAs": [f"IKEv2-PROTO-2: ({number}): Insert SA" for number in range(6_000)],
    "stamps": ["Jan  1 00:00:00: " * 5_000],
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_text(name: str) -> None:
    """Text that means harm is read to its end, and what is unknown of it stays bounded."""
    found = list(read(HOSTILE[name]))
    assert list(render([one for one in found if isinstance(one, Record)][:500], "explain")) is not None
    assert all(len(one.text) <= LONGEST for one in found if isinstance(one, Unknown))


def test_streaming() -> None:
    """Lines are taken one by one, as the records are wanted: a text may be endless."""

    def endless() -> object:
        while True:
            yield from SESSION

    found = read(endless())  # type: ignore[arg-type]
    assert [next(found) for _ in range(200)][-1] is not None
