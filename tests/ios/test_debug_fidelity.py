"""A session of ours beside a real IOS-XE initiator's debug, line by line."""

import difflib
import re
from pathlib import Path
from typing import Any

from ikescope.events import UNSET, AttributeFact, Event, IdentityFact, ProposalFact, Record, Stamp, TransformFact, life
from ikescope.events import message as m
from ikescope.events import negotiation as n
from ikescope.ios.catalogue_deviations import DEVIATIONS
from ikescope.ios.debug import Renderer, transcript
from ikescope.ios.debug_read import Unknown, read

DATA = Path(__file__).parent / "data" / "initiator-child-refused.txt"
LOCAL, PEER = "192.0.2.1", "192.0.2.2"
INIT, AUTH, INFO = 34, 35, 37
HASHES = ((2, 7), (2, 6), (3, 14), (3, 13))
OFFER = (
    TransformFact(1, 12, 256),
    *(TransformFact(kind, number) for kind, number in HASHES),
    *(TransformFact(4, group) for group in (19, 14, 21, 5)),
)
ESP = (TransformFact(1, 12, 128), TransformFact(3, 2), TransformFact(5, 0))
NAT = ("NOTIFY(NAT_DETECTION_SOURCE_IP)", "NOTIFY(NAT_DETECTION_DESTINATION_IP)")
AUTH_PAYLOADS = (
    *("IDi", "AUTH", "CFG", "SA", "TSi", "TSr", "NOTIFY(INITIAL_CONTACT)", "NOTIFY(USE_TRANSPORT_MODE)"),
    *("NOTIFY(SET_WINDOW_SIZE)", "NOTIFY(ESP_TFC_NO_SUPPORT)", "NOTIFY(NON_FIRST_FRAGS)"),
)
ME, YOU = IdentityFact(1, LOCAL), IdentityFact(1, PEER)


def packet(kind: type[Event], exchange: int, response: bool, *payloads: str, inner: Any = UNSET) -> Event:
    """A datagram's event."""
    made: Any = kind
    ends = {"local": f"{LOCAL}:500", "remote": f"{PEER}:500"}
    return made(exchange=exchange, response=response, payloads=payloads, size=1, inner=inner, **ends)  # type: ignore[no-any-return]


def delete(kind: Any, spi: str) -> tuple[Event, ...]:
    """What leads to a DELETE."""
    return (
        life.DeleteSent(kind=kind, spis=(spi,)),
        m.MessageSealing(exchange=INFO, response=False, payloads=("DELETE",)),
        m.WindowChecked(in_flight=0, window=5, fits=True),
    )


