"""Counters and gauges of one router, folded from its records: what `/metrics` tells.

Labels come from closed enumerations and from the names of configured tunnels alone, so that no peer makes them grow.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Literal

import msgspec

from ikescope.events import Event, Record, life, message, negotiation, router
from ikescope.wire.registry import ExchangeType, NotifyType

OTHER = "other"
BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""Upper bounds in seconds of the buckets of handshake times."""
MOST_SAS = 4096
"""IKE SAs in negotiation, and ESP SAs, that are followed at a time; more are counted, not followed."""

#: Begin of an ESP drop's reason -> its label.
ESP_REASONS = {
    "no IP packet": "not_ip",
    "IPv6 is off": "ipv6_off",
    "no selector": "no_selector",
    "the SA reached its limit": "traffic_limit",
    "transport mode": "transport_address",
    "too short": "too_short",
    "no SA has this SPI": "unknown_spi",
    "sequence number": "replay",
    "integrity": "integrity",
    "ESP trailer": "trailer",
    "ESP padding": "padding",
    "inner packet does not match": "inner_selector",
    "inner packet is no whole GRE": "inner_gre",
    "too large for the tunnel": "too_large",
}


class Family(msgspec.Struct, frozen=True):
    """One metric: its samples by the values of `labels`; of a histogram the counts of each bucket, then their sum."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    help: str
    labels: tuple[str, ...]
    samples: tuple[tuple[tuple[str, ...], float], ...]


class TunnelNow(msgspec.Struct, frozen=True):
    """A tunnel at this moment."""

    name: str
    up: bool
    admin_down: bool
    destination: str | None = None
    held: int = 0


class IkeNow(msgspec.Struct, frozen=True):
    """An IKE SA at this moment; `state` an IOS word."""

    id: int
    state: str
    remote: str


class Passed(msgspec.Struct, frozen=True):
    """What passed an ESP SA."""

    packets: int = 0
    octets: int = 0


class ChildNow(msgspec.Struct, frozen=True):
    """A Child SA at this moment."""

    tunnel: str
    inbound: int
    outbound: int
    received: Passed = Passed()
    sent: Passed = Passed()


class Now(msgspec.Struct, frozen=True):
    """As much of a router's status as metrics need."""

    hostname: str
    uptime: float
    tunnels: tuple[TunnelNow, ...] = ()
    ike: tuple[IkeNow, ...] = ()
    children: tuple[ChildNow, ...] = ()


class _Answer(msgspec.Struct, frozen=True):
    status: Now


def now(status: object) -> Now:
    """The part of a router's status that metrics need."""
    return msgspec.convert(msgspec.to_builtins(status, enc_hook=str), Now)


def answered(line: bytes) -> Now:
    """The same of what the control socket answers to a question about the status; MsgspecError where it is none."""
    return msgspec.json.decode(line, type=_Answer).status


Labels = tuple[str, ...]


