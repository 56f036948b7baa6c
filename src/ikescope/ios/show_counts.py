"""show crypto ikev2 stats [exchange | timeout] | performance, show crypto call admission statistics."""

from __future__ import annotations

from collections.abc import Iterable

from ikescope.config.model import RouterConfig
from ikescope.node.statistics import CHILD_REKEY, DPD, IKE_REKEY, NEW_CHILD, Counts, Traffic
from ikescope.node.status import NodeStatus
from ikescope.wire.registry import NotifyType

_EXCHANGES = ("IKE_SA_INIT", "IKE_AUTH", "CREATE_CHILD_SA", NEW_CHILD, CHILD_REKEY, IKE_REKEY, "INFORMATIONAL")
_FIRST_STATUS = 16384
"""Notify types below are errors (RFC 7296 section 3.10.1)."""


def ikev2_stats(status: NodeStatus, config: RouterConfig) -> list[str]:
    """`show crypto ikev2 stats`: SAs there are now, requests since the router began."""
    counts = status.counts
    out = [
        "-" * 80,
        "                          Crypto IKEv2 SA Statistics",
        "-" * 80,
        f"System Resource Limit:   0        Max IKEv2 SAs: {config.max_sa or 0:<9}"
        f"Max in nego(in/out): {config.max_negotiating_in}/{config.max_negotiating_out}",
    ]
    for way, initiator in (("incoming", False), ("outgoing", True)):
        some = [one for one in status.ike if one.initiator is initiator]
        ready = sum(one.state == "READY" for one in some)
        negotiating = sum(one.state == "IN-NEG" for one in some)
        out.append(
            f"Total {way} IKEv2 SA Count:    {len(some):<9}active:        {ready:<9}negotiating: {negotiating:<6}"
        )
    init = counts.exchange("IKE_SA_INIT")
    refused, refusals = counts.of("refused IKE_SA_INIT"), counts.of("refused by the peer IKE_SA_INIT")
    answered = max(0, init.received_requests - refused)
    cookies = [counts.of(f"cookies {what}") for what in ("sent", "accepted", "rejected")]
    return [
        *out,
        f"Incoming IKEv2 Requests: {init.received_requests:<9}accepted:      {answered:<9}rejected:    {refused:<8}",
        f"Outgoing IKEv2 Requests: {init.sent_requests:<9}accepted:      {init.received_responses:<9}"
        f"rejected:    {refusals:<8}",
        f"Rejected IKEv2 Requests: {refused:<9}rsrc low:      {counts.of('requests dropped'):<9}SA limit:    {0:<8}",
        f"IKEv2 packets dropped at dispatch: {counts.of('packets dropped'):<8}",
        "Incoming Requests dropped as LOW Q limit reached : 0       ",
        f"Incoming IKEV2 Cookie Challenged Requests: {cookies[0]:<8}",
        f"    accepted: {cookies[1]:<9}rejected: {cookies[2]:<9}rejected no cookie: 0       ",
        "Total Deleted sessions of Cert Revoked Peers: 0       ",
    ]


def _row(one: Traffic) -> str:
    columns = (one.sent_requests, one.sent_responses, one.received_requests, one.received_responses)
    return f"{one.name:<31}" + " ".join(f"{number:>10}" for number in columns)


def _part(title: str, rows: Iterable[Traffic]) -> list[str]:
    lines = [_row(one) for one in rows if one.any]
    return [title, "", *lines, ""] if lines else []


def _number(name: str) -> int:
    found = next((one for one in NotifyType if one.label == name), None)
    return _FIRST_STATUS if found is None else int(found)


def ikev2_exchanges(status: NodeStatus) -> list[str]:
    """`show crypto ikev2 stats exchange`: messages and notifies, sent and received, in requests and responses."""
    counts = status.counts
    notifies = sorted(counts.notifies, key=lambda one: _number(one.name))
    return [
        "EXCHANGE/NOTIFY                   TX(REQ)    TX(RES)    RX(REQ)    RX(RES)",
        "",
        *_part("EXCHANGES", (counts.exchange(name) for name in _EXCHANGES)),
        *_part("ERROR NOTIFY", (one for one in notifies if _number(one.name) < _FIRST_STATUS)),
        *_part(
            "OTHER NOTIFY", (*(one for one in notifies if _number(one.name) >= _FIRST_STATUS), counts.exchange(DPD))
        ),
    ]


