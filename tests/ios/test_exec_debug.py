"""Debug conditions, event-trace and diagnose of a router that runs, asked at its prompt."""

import re
from collections.abc import Iterable
from typing import Any

import pytest
from tests.ios.show_samples import CONFIG, STATUS
from tests.ios.test_debug_session import pair

from ikescope.config.model import RouterConfig
from ikescope.events import Record
from ikescope.ios import event_trace
from ikescope.ios.exec import Session


class Stub:
    """A router that has seen these records."""

    def __init__(self, records: Iterable[Record] = ()) -> None:
        self.seen = list(records)
        self.config: RouterConfig = CONFIG

    def status(self) -> Any:
        """No SA is there."""
        return STATUS

    def records(self) -> Iterable[Record]:
        """What the recorder holds."""
        return self.seen

    def note(self, event: object) -> None:
        """Nothing is told."""

    request = configure = note


def session(records: Iterable[Record] = ()) -> Session:
    """An operator at such a router."""
    return Session(Stub(records))  # type: ignore[arg-type]


PEER = "192.0.2.2"


@pytest.mark.parametrize(
    ("typed", "shown"),
    [
        (f"debug crypto condition peer ipv4 {PEER}", True),
        (f"debug crypto condition peer {PEER}", True),
        ("debug crypto condition peer subnet 192.0.2.0 255.255.255.0", True),
        ("debug crypto condition peer ipv4 192.0.2.77", False),
        ("debug crypto condition peer ipv6 2001:db8::1", False),
    ],
)
def test_a_condition_admits_the_peers_that_it_names(typed: str, shown: bool) -> None:
    """Only lines of a named peer are printed; what names no peer waits for `unmatched`."""
    _, first, _ = pair()
    one = session()
    one.execute("debug crypto ikev2")
    assert not one.execute(typed).refused
    assert one.renderer is not None
    lines = [line for record in first.records for line in one.renderer.lines(record)]
    assert bool([line for line in lines if "SA ID" in line]) is shown
    assert not [line for line in lines if "Searching Policy" in line]
    one.execute("debug crypto condition unmatched")
    assert [line for record in first.records for line in one.renderer.lines(record) if "Searching Policy" in line]
    assert "Crypto conditional debug currently is turned ON" in one.execute("show crypto debug-condition").output
    one.execute("debug crypto condition reset")
    assert "Crypto conditional debug currently is turned OFF" in one.execute("show crypto debug-condition").output


def test_a_condition_is_taken_back_line_by_line() -> None:
    """`no debug crypto condition` removes the one peer that it names."""
    one = session()
    for typed in ("debug crypto condition peer ipv4 192.0.2.2", "debug crypto condition peer ipv4 192.0.2.3"):
        one.execute(typed)
    one.execute("no debug crypto condition peer ipv4 192.0.2.2")
    assert [str(peer) for peer in one.condition.peers] == ["192.0.2.3/32"]
    one.execute("undebug all")
    assert [str(peer) for peer in one.condition.peers] == ["192.0.2.3/32"], "a condition outlives the levels"


def test_show_debugging_lists_what_is_on() -> None:
    """Each level that is on has its line, `debug crypto ipsec` under its own heading."""
    one = session()
    assert one.execute("show debugging").output == ()
    for typed in ("debug crypto ikev2 packet hexdump", "debug crypto ipsec", "debug crypto ikev2 error"):
        one.execute(typed)
    told = one.execute("show debugging").output
    assert told[:3] == ("Cryptographic Subsystem:", "  Crypto IPSEC debugging is on", "IKEV2:")
    assert told[3:5] == ("  IKEv2 error debugging is on", "  IKEv2 packet hexdump debugging is on")
    one.execute("no debug crypto ikev2 packet hexdump")
    one.execute("no debug crypto ipsec")
    assert one.execute("show debugging").output == ("IKEV2:", "  IKEv2 error debugging is on", "")


def test_the_event_trace_tells_a_session_in_ios_s_format() -> None:
    """Each line has stamp, SA, session and ends; the exchanges and the session stand in it, in order."""
    _, first, _ = pair()
    lines = session(first.records).execute("show monitor event-trace crypto ikev2 event all").output
    head = r"\*\w{3} [ \d]\d \d\d:\d\d:\d\d\.\d{3}: SA ID:1 SESSION ID:1 Remote: 192.0.2.2/500 Local: 192.0.2.1/500  "
    assert all(re.match(head, line) for line in lines)
    texts = [re.sub(head, "", line) for line in lines]
    assert texts == [
        "(I) Sending IKEv2 IKE_SA_INIT Exchange REQUEST",
        "(I) Received IKEv2 IKE_SA_INIT Exchange RESPONSE",
        "Completed SA init exchange",
        "(I) Sending IKEv2 IKE_AUTH Exchange REQUEST",
        "(I) Received IKEv2 IKE_AUTH Exchange RESPONSE",
        "Session with IKE ID PAIR(192.0.2.2 , 192.0.2.1) is UP",
    ]


def test_errors_have_a_trace_of_their_own() -> None:
    """A wrong key stands in the error trace and in `diagnose error`, and nothing stands in the exception trace."""
    _, _, second = pair(key="another")
    one = session(second.records)
    errors = one.execute("show monitor event-trace crypto ikev2 error all").output
    assert [line for line in errors if line.endswith(": Failed to authenticate the IKE SA")]
    assert one.execute("show monitor event-trace crypto ikev2 exception all").output == ()
    found = one.execute("show crypto ikev2 diagnose error").output
    assert re.fullmatch(r"Exit Path Table - status: enable, current entry \d+, deleted 0, max allow 50", found[0])
    assert "Error(104): Failed to authenticate the IKE SA" in found
    assert [line for line in found if line.startswith("-Traceback= *") and "pre-shared keys differ" in line]
    told = [type(record.event).__name__ for record in event_trace.read(errors) if isinstance(record, Record)]
    assert "ExchangeFailed" in told


def test_diagnose_keeps_the_latest_fifty() -> None:
    """More entries than IOS keeps push the oldest out, and their number is told."""
    _, _, second = pair(key="another")
    refused = [record for record in second.records if type(record.event).__name__ == "AuthRefused"]
    found = session(refused * 60).execute("show crypto ikev2 diagnose error").output
    assert found[0] == "Exit Path Table - status: enable, current entry 50, deleted 10, max allow 50"
    assert len([line for line in found if line.startswith("Error(104)")]) == 50