class Metrics:
    """The fold: `add` every record of one router, ask for `families` at any time."""

    def __init__(self) -> None:
        self._counts: dict[str, Counter[Labels]] = {name: Counter() for name in COUNTERS}
        self._begun: dict[str, float] = {}
        self._took = [0] * (len(BUCKETS) + 1)
        self._took_sum = 0.0
        self._installed: dict[tuple[str, str], str] = {}
        self._ended: Counter[tuple[str, str, str]] = Counter()
        self._told: dict[tuple[str, str, str], float] = {}
        self._last_cause: dict[str, str] = {}
        self._orphaned: set[tuple[str, str]] = set()
        self._version = ""

    def add(self, record: Record) -> None:
        """Fold one record in; never raises on what a record lacks."""
        fold = FOLDS.get(type(record.event))
        if fold is not None:
            fold(self, record, record.event)

    def extend(self, records: Iterable[Record]) -> Metrics:
        """Fold many records in; these metrics."""
        for record in records:
            self.add(record)
        return self

    def count(self, name: str, *labels: str, by: float = 1) -> None:
        """Count something."""
        self._counts[name][labels] += int(by)

    def families(self, at: Now) -> Iterator[Family]:
        """Every metric at this moment; a counter never goes back."""
        for name, (text, labels) in COUNTERS.items():
            yield Family(name, "counter", text, labels, tuple(sorted(self._counts[name].items())))
        yield self._handshake_times()
        yield from self._traffic(at)
        yield from self._gauges(at)

    def _handshake_times(self) -> Family:
        seen, samples = 0, []
        for bound, count in zip((*map(str, BUCKETS), "+Inf"), self._took, strict=True):
            seen += count
            samples.append(((bound,), float(seen)))
        samples.append((("sum",), self._took_sum))
        text = "Seconds from the first message of an IKE SA to its authentication."
        return Family("ikescope_handshake_seconds", "histogram", text, ("le",), tuple(samples))

    def _traffic(self, at: Now) -> Iterator[Family]:
        totals = Counter(self._ended)
        for child in at.children:
            for way, spi, passed in (("in", child.inbound, child.received), ("out", child.outbound, child.sent)):
                if self._installed.get((way, f"{spi:08x}")) == child.tunnel:
                    totals[child.tunnel, way, "packets"] += passed.packets
                    totals[child.tunnel, way, "octets"] += passed.octets
        configured = {tunnel.name for tunnel in at.tunnels}
        for unit in ("packets", "octets"):
            samples = []
            for name in sorted(configured):
                for way in ("in", "out"):
                    key = name, way, unit
                    self._told[key] = max(self._told.get(key, 0.0), float(totals[key]))
                    samples.append(((name, way), self._told[key]))
            text = f"{unit.capitalize()} that ESP protected, by tunnel and direction."
            yield Family(f"ikescope_tunnel_{unit}_total", "counter", text, ("tunnel", "direction"), tuple(samples))
        for key in [key for key in self._told if key[0] not in configured]:
            del self._told[key]

    def _gauges(self, at: Now) -> Iterator[Family]:
        def gauge(name: str, text: str, labels: Labels, samples: Iterable[tuple[Labels, float]]) -> Family:
            return Family(f"ikescope_{name}", "gauge", text, labels, tuple(samples))

        peers = {one.remote for one in at.ike if one.state == "IN-NEG"}
        states = Counter({"configured": 0, "up": 0, "negotiating": 0, "down": 0, "shutdown": 0})
        for tunnel in at.tunnels:
            states["configured"] += 1
            states[_state(tunnel, peers)] += 1
        names = [tunnel.name for tunnel in at.tunnels]
        yield gauge("tunnels", "Tunnels by state.", ("state",), (((name,), n) for name, n in sorted(states.items())))
        up = (((tunnel.name,), float(tunnel.up)) for tunnel in at.tunnels)
        yield gauge("tunnel_up", "Whether a tunnel's line protocol is up.", ("tunnel",), up)
        held = (((tunnel.name,), float(tunnel.held)) for tunnel in at.tunnels)
        yield gauge("tunnel_held_packets", "Packets that wait for an SA.", ("tunnel",), held)
        last = (((name, self._last_cause[name]), 1.0) for name in names if name in self._last_cause)
        yield gauge("tunnel_last_close", "Why a tunnel's Child SA last ended.", ("tunnel", "cause"), last)
        sas = Counter(dict.fromkeys(IKE_STATES, 0))
        sas.update(one.state if one.state in IKE_STATES else OTHER for one in at.ike)
        yield gauge("ike_sas", "IKE SAs by state.", ("state",), (((name,), n) for name, n in sorted(sas.items())))
        yield gauge("child_sas", "Child SAs.", (), [((), len(at.children))])
        yield gauge("uptime_seconds", "Seconds since the router started.", (), [((), at.uptime)])
        yield gauge("build_info", "The version that runs.", ("version",), [((self._version or "unknown",), 1)])


IKE_STATES = ("READY", "IN-NEG", "DELETE")