SEARCH = n.PolicySearched(local=LOCAL, policy="default", proposals=("default",), default_proposal=True)
IPSEC_CHECK, ACTIVE_CHECK = life.SaChecked(children=0, active=1), life.SaChecked(children=0, active=0)
FIRST: tuple[Event, ...] = (
    n.KeyringSearched(profile="default", keyring="KEYS", block="R2", peer=PEER),
    SEARCH,
)
STEPS: tuple[tuple[int, Event], ...] = (
    (0, n.KeyExchangeComputed(part="public", group=19, octets=64)),
    (0, m.MessageBuilding(exchange=INIT, response=False)),
    (0, n.ProposalSent(protocol=1, response=False, initial=True, proposals=(ProposalFact(1, 1, "", OFFER),))),
    (0, packet(m.MessageSent, INIT, False, "SA", "KE", "N", "VID", *NAT)),
    (0, life.SaInserted()),
    (0, packet(m.MessageReceived, INIT, True, "SA", "KE", "N", "VID", *NAT)),
    (0, m.MessageProcessing(exchange=INIT, response=True)),
    (0, n.NatChecked(supported=True, local_behind=False, remote_behind=False, forced=False, floated=False)),
    (0, n.KeyExchangeComputed(part="secret", group=19, octets=32)),
    (0, n.KeysDerived(rekey=False, prf=7, lengths={"SK_d": 64})),
    (0, n.ExchangeCompleted(exchange=INIT)),
    (1, n.ConfigSent(kind=1, attributes=(AttributeFact(7, "APPLICATION_VERSION", 0),))),
    (1, n.AuthGenerated(method=2, identity=ME, key_length=5)),
    (1, m.MessageBuilding(exchange=AUTH, response=False)),
    (1, n.IdentitySent(kind="IDi", identity=ME)),
    (1, n.ProposalSent(protocol=3, response=False, initial=True, proposals=(ProposalFact(1, 3, "a153cf67", ESP),))),
    (1, m.MessageSealing(exchange=AUTH, response=False, payloads=AUTH_PAYLOADS)),
    (1, packet(m.MessageSent, AUTH, False, "ENCR", inner=AUTH_PAYLOADS)),
    (
        1,
        packet(m.MessageReceived, AUTH, True, "ENCR", inner=("IDr", "AUTH", "CFG", "NOTIFY(NO_PROPOSAL_CHOSEN)")),
    ),
    (1, m.MessageProcessing(exchange=AUTH, response=True)),
    (1, life.ChildRefused(by="peer", notify=14, exchange=AUTH)),
    (1, n.PeerIdentified(kind="IDr", identity=YOU)),
    (1, SEARCH),
    (1, n.ProfileMatched(profile="default", tried=())),
    (1, n.PolicyVerified()),
    (1, n.AuthVerified(method=2, identity=YOU, key_length=5)),
    (1, n.ConfigReceived(kind=2, attributes=(AttributeFact(7, "APPLICATION_VERSION", 14, "ikescope 0.1.0"),))),
    (1, life.IkeSaCreated(lifetime=86400, suite="", initiator=True)),
    (1, life.SessionUp(local=ME, remote=YOU, index=1)),
    (1, life.DuplicateChecked(found=0)),
    (2, life.DeleteQueued(reason="the peer refused the first Child SA", cause=life.CloseReason.PEER_REFUSED)),
    *((2, event) for event in delete("child", "a153cf67")),
    (2, packet(m.MessageSent, INFO, False, "ENCR", inner=("DELETE",))),
    (2, IPSEC_CHECK),
    *((3, event) for event in delete("ike", "")),
    (3, ACTIVE_CHECK),
    (2, packet(m.MessageReceived, INFO, True, "ENCR", inner=())),
    (2, life.AckProcessed()),
    (2, IPSEC_CHECK),
    (3, packet(m.MessageSent, INFO, False, "ENCR", inner=("DELETE",))),
    (3, packet(m.MessageReceived, INFO, True, "ENCR", inner=())),
    (3, life.AckProcessed()),
    (3, life.IkeSaClosed(reason="child refused", seconds=0.1, cause=life.CloseReason.PEER_REFUSED)),
)


def session() -> list[Record]:
    """Our session, as its engine tells it."""
    made = [Record(Stamp(seq=i, mono=0.0, wall=0.0, router="R1"), event) for i, event in enumerate(FIRST)]
    answered = False
    for number, (message_id, event) in enumerate(STEPS, len(FIRST)):
        answered = answered or isinstance(event, m.MessageReceived)
        spi: Any = "b1b2b3b4b5b6b7b8" if answered else UNSET
        stamp = Stamp(
            seq=number,
            mono=0.0,
            wall=0.0,
            router="R1",
            local=f"{LOCAL}:500",
            peer=f"{PEER}:500",
            spi_i="a1a2a3a4a5a6a7a8",
            spi_r=spi,
            session=7,
            sa=1,
            message_id=message_id,
            initiator=True,
        )
        made.append(Record(stamp, event))
    return made


MASKS = (
    (r"192\.0\.2\.2", "<peer>"),
    (r"192\.0\.2\.1", "<local>"),
    (r"A1A2A3A4A5A6A7A8", "<spi-i>"),
    (r"B1B2B3B4B5B6B7B8", "<spi-r>"),
    (r"A153CF67", "<spi>"),
    (r"SESSION ID = \d+", "SESSION ID = <n>"),
    (r"SA ID = \d+", "SA ID = <n>"),
    (r"'R2'", "'<block>'"),
    (r"keyring KEYS", "keyring <keyring>"),
    (r"IPv4 address", "<address>"),
    (r"key len \d+", "key len <n>"),
    (r"tunnel index \d+", "tunnel index <n>"),
)


