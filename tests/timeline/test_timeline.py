"""The fold of records into IKE SAs, Child SAs and exchanges."""

from __future__ import annotations

from tests.support_records import Made

from ikescope.events import UNSET, decode, encode
from ikescope.timeline import Timeline


def test_a_tunnel_that_came_up_is_one_ready_ike_sa_with_its_child() -> None:
    """After IKE_SA_INIT and IKE_AUTH each router holds one READY IKE SA and one Child SA, SPIs crosswise."""
    timeline = Timeline().extend(Made().up().records)
    (one,), (two,) = timeline.of("R1"), timeline.of("R2")
    assert (one.state, one.spi_i, one.spi_r) == ("READY", "a1a2a3a4a5a6a7a8", "b1b2b3b4b5b6b7b8")
    assert one.initiator is True and two.initiator is False
    (ours,), (theirs,) = timeline.children_of(one), timeline.children_of(two)
    assert (ours.inbound, ours.outbound) == (theirs.outbound, theirs.inbound) == ("c1c1c1c1", "d1d1d1d1")
    assert one.remote_id is not UNSET and one.remote_id.value == "192.0.2.2"


def test_exchanges_join_requests_and_responses() -> None:
    """An exchange holds its request, its response, its octets and the time between them."""
    first, second = (one for one in Timeline().extend(Made().up().records).exchanges if one.sa[0] == "R1")
    assert (first.exchange, first.messages, first.result, first.ours) == (34, 2, "done", True)
    assert first.request and first.response and (first.request.size, first.response.size) == (292, 252)
    assert first.octets == 292 + 252
    assert first.milliseconds is not None and first.milliseconds > 0
    assert (second.exchange, second.message_id, second.purpose) == (35, 1, "authentication, first Child SA")


def test_rekeys_are_told_apart_by_their_payloads() -> None:
    """The payloads of a request say whether it rekeys an IKE SA or a Child SA, makes one, probes or deletes."""
    timeline = Timeline().extend(Made().whole().records)
    purposes = [one.purpose for one in timeline.exchanges if one.sa[0] == "R1"]
    assert purposes == [
        "key exchange",
        "authentication, first Child SA",
        "IKE SA rekey",
        "delete",
        "Child SA rekey",
        "delete",
        "new Child SA",
        "liveness",
        "delete",
    ]


def test_a_rekeyed_ike_sa_hands_its_children_on() -> None:
    """The new IKE SA of a rekey belongs to the family of the old one and holds its Child SAs."""
    made = Made().up()
    made.rekey_ike()
    timeline = Timeline().extend(made.records)
    old, new = timeline.of("R1")
    assert (old.state, old.superseded_by, old.children) == ("DELETED", new.spi_i, ("c1c1c1c1",))
    assert (new.state, new.rekeyed_from, new.children) == ("READY", old.spi_i, ("c1c1c1c1",))
    assert all(child.up and child.sa == new.key for child in timeline.children_of(new))
    assert [family.members for family in timeline.families if family.router == "R1"] == [(old.spi_i, new.spi_i)]


def test_a_rekeyed_child_sa_knows_what_replaced_it() -> None:
    """Of two Child SAs the old one names the new one and is closed, the new one names the old one and stands."""
    made = Made().up()
    made.rekey_child()
    timeline = Timeline().extend(made.records)
    old, new = timeline.children["R1", "c1c1c1c1"], timeline.children["R1", "c2c2c2c2"]
    assert (old.replaced_by, old.up, new.replaces, new.up) == (new.inbound, False, old.inbound, True)


def test_retransmissions_count_as_messages_and_octets() -> None:
    """Repeats of a request count, and an exchange without a response says so."""
    (one,) = Timeline().extend(Made().silence().records).exchanges
    assert (one.messages, one.retransmissions, one.result, one.milliseconds) == (3, 2, "no answer", None)


def test_a_refusal_names_its_notify_on_either_side() -> None:
    """The exchange that ended in an error notify carries its name at both routers, the IKE SA the records of why."""
    timeline = Timeline().extend(Made().wrong_key().records)
    results = {one.sa[0]: one.result for one in timeline.exchanges if one.exchange == 35}
    assert results == {"R1": "AUTHENTICATION_FAILED", "R2": "AUTHENTICATION_FAILED"}
    (two,) = timeline.of("R2")
    assert [record.event.tag for record in two.failures] == ["auth.refused", "message.refused"]


def test_live_and_from_a_file_are_the_same() -> None:
    """Folding record by record gives what folding a recording's lines gives."""
    records = Made().whole().records
    live = Timeline()
    for record in records:
        live.add(record)
    read = Timeline().extend(decode(encode(record)) for record in records)
    assert (live.ike, live.children, live.exchanges) == (read.ike, read.children, read.exchanges)


def test_records_without_spis_belong_to_the_numbered_sa() -> None:
    """A record that names only its SA number joins the IKE SA that last bore it."""
    from msgspec.structs import replace

    from ikescope.events import Record, life

    records = Made().up().records
    stamp = replace(records[-1].stamp, spi_i=UNSET, spi_r=UNSET, seq=999)
    timeline = Timeline().extend(
        [
            *records,
            Record(stamp, life.IkeSaClosed(reason="told by number", seconds=1.0, cause=life.CloseReason.CLEARED)),
        ]
    )
    assert [sa.reason for sa in timeline.of("R1")] == ["told by number"]


def test_an_sa_that_comes_up_is_not_over_for_what_ended_under_the_same_spi() -> None:
    """A late copy of IKE_SA_INIT begins a half-open SA that ends; the next under that SPI is READY, not over."""
    from ikescope.events import life

    late = Made()
    late.init()
    late.tell("R2", life.IkeSaClosed(reason="no IKE_AUTH", seconds=30.0, cause=life.CloseReason.NEVER_CAME))
    late.auth()
    (sa,) = Timeline().extend(late.records).of("R2")
    assert (sa.state, sa.closed, sa.reason, sa.cause) == ("READY", None, "", "")
