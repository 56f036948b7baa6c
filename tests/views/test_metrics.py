"""Metrics are a fold of the records: right, monotonic, and bounded whatever a peer does."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families
from tests.support.world import Pair, Side, impair, pair

from ikescope.daemon.metrics import exposition
from ikescope.engine.commands import Clear, Rekey
from ikescope.events import Record, Stamp, life, message, router
from ikescope.events.message import DropTrigger
from ikescope.views.metrics import COUNTERS, ESP_REASONS, Metrics, Now, TunnelNow, now

AT = Now(hostname="R1", uptime=1.0, tunnels=(TunnelNow("Tunnel0", False, False),))


def samples(metrics: Metrics, at: Now = AT) -> dict[str, float]:
    """Every sample of the exposition, parsed by the library: `name{label=value,...}` -> value."""
    found = {}
    for family in text_string_to_metric_families(exposition(metrics, at).decode()):
        for one in family.samples:
            labels = ",".join(f"{key}={value}" for key, value in sorted(one.labels.items()))
            found[f"{one.name}{{{labels}}}" if labels else one.name] = one.value
    return found


def of(both: Pair, name: str) -> dict[str, float]:
    """A router's samples now."""
    at = now(both.world.status(name))
    return samples(Metrics().extend(both.station(name).records), at)


def record(event: life.IkeSaClosed | message.MessageDropped | router.EspDropped, number: int = 1) -> Record:
    """An event of R1 about an IKE SA of its own."""
    return Record(Stamp(seq=number, mono=1.0, wall=1.0, router="R1", spi_i=f"{number:016x}"), event)


def test_a_session_is_counted_at_both_ends() -> None:
    """Handshakes by role, rekeys by kind, messages by exchange; the tunnel's traffic in packets and octets."""
    both = pair(Side(mode="acl")).up()
    both.ask("R1", Rekey(sa=both.one_ike("R1").id))
    both.ask("R1", Rekey(spi=both.one_child("R1").inbound))
    both.world.run(8)
    first, second = of(both, "R1"), of(both, "R2")
    for found, role in ((first, "initiator"), (second, "responder")):
        assert found[f"ikescope_handshakes_total{{result=completed,role={role}}}"] == 1
        for kind in ("ike", "child"):
            assert found[f"ikescope_rekeys_total{{kind={kind},role={role}}}"] == 1
        assert found["ikescope_tunnels{state=up}"] == found["ikescope_tunnel_up{tunnel=Tunnel0}"] == 1
        assert found["ikescope_tunnel_packets_total{direction=in,tunnel=Tunnel0}"] == 1
        assert found["ikescope_tunnel_octets_total{direction=out,tunnel=Tunnel0}"] == 84
        assert found["ikescope_ike_sas{state=READY}"] == found["ikescope_child_sas"] == 1
        assert found["ikescope_handshake_seconds_count"] == 1
    assert first["ikescope_messages_total{direction=sent,exchange=IKE_AUTH}"] == 1


def test_the_last_close_reason_of_a_tunnel_is_told_until_the_next() -> None:
    """A cleared tunnel is down and says why; a rekey is no end of it."""
    both = pair().up()
    both.ask("R1", Rekey(spi=both.one_child("R1").inbound))
    both.world.run(8)
    assert not [key for key in of(both, "R1") if key.startswith("ikescope_tunnel_last_close")]
    both.ask("R1", Clear())
    both.world.run(3)
    found = of(both, "R1")
    assert found["ikescope_tunnel_last_close{cause=cleared,tunnel=Tunnel0}"] == 1
    assert found["ikescope_tunnels{state=down}"] == 1
    assert found["ikescope_closed_total{cause=cleared,kind=ike}"] == 1


def test_a_failed_handshake_and_its_retransmissions_are_counted() -> None:
    """Nobody answers: the requests that went out again, and one handshake that came to nothing."""
    both = pair()
    impair(both.world, lambda mail: True, (), times=None)
    both.ping("R1")
    both.world.run(3)
    assert of(both, "R1")["ikescope_tunnels{state=negotiating}"] == 1
    both.world.run(400)
    found = of(both, "R1")
    assert found["ikescope_handshakes_total{result=failed,role=initiator}"] == 1
    assert found["ikescope_retransmissions_total{direction=sent,exchange=IKE_SA_INIT}"] >= 3


