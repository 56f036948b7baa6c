"""Verdict and closing table."""

from __future__ import annotations

import pytest
from tests.support_records import Made

from ikescope.events.life import ChildRefused
from ikescope.explain.summary import rows, table, verdict
from ikescope.timeline import Timeline


def judged(made: Made) -> list[str]:
    """The verdict over a session."""
    return verdict(Timeline().extend(made.records))


@pytest.mark.parametrize(
    ("session", "answer", "change"),
    [
        ("up", "Tunnel0 is up: IKE SA 1 with 192.0.2.2 READY, 1 Child SA.", ""),
        ("whole", "Down: IKE SA 2 with 192.0.2.2 was up and ended: cleared by the operator.", ""),
        ("wrong_key", "Not up: the pre-shared keys differ (AUTHENTICATION_FAILED from 192.0.2.2", "pre-shared key"),
        (
            "no_proposal",
            "Not up: no common IKE proposal: for key exchange, R1 offers group 19, 14, 21, 5 and R2 wants group 20",
            "key exchange",
        ),
        ("unmatched_selectors", "Not up: the traffic selectors do not meet", "access list"),
        ("silence", "Not up: no answer from 192.0.2.2 (IKE_SA_INIT sent 3 times", "UDP 500 and 4500"),
    ],
)
def test_the_first_line_is_the_answer(session: str, answer: str, change: str) -> None:
    """The first line says whether it is up or why not, the second what to change."""
    lines = judged(getattr(Made(), session)())
    assert lines[0].startswith(answer)
    assert change in (lines[1] if change else "")


def test_silence_after_the_float_blames_port_4500() -> None:
    """An IKE_SA_INIT that was answered and an IKE_AUTH on 4500 that was not is a filter."""
    assert judged(Made().silence(floated=True))[0].startswith("Not up: no answer on UDP 4500")


def test_one_side_alone_says_what_it_knows() -> None:
    """With the initiator's records only, the verdict names the notify and guesses no more than it allows."""
    records = [one for one in Made().wrong_key().records if one.stamp.router == "R1"]
    first = verdict(Timeline().extend(records))[0]
    assert first == (
        "Not up: 192.0.2.2 did not accept the identity or AUTH of R1 (AUTHENTICATION_FAILED (24) to IKE_AUTH)."
    )


def test_nothing_is_judged_as_nothing() -> None:
    """Without a record, and without a message, the verdict says so."""
    assert verdict(Timeline()) == ["Nothing to judge: there is not one record."]
    assert judged(Made(records=Made().up().records[:1])) == [
        "Not up: traffic wants a tunnel, but no IKE message was sent or received."
    ]


def test_a_session_cut_short_says_where_it_stopped() -> None:
    """A recording that ends before IKE_AUTH's answer says what has no response."""
    made = Made()
    made.init()
    made.auth_request()
    assert judged(made)[0] == "Not up yet: with 192.0.2.2, IKE_AUTH has no response."


def test_rekeys_are_counted() -> None:
    """The verdict counts the rekeys of the IKE SA and of its Child SAs."""
    made = Made().up()
    made.rekey_ike()
    made.rekey_child()
    lines = judged(made)
    assert "Rekeyed so far: IKE SA once, Child SAs once." in lines
    assert any(line.startswith("Rekeys begun here: 2, by the peer: 0; lifetimes here: IKE SA 120 s") for line in lines)


def test_the_table_counts_every_datagram() -> None:
    """A row an exchange with messages, octets and milliseconds; the last row sums them."""
    timeline = Timeline().extend(Made().whole().records)
    cells = rows(timeline)
    assert len(cells) == 9 and cells[0][:4] == ("IKE_SA_INIT", "key exchange", "R1", "2")
    last = table(timeline)[-1].split()
    assert last == ["total", str(sum(int(row[3]) for row in cells)), str(sum(int(row[4]) for row in cells))]


def test_a_refused_child_beside_a_standing_one_is_told() -> None:
    """A tunnel that is up does not hide that another Child SA was refused."""
    made = Made().up()
    made.tell("R1", ChildRefused(by="peer", notify=38, exchange=36, tunnel="Tunnel1"))
    lines = judged(made)
    assert lines[0].startswith("Tunnel0 is up: ") and "But R2 has nothing for the traffic selectors of R1" in lines[0]
    assert lines[1].startswith("Change: tunnel mode, access list")