def _state(tunnel: TunnelNow, peers: set[str]) -> str:
    if tunnel.admin_down:
        return "shutdown"
    if tunnel.up:
        return "up"
    return "negotiating" if tunnel.destination in peers else "down"


#: Name -> what it counts, and its labels.
COUNTERS: dict[str, tuple[str, tuple[str, ...]]] = {
    "ikescope_handshakes_total": ("IKE SAs made, or given up before they stood.", ("role", "result")),
    "ikescope_rekeys_total": ("Rekeys completed.", ("kind", "role")),
    "ikescope_messages_total": ("IKE messages, each time they passed.", ("direction", "exchange")),
    "ikescope_retransmissions_total": ("IKE messages that passed once more.", ("direction", "exchange")),
    "ikescope_drops_total": ("IKE datagrams discarded.", ("trigger",)),
    "ikescope_unverified_total": ("Datagrams of senders who had proven nothing, under pressure.", ("answer",)),
    "ikescope_esp_drops_total": ("ESP packets discarded.", ("reason",)),
    "ikescope_closed_total": ("SAs that ended.", ("kind", "cause")),
    "ikescope_refusals_total": ("Requests answered with an error notify.", ("by", "notify")),
    "ikescope_authentication_failures_total": ("AUTH values of peers that do not verify.", ()),
    "ikescope_liveness_checks_total": ("Liveness checks sent, and those answered.", ("result",)),
    "ikescope_defects_total": ("Tasks that a defect of ours ended.", ()),
}


def _role(initiator: object) -> str:
    return "initiator" if initiator is True else "responder" if initiator is False else OTHER


def _exchange(number: object) -> str:
    known = isinstance(number, int) and number in _EXCHANGES
    return ExchangeType.of(number).label if known and isinstance(number, int) else OTHER


_EXCHANGES = {int(one) for one in (ExchangeType.IKE_SA_INIT, ExchangeType.IKE_AUTH)} | {
    int(one) for one in (ExchangeType.CREATE_CHILD_SA, ExchangeType.INFORMATIONAL)
}
_NOTIFIES = {int(one): name for name, one in NotifyType.__members__.items() if one.is_error}


def _notify(number: object) -> str:
    return _NOTIFIES.get(number, OTHER) if isinstance(number, int) else OTHER


def _cause(cause: object) -> str:
    return cause.name.lower() if isinstance(cause, life.CloseReason) else OTHER


def _message(metrics: Metrics, _: Record, event: message.MessageSent | message.MessageReceived) -> None:
    labels = "sent" if isinstance(event, message.MessageSent) else "received", _exchange(event.exchange)
    metrics.count("ikescope_messages_total", *labels)
    if event.repeat:
        metrics.count("ikescope_retransmissions_total", *labels)


def _inserted(metrics: Metrics, record: Record, _: life.SaInserted) -> None:
    if isinstance(record.stamp.spi_i, str) and len(metrics._begun) < MOST_SAS:
        metrics._begun[record.stamp.spi_i] = record.stamp.mono


def _created(metrics: Metrics, record: Record, event: life.IkeSaCreated) -> None:
    begun = metrics._begun.pop(str(record.stamp.spi_i), None)
    role = event.initiator if isinstance(event.initiator, bool) else record.stamp.initiator
    metrics.count("ikescope_handshakes_total", _role(role), "completed")
    if begun is not None:
        seconds = max(0.0, record.stamp.mono - begun)
        metrics._took[sum(bound < seconds for bound in BUCKETS)] += 1
        metrics._took_sum += seconds


def _ike_closed(metrics: Metrics, record: Record, event: life.IkeSaClosed) -> None:
    if metrics._begun.pop(str(record.stamp.spi_i), None) is not None:
        metrics.count("ikescope_handshakes_total", _role(record.stamp.initiator), "failed")
    cause = _cause(event.cause)
    metrics.count("ikescope_closed_total", "ike", cause)
    # Its Child SAs ended a moment ago, with it: what ended it ended them.
    for spi, tunnel in metrics._orphaned:
        if spi == record.stamp.spi_i:
            metrics._last_cause[tunnel] = cause
    metrics._orphaned.clear()


