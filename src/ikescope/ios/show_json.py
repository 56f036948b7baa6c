"""`| json`: the data behind each show as one JSON object, never its text taken apart. Keys of ours are not in it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from ikescope import __version__
from ikescope.config.model import Secret
from ikescope.ios import event_trace, exec_store, show_router, show_session
from ikescope.ios.diagnose import MAX_ENTRIES, diagnosis_of
from ikescope.ios.show_words import Index
from ikescope.ios.shown import Shown
from ikescope.node.status import NodeStatus, TunnelStatus

SCHEMA = "ikescope.show/1"
RECORDS = 2000
"""As many records as `show logging | json` holds, the latest."""

Arguments = dict[str, Any]


def _plain(value: object) -> object:
    """What JSON has no form for: addresses as text, keys not at all."""
    return "<removed>" if isinstance(value, Secret) else str(value)


_encoder = msgspec.json.Encoder(enc_hook=_plain)


def document(command: str, session: Shown, arguments: Arguments) -> str:
    """The object of a show, in one line: schema, type (the command's name), router, wall time, and its data."""
    status = session.router.status()
    data = DATA[command](session, status, arguments)
    head = {"schema": SCHEMA, "type": command, "router": status.hostname, "wall": status.wall}
    return _encoder.encode(head | data).decode()


def _named(table: dict[str, Any], name: object) -> list[Any]:
    return [item for key, item in table.items() if name in (None, key)]


def _ikev2_sa(session: Shown, status: NodeStatus, arguments: Arguments) -> dict[str, Any]:
    remote, local = arguments.get("remote"), arguments.get("local")
    return {"ike_sas": [sa for sa in status.ike if remote in (None, sa.remote) and local in (None, sa.local)]}


def _ikev2_sessions(_: Shown, status: NodeStatus, __: Arguments) -> dict[str, Any]:
    def told(number: int) -> dict[str, Any]:
        sas = [one for one in status.ike if one.session == number]
        own = {one.id for one in sas}
        return {"session": number, "ike_sas": sas, "child_sas": [one for one in status.children if one.ike in own]}

    return {"sessions": [told(number) for number in dict.fromkeys(one.session for one in status.ike)]}


def _stats(session: Shown, status: NodeStatus, _: Arguments) -> dict[str, Any]:
    config = session.router.config

    def counts(initiator: bool) -> dict[str, int]:
        some = [one for one in status.ike if one.initiator is initiator]
        ready, negotiating = (sum(one.state == word for one in some) for word in ("READY", "IN-NEG"))
        return {"sas": len(some), "active": ready, "negotiating": negotiating}

    limits = {
        "sas": config.max_sa,
        "negotiating_incoming": config.max_negotiating_in,
        "negotiating_outgoing": config.max_negotiating_out,
    }
    told = {"limits": limits, "incoming": counts(False), "outgoing": counts(True)}
    return told | {"since": status.counts.since, "counters": status.counts.counters}


def _ipsec_sa(session: Shown, status: NodeStatus, arguments: Arguments) -> dict[str, Any]:
    interface, peer = arguments.get("interface"), arguments.get("peer")
    chosen = [one for one in status.tunnels if interface in (None, one.name) and peer in (None, one.destination)]
    index = Index(status)
    return {"tunnels": [{"tunnel": one, "child_sas": index.children_of(one)} for one in chosen]}


def _session(session: Shown, status: NodeStatus, arguments: Arguments) -> dict[str, Any]:
    index = Index(status)

    def told(tunnel: TunnelStatus) -> dict[str, Any]:
        ike, own = index.ike_of(tunnel), index.children_of(tunnel)
        state = show_session.state(ike, own)
        return {"interface": tunnel.name, "status": state, "peer": tunnel.destination, "ike_sas": ike, "child_sas": own}

    where = (arguments.get("interface"), arguments.get("remote"), arguments.get("local"))
    return {"sessions": [told(tunnel) for tunnel in show_session.chosen(status, *where)]}


def _protected(_: Shown, status: NodeStatus, arguments: Arguments) -> dict[str, Any]:
    index, interface = Index(status), arguments.get("interface")
    some = [one for one in status.tunnels if one.ipsec_profile and interface in (None, one.name)]
    return {"tunnels": [{"tunnel": one, "child_sas": index.children_of(one)} for one in some]}


def _traces(session: Shown, _: NodeStatus, __: Arguments) -> dict[str, Any]:
    held = tuple(session.router.records())
    kinds: tuple[event_trace.Kind, ...] = ("event", "error", "exception")
    return {f"ikev2_{kind}": [one for one in held if event_trace.trace((one,), kind)] for kind in kinds}


def _tech_support(session: Shown, status: NodeStatus, _: Arguments) -> dict[str, Any]:
    return _running(session, status, {}) | _version(session, status, {}) | {"status": status}


def _routes(session: Shown, status: NodeStatus, arguments: Arguments) -> dict[str, Any]:
    names = ("code", "prefix", "interface", "next_hop", "distance")
    routes = show_router.routes_of(status, session.router.config, arguments.get("version", 4))
    return {"routes": [{name: getattr(one, name) for name in names} for one in routes]}


def _interfaces(session: Shown, status: NodeStatus, arguments: Arguments) -> dict[str, Any]:
    name = arguments.get("interface")
    own = _named(session.router.config.interfaces, name)
    return {"interfaces": own, "tunnels": [one for one in status.tunnels if name in (None, one.name)]}


def _version(session: Shown, status: NodeStatus, _: Arguments) -> dict[str, Any]:
    facts = {"version": __version__, "uptime": status.uptime, "data_plane": status.plane}
    return facts | {"smart_defaults": session.router.config.generation, "tunnels": len(session.router.config.tunnels)}


def _logging(session: Shown, _: NodeStatus, __: Arguments) -> dict[str, Any]:
    held = [one for one in session.router.records() if one.stamp.seq > session.logged_after]
    return {"held": len(held), "records": held[-RECORDS:]}


def _traced(session: Shown, _: NodeStatus, arguments: Arguments) -> dict[str, Any]:
    kind = arguments["kind"]
    return {"kind": kind, "records": [one for one in session.router.records() if event_trace.trace((one,), kind)]}


def _diagnosed(session: Shown, _: NodeStatus, __: Arguments) -> dict[str, Any]:
    found = ((diagnosis_of(one.event), one) for one in session.router.records())
    told = [{"number": what.number, "record": one} for what, one in found if what is not None]
    return {"errors": told[-MAX_ENTRIES:], "deleted": max(0, len(told) - MAX_ENTRIES)}


def _condition(session: Shown, _: NodeStatus, __: Arguments) -> dict[str, Any]:
    return {"peers": [str(one) for one in session.condition.peers], "unmatched": session.condition.unmatched}


def _of_config(key: str, table: str) -> Data:
    return lambda session, _, arguments: {key: _named(getattr(session.router.config, table), arguments.get("name"))}


def _running(session: Shown, _: NodeStatus, __: Arguments) -> dict[str, Any]:
    return {"configuration": msgspec.structs.replace(session.router.config, findings=(), ignored=(), source="")}


def _startup(session: Shown, _: NodeStatus, __: Arguments) -> dict[str, Any]:
    return {"lines": exec_store.startup_config(session, {})}


def _differences(session: Shown, _: NodeStatus, arguments: Arguments) -> dict[str, Any]:
    return {"lines": exec_store.show_differences(session, arguments)}


def _terminal(session: Shown, _: NodeStatus, __: Arguments) -> dict[str, Any]:
    return {
        "length": session.length,
        "width": session.width,
        "monitor": session.monitor,
        "line": "vty" if session.remote else "con",
    }


Data = Callable[[Shown, NodeStatus, Arguments], dict[str, Any]]

#: By the name of the command, as `exec_shows.SHOWS`.
DATA: dict[str, Data] = {
    "show crypto ikev2 sa": _ikev2_sa,
    "show crypto ikev2 proposal": _of_config("proposals", "proposals"),
    "show crypto ikev2 policy": _of_config("policies", "policies"),
    "show crypto ikev2 profile": _of_config("profiles", "profiles"),
    "show crypto ikev2 session": _ikev2_sessions,
    "show crypto ikev2 stats": _stats,
    "show crypto ikev2 stats exchange": lambda _, status, __: {
        "exchanges": status.counts.exchanges,
        "notifies": status.counts.notifies,
    },
    "show crypto ikev2 stats timeout": lambda _, status, __: {"counters": status.counts.counters},
    "show crypto ikev2 performance": lambda _, status, __: {"microseconds": status.counts.samples},
    "show crypto call admission statistics": _stats,
    "show crypto map": _protected,
    "show crypto sockets": _protected,
    "show crypto engine connections active": lambda _, status, __: {
        "ike_sas": status.ike,
        "child_sas": status.children,
    },
    "show tunnel protection statistics": _protected,
    "show crypto ipsec sa": _ipsec_sa,
    "show crypto ipsec profile": _of_config("ipsec_profiles", "ipsec_profiles"),
    "show crypto ipsec transform-set": _of_config("transform_sets", "transform_sets"),
    "show crypto session": _session,
    "show running-config": _running,
    "show startup-config": _startup,
    "show archive config differences": _differences,
    "show ip route": _routes,
    "show ipv6 route": lambda session, status, _: _routes(session, status, {"version": 6}),
    "show ipv6 interface brief": _interfaces,
    "show monitor event-trace crypto all": _traces,
    "show tech-support": _tech_support,
    "show ip interface brief": _interfaces,
    "show ip interface": _interfaces,
    "show ipv6 interface": _interfaces,
    "show interfaces description": _interfaces,
    "show users": lambda _, status, __: {"users": status.operators},
    "show ip ssh": lambda session, status, _: {"port": status.ssh_port, "ssh": session.router.config.ssh},
    "show inventory": lambda _, __, ___: {"inventory": [{"name": "Chassis", "pid": "IKESCOPE", "vid": __version__}]},
    "show lldp": lambda _, __, ___: {"enabled": False},
    "show cdp": lambda _, __, ___: {"enabled": False},
    "show interfaces": _interfaces,
    "show access-lists": _of_config("access_lists", "access_lists"),
    "show version": _version,
    "show debugging": lambda session, _, __: {"levels": sorted(session.debug)},
    "show crypto debug-condition": _condition,
    "show crypto ikev2 diagnose error": _diagnosed,
    "show monitor event-trace crypto ikev2 event all": _traced,
    "show clock": lambda _, __, ___: {},
    "show logging": _logging,
    "show privilege": lambda session, _, __: {"level": session.level},
    "show history": lambda session, _, __: {"lines": list(session.history)},
    "show terminal": _terminal,
}
