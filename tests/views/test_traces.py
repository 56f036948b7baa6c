"""Traces are a fold of the records: an IKE SA a trace, an exchange a span, what was computed within it."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable

import pytest
from opentelemetry.sdk.trace.export import SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind
from opentelemetry.trace.status import StatusCode
from tests.support.world import Pair, Side, impair, pair

from ikescope.daemon.otel import readable
from ikescope.engine.commands import Clear, Rekey
from ikescope.events import Record
from ikescope.views.traces import MOST, Span, Traces, lines, trace_of


def spans(records: Iterable[Record]) -> list[Span]:
    """Every span that records give, those still open too."""
    traces = Traces()
    found = [span for record in records for span in traces.add(record)]
    return found + traces.end()


@pytest.fixture(scope="module")
def session() -> Pair:
    """A handshake, a rekey of each kind, a Delete."""
    both = pair().up()
    both.ask("R1", Rekey(sa=both.one_ike("R1").id))
    both.world.run(2)
    both.ask("R1", Rekey(spi=both.one_child("R1").inbound))
    both.world.run(2)
    both.ask("R1", Clear())
    both.world.run(8)
    return both


def test_an_ike_sa_is_a_trace_and_an_exchange_a_span(session: Pair) -> None:
    """Two IKE SAs, two traces that both routers share; each exchange hangs under its IKE SA, client and server."""
    found = spans(session.world.records)
    roots = [span for span in found if span.parent is None]
    assert [(root.router, root.name) for root in roots].count(("R1", "IKE SA")) == 2
    assert len({root.trace for root in roots}) == 2 and len(roots) == 4
    for name, kind in (("R1", "client"), ("R2", "server")):
        mine = [span for span in found if span.router == name and span.kind != "internal"]
        assert [span.attributes["ike.exchange"] for span in mine if span.attributes["ike.message_id"] == 0] == [
            "IKE_SA_INIT",
            "CREATE_CHILD_SA",
        ]
        assert {span.kind for span in mine if span.name == "IKE_AUTH"} == {kind}
        assert all(span.status == "ok" for span in mine)
    by_id = {span.span: span for span in found}
    assert len(by_id) == len(found)
    for span in found:
        if span.parent is not None:
            assert by_id[span.parent].trace == span.trace
            assert span.start <= span.end


def test_what_was_computed_is_within_its_exchange(session: Pair) -> None:
    """Key exchange, SK_ keys and AUTH are child spans of the exchange that needed them."""
    found = spans(session.station("R2").records)
    by_id = {span.span: span for span in found}
    told = {(by_id[span.parent].name, span.name) for span in found if span.parent and span.kind == "internal"}
    assert {
        ("IKE_SA_INIT", "key exchange, secret"),
        ("IKE_SA_INIT", "SK_ keys derived"),
        ("IKE_AUTH", "AUTH verified"),
        ("CREATE_CHILD_SA", "key exchange, secret"),
    } <= told


def test_a_rekeyed_ike_sa_is_linked_to_the_one_it_replaces(session: Pair) -> None:
    """The new trace points to the old one's root span."""
    roots = [span for span in spans(session.station("R1").records) if span.parent is None]
    old, new = sorted(roots, key=lambda span: span.start)
    assert new.links == ((old.trace, old.span),)
    assert old.attributes["ike.close_cause"] == "rekeyed" and new.attributes["ike.close_cause"] == "cleared"
    assert old.trace == trace_of(str(old.attributes["ike.spi_i"]))


def test_retransmissions_are_moments_of_their_exchange() -> None:
    """A request that had to go out again says when; one that was never answered is an error."""
    both = pair()
    impair(both.world, lambda mail: True, (), times=2)
    both.up()
    (span,) = [one for one in spans(both.station("R1").records) if one.name == "IKE_SA_INIT"]
    assert [event.name for event in span.events].count("request sent again") == 2
    assert (span.attributes["ike.retransmissions"], span.status) == (2, "ok")
    silent = pair()
    impair(silent.world, lambda mail: True, (), times=None)
    silent.ping("R1")
    silent.world.run(400)
    (span,) = [one for one in spans(silent.station("R1").records) if one.name == "IKE_SA_INIT"][:1]
    assert (span.status, span.why) == ("error", "no response")