def _child_closed(metrics: Metrics, record: Record, event: life.ChildSaClosed) -> None:
    cause = _cause(event.cause)
    metrics.count("ikescope_closed_total", "child", cause)
    if isinstance(event.tunnel, str) and event.tunnel and event.cause is not life.CloseReason.REKEYED:
        metrics._last_cause[event.tunnel] = cause
        if event.cause is life.CloseReason.WITH_IKE_SA and len(metrics._orphaned) < MOST_SAS:
            metrics._orphaned.add((str(record.stamp.spi_i), event.tunnel))


def _unverified(metrics: Metrics, _: Record, event: message.UnverifiedCounted) -> None:
    for answer, count in (("cookie", event.cookies), ("none", event.silent)):
        if isinstance(count, int):
            metrics.count("ikescope_unverified_total", answer, by=count)


def _esp_dropped(metrics: Metrics, _: Record, event: router.EspDropped) -> None:
    said = event.reason if isinstance(event.reason, str) else ""
    label = next((label for head, label in ESP_REASONS.items() if said.startswith(head)), OTHER)
    metrics.count("ikescope_esp_drops_total", label, by=event.count if isinstance(event.count, int) else 1)


def _installed(metrics: Metrics, _: Record, event: router.EspInstalled) -> None:
    if len(metrics._installed) < 4 * MOST_SAS:
        metrics._installed[event.direction, event.spi] = event.tunnel


def _removed(metrics: Metrics, _: Record, event: router.EspRemoved) -> None:
    tunnel = metrics._installed.pop((event.direction, event.spi), None)
    if tunnel is not None and isinstance(event.packets, int) and isinstance(event.octets, int):
        metrics._ended[tunnel, event.direction, "packets"] += event.packets
        metrics._ended[tunnel, event.direction, "octets"] += event.octets


def _started(metrics: Metrics, _: Record, event: router.RouterStarted) -> None:
    metrics._version = event.version if isinstance(event.version, str) else ""


def _dropped(metrics: Metrics, _: Record, event: message.MessageDropped) -> None:
    trigger = event.trigger
    name = trigger.name.lower() if isinstance(trigger, message.DropTrigger) else OTHER
    metrics.count("ikescope_drops_total", name)


def _rekeyed(kind: str) -> Fold:
    return lambda metrics, _, event: metrics.count("ikescope_rekeys_total", kind, _role(event.initiator))


def _refused(by: str) -> Fold:
    return lambda metrics, _, event: metrics.count("ikescope_refusals_total", by, _notify(event.notify))


def _plain(name: str, *labels: str) -> Fold:
    return lambda metrics, _, __: metrics.count(name, *labels)


Fold = Callable[[Metrics, Record, Any], None]
FOLDS: dict[type[Event], Fold] = {
    message.MessageSent: _message,
    message.MessageReceived: _message,
    message.MessageDropped: _dropped,
    message.UnverifiedCounted: _unverified,
    message.RequestRefused: _refused("local"),
    message.ResponseRefused: _refused("peer"),
    negotiation.AuthRefused: _plain("ikescope_authentication_failures_total"),
    life.SaInserted: _inserted,
    life.IkeSaCreated: _created,
    life.IkeSaRekeyed: _rekeyed("ike"),
    life.ChildSaRekeyed: _rekeyed("child"),
    life.IkeSaClosed: _ike_closed,
    life.ChildSaClosed: _child_closed,
    life.LivenessSent: _plain("ikescope_liveness_checks_total", "sent"),
    life.LivenessAnswered: _plain("ikescope_liveness_checks_total", "answered"),
    life.TaskFailed: _plain("ikescope_defects_total"),
    router.EspDropped: _esp_dropped,
    router.EspInstalled: _installed,
    router.EspRemoved: _removed,
    router.RouterStarted: _started,
}