def test_a_counter_never_goes_back() -> None:
    """Whatever ends, each counter of a later scrape is at least that of an earlier one."""
    both = pair(Side(mode="acl")).up()
    metrics, seen, before = Metrics(), 0, dict[str, float]()
    for step in range(6):
        both.ping("R1")
        both.ask("R1", Clear() if step == 3 else Rekey(spi=both.children("R1")[0].inbound))
        both.world.run(3)
        if step == 3:
            both.up()
        records = both.station("R1").records
        metrics.extend(records[seen:])
        seen = len(records)
        after = samples(metrics, now(both.world.status("R1")))
        counters = {key for key in before if "_total" in key or "_bucket" in key}
        assert {key for key in counters if after[key] < before[key]} == set()
        before = after


def test_labels_come_from_closed_lists() -> None:
    """Ten thousand strange notifies, drops, tunnels and SAs make no more series than there are words for."""
    metrics = Metrics()
    for number in range(10_000):
        spi = f"{number:08x}"
        for event in (
            message.RequestRefused(exchange=number % 256, notify=number, why="x"),
            message.MessageDropped(trigger=list(DropTrigger)[number % len(DropTrigger)]),
            router.EspDropped(reason=f"reason {number}", spi=spi, source="a", destination="b", count=1),
            router.EspInstalled(spi=spi, direction="in", tunnel=f"Tunnel{number}"),
            life.SaInserted(),
            message.MessageReceived(
                exchange=number % 256, response=False, local="a", remote="b", payloads=(), size=1, repeat=1
            ),
        ):
            metrics.add(Record(Stamp(seq=1, mono=1.0, wall=1.0, router="R1", spi_i=f"{number:016x}"), event))
    found = samples(metrics)
    assert len(found) < 150
    assert found["ikescope_esp_drops_total{reason=other}"] == 10_000
    assert len(metrics._begun) <= 4096


def test_every_reason_of_an_esp_drop_has_its_label() -> None:
    """What the data path says of a packet that it drops is one of the table's beginnings."""
    metrics = Metrics()
    for reason in ESP_REASONS:
        metrics.add(record(router.EspDropped(reason=reason, spi="", source="a", destination="b", count=2)))
    found = samples(metrics)
    assert all(found[f"ikescope_esp_drops_total{{reason={label}}}"] == 2 for label in ESP_REASONS.values())


def test_every_reason_of_the_data_path_is_in_the_table() -> None:
    """Each text with which esp/ drops a packet has a label of its own, none is `other`."""
    said = set()
    for path in (Path(__file__).parents[2] / "src" / "ikescope" / "esp").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
                name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
                said |= {str(node.args[0].value)} if name in ("_drop", "EspError") else set()
    assert len(said) >= 13
    assert {text for text in said if not text.startswith(tuple(ESP_REASONS))} == set()


def test_what_a_source_lacks_is_counted_as_other() -> None:
    """A record without its facts, as a text gives it, breaks nothing."""
    metrics = Metrics()
    metrics.add(record(life.IkeSaClosed()))  # type: ignore[call-arg]
    metrics.add(record(message.MessageDropped()))  # type: ignore[call-arg]
    metrics.add(record(router.EspDropped()))  # type: ignore[call-arg]
    found = samples(metrics)
    assert found["ikescope_closed_total{cause=other,kind=ike}"] == found["ikescope_drops_total{trigger=other}"] == 1


def test_every_counter_stands_in_the_exposition_before_it_counts() -> None:
    """Prometheus sees each counter's type and help from the first scrape on."""
    text = exposition(Metrics(), AT).decode()
    assert all(f"# TYPE {name} counter" in text for name in COUNTERS)


def test_every_metric_stands_in_the_document() -> None:
    """docs/outputs.md names each metric, and none that is not there."""
    text = (Path(__file__).parents[2] / "docs" / "outputs.md").read_text(encoding="utf-8")
    names = {family.name for family in Metrics().families(AT)}
    assert set(re.findall(r"`(ikescope_\w+)`", text)) == names