def test_a_refusal_is_the_status_of_its_exchange() -> None:
    """A wrong key: IKE_AUTH ends in error with the notify's name, at the end that was told and at the one that told."""
    both = pair(Side(), Side(key="another-key"))
    both.ping("R1")
    both.world.run(20)
    found = [one for one in spans(both.world.records) if one.name == "IKE_AUTH"]
    assert {(one.router, one.status, one.why) for one in found} >= {
        ("R1", "error", "AUTHENTICATION_FAILED"),
        ("R2", "error", "AUTHENTICATION_FAILED"),
    }


def test_the_sdk_takes_every_span(session: Pair) -> None:
    """What the fold gives goes through the SDK's exporter with name, parent, kind, times, events and status."""
    exporter = InMemorySpanExporter()
    meant = spans(session.world.records)
    assert exporter.export([readable(span) for span in meant]) is SpanExportResult.SUCCESS
    taken = exporter.get_finished_spans()
    assert len(taken) == len(meant)
    for span, one in zip(meant, taken, strict=True):
        assert (one.name, one.start_time, one.end_time) == (span.name, span.start, span.end)
        assert f"{one.context.trace_id:032x}" == span.trace
        assert (one.parent is None) == (span.parent is None)
        assert [event.name for event in one.events] == [event.name for event in span.events]
    assert {SpanKind.CLIENT, SpanKind.SERVER, SpanKind.INTERNAL} == {one.kind for one in taken}
    assert StatusCode.OK in {one.status.status_code for one in taken}
    assert json.loads(taken[0].to_json())["context"]["trace_id"].endswith(meant[0].trace)


def test_otlp_lines_hold_the_same_spans(session: Pair) -> None:
    """Each line is OTLP JSON with one span: hexadecimal identifiers, nanoseconds as text, typed attributes."""
    told = [json.loads(line) for line in lines(session.world.records)]
    meant = spans(session.world.records)
    assert len(told) == len(meant)
    for whole, span in zip(told, meant, strict=True):
        (resource,) = whole["resourceSpans"]
        (one,) = resource["scopeSpans"][0]["spans"]
        assert (one["traceId"], one["spanId"], one["name"]) == (span.trace, span.span, span.name)
        assert int(one["endTimeUnixNano"]) >= int(one["startTimeUnixNano"])
        assert {"key": "service.instance.id", "value": {"stringValue": span.router}} in resource["resource"][
            "attributes"
        ]


def test_no_more_ike_sas_are_followed_than_there_is_room_for(session: Pair) -> None:
    """A flood of IKE SAs does not grow the fold without end; what is told after an SA's end begins no trace."""
    traces = Traces()
    first = session.world.records[0]
    for number in range(MOST + 100):
        stamp = type(first.stamp)(seq=1, mono=1.0, wall=1.0, router="R1", spi_i=f"{number:016x}")
        traces.add(Record(stamp, first.event))
    assert len(traces.end()) == MOST
    assert {span.attributes.get("ikescope.open") for span in spans(session.world.records)} == {None}


def test_a_clock_times_what_is_computed() -> None:
    """With a clock that ticks at each event, computations have a length, and records still come in order."""
    both = pair()
    ticks = iter(range(10**6))
    for name in ("R1", "R2"):
        both.core(name).clock = lambda: both.world.now + next(ticks) * 1e-6
    both.up()
    records = both.station("R1").records
    assert all(one.stamp.mono <= two.stamp.mono for one, two in itertools.pairwise(records))
    secret = next(span for span in spans(records) if span.name == "key exchange, secret")
    assert secret.end > secret.start