def masked(line: str) -> str:
    """A line of ours without what belongs to this session alone."""
    for pattern, mask in MASKS:
        line = re.sub(pattern, mask, line)
    return line


def real() -> list[str]:
    """The transcript's lines; `|` guards blanks at a line's end."""
    lines = [line.rstrip("\n") for line in DATA.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    return [line.removesuffix("|") for line in lines]


def without(lines: list[str], patterns: list[str]) -> list[str]:
    """The lines that none of these patterns describes."""
    return [line for line in lines if not any(re.fullmatch(pattern, line) for pattern in patterns)]


def equal(a: list[str], b: list[str]) -> int:
    """How many lines are the same, in order."""
    return sum(block.size for block in difflib.SequenceMatcher(None, a, b, autojunk=False).get_matching_blocks())


def test_our_session_reads_like_the_real_initiator_s() -> None:
    """Where our session does the same, at least 95 % of the lines of the real debug stand in ours, in order."""
    ours = [masked(line) for line in transcript(Renderer(), session())]
    ios = real()
    assert len(ios) == 151
    left = without(ios, [pattern for one in DEVIATIONS for pattern in one.ios])
    right = without(ours, [pattern for one in DEVIATIONS for pattern in one.ours])
    assert equal(left, right) / max(len(left), len(right)) >= 0.95
    assert equal(ios, ours) / len(ios) >= 0.85


def test_every_difference_is_a_listed_deviation() -> None:
    """With the listed deviations aside, not one line differs, trailing blanks and blank lines included."""
    ours = [masked(line) for line in transcript(Renderer(), session())]
    left = without(real(), [pattern for one in DEVIATIONS for pattern in one.ios])
    right = without(ours, [pattern for one in DEVIATIONS for pattern in one.ours])
    assert list(difflib.unified_diff(left, right, lineterm="", n=0)) == []


def test_every_listed_deviation_is_real() -> None:
    """A deviation names lines that stand in the transcript, and lines that we print."""
    ours = [masked(line) for line in transcript(Renderer(), session())]
    for one in DEVIATIONS:
        assert all(any(re.fullmatch(pattern, line) for line in real()) for pattern in one.ios), one.why
        assert all(any(re.fullmatch(pattern, line) for line in ours) for pattern in one.ours), one.why


def unmasked() -> list[str]:
    """The transcript with values of ours in the place of its masks."""
    values = {
        "<peer>": PEER,
        "<local>": LOCAL,
        "<spi-i>": "A1A2A3A4A5A6A7A8",
        "<spi-r>": "B1B2B3B4B5B6B7B8",
        "<spi>": "A153CF67",
        "<n>": "1",
        "<address>": "IPv4 address",
        "<keyring>": "KEYS",
        "<block>": "R2",
    }
    return [re.sub("<[a-z-]+>", lambda found: values[found[0]], line) for line in real()]


def test_the_real_transcript_is_read_whole_and_written_back_the_same() -> None:
    """Reading leaves no line of it unknown; rendering what was read gives every line again."""
    lines = unmasked()
    found = list(read(lines))
    assert [one for one in found if isinstance(one, Unknown)] == []
    assert transcript(Renderer(), [one for one in found if isinstance(one, Record)]) == lines


def test_the_reader_finds_the_events_of_the_real_session() -> None:
    """The events of the real session are ours in number, kind and order; what IOS does not print is missing."""
    found = [type(one.event).__name__ for one in read(unmasked()) if isinstance(one, Record)]
    ours_alone = (n.ProfileMatched, n.ConfigReceived)
    ours = [type(record.event).__name__ for record in session() if not isinstance(record.event, ours_alone)]
    assert found == ours