def ikev2_timeouts(status: NodeStatus) -> list[str]:
    """`show crypto ikev2 stats timeout`: how often no response came in time, and what became of it."""
    counts = status.counts
    rows = (
        ("Retransmissions sent", counts.of("timeouts")),
        ("Responses sent again", counts.of("retransmissions sent") - counts.of("timeouts")),
        ("Retransmissions received", counts.of("retransmissions received")),
        ("Peers that never answered", counts.of("peers that never answered")),
    )
    return [f"{name:<31} {max(0, number):>10}" for name, number in rows]


#: A sample's name -> the row of `show crypto ikev2 performance`; a Child SA's rekey counts as a Child SA.
_ROWS = {
    "R IKE_SA_INIT": "R INIT PROC",
    "R IKE_AUTH": "R AUTH PROC",
    f"R {IKE_REKEY}": "R IKE CHILD PROC",
    f"R {NEW_CHILD}": "R IPSEC CHILD PROC",
    f"R {CHILD_REKEY}": "R IPSEC CHILD REKEY",
    "R INFORMATIONAL": "R INFO PROC",
    "I IKE_SA_INIT": "I INIT Wire",
    "I IKE_AUTH": "I AUTH Wire",
    f"I {IKE_REKEY}": "I IKE CHILD Wire",
    f"I {NEW_CHILD}": "I IPSEC CHILD Wire",
    f"I {CHILD_REKEY}": "I IPSEC REKEY Wire",
    "I INFORMATIONAL": "I INFO Wire",
}


def ikev2_performance(status: NodeStatus) -> list[str]:
    """`show crypto ikev2 performance`: PROC: from a request to our response; Wire: from ours to the peer's."""
    found = {one.name: one for one in status.counts.samples}
    lines = []
    for name, row in _ROWS.items():
        one = found.get(name)
        numbers = (0, 0, 0, 0) if one is None else (one.count, int(one.mean), int(one.least), int(one.most))
        lines.append(f"{row:<22}{numbers[0]:>11}" + "".join(f" {number:>10}" for number in numbers[1:]))
    head = f"{'':<22}{'SampleSize':>11} {'avg':>10} {'min':>10} {'max':>10}"
    return ["Crypto ISAKMP Protocol Stats (microseconds):", head, *lines, ""]


def admission(status: NodeStatus, config: RouterConfig) -> list[str]:
    """`show crypto call admission statistics`: the limits on IKE SAs and how many there are."""
    counts: Counts = status.counts
    negotiating = sum(one.state == "IN-NEG" for one in status.ike)
    incoming = sum(one.state == "IN-NEG" and not one.initiator for one in status.ike)
    limit = config.max_negotiating_in + config.max_negotiating_out
    line = "-" * 69
    return [
        line,
        "               Crypto Call Admission Control Statistics",
        line,
        f"System Resource Limit:        0 Max IKE SAs: {config.max_sa or 0:>5} Max in nego: {limit:>5}",
        f"Total IKE SA Count:   {len(status.ike):>9} active:      {len(status.ike) - negotiating:>5} negotiating: "
        f"{negotiating:>5}",
        f"Incoming IKE Requests:{counts.exchange('IKE_SA_INIT').received_requests:>9} negotiating: {incoming:>5} "
        f"rejected:    {counts.of('refused IKE_SA_INIT'):>5}",
        f"Outgoing IKE Requests:{counts.exchange('IKE_SA_INIT').sent_requests:>9} negotiating: "
        f"{negotiating - incoming:>5} rejected:    {counts.of('refused by the peer IKE_SA_INIT'):>5}",
        "",
    ]
