"""Exec commands that show something: each name bound to the layout that prints it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from ikescope.ios import (
    event_trace,
    exec_debug,
    exec_modes,
    exec_store,
    show_counts,
    show_ikev2,
    show_ipsec,
    show_operators,
    show_router,
    show_session,
    show_tunnels,
    syslog,
)
from ikescope.ios.configuration_logging import SEVERITIES
from ikescope.ios.debug import Renderer
from ikescope.ios.diagnose import diagnose_error
from ikescope.ios.running import running_config
from ikescope.ios.shown import Shown

LOG_LINES = 2000
"""As many lines as `show logging` prints, the latest."""

Arguments = dict[str, Any]


def _level(severity: int | None) -> str:
    return "disabled" if severity is None else f"level {SEVERITIES[severity]}"


def _logging(session: Shown, _: Arguments) -> list[str]:
    renderer, levels = Renderer(stamps=True), session.router.config.logging
    lines = [
        line
        for record in session.router.records()
        if record.stamp.seq > session.logged_after
        for line in syslog.up_to(levels.buffered, (*renderer.lines(record), *syslog.lines(record)))
    ]
    shown = lines[-LOG_LINES:]
    octets = sum(len(line) + 1 for line in shown)
    return [
        "Syslog logging: enabled",
        f"    Console logging: {_level(levels.console)}",
        f"    Monitor logging: {_level(levels.monitor)}",
        f"    Buffer logging:  {_level(levels.buffered)}, {len(lines)} messages logged, {len(shown)} shown",
        "",
        f"Log Buffer ({octets} bytes):",
        "",
        *shown,
    ]


def _flag(arguments: Arguments, name: str) -> bool:
    return arguments.get(name) is not None


def _ikev2_sa(session: Shown, arguments: Arguments) -> list[str]:
    status, remote, local = session.router.status(), arguments.get("remote"), arguments.get("local")
    chosen = tuple(one for one in status.ike if remote in (None, one.remote) and local in (None, one.local))
    status = msgspec.structs.replace(status, ike=chosen)
    return show_ikev2.ikev2_sa(status, session.router.config, _flag(arguments, "detailed"))


def _session(session: Shown, arguments: Arguments) -> list[str]:
    where = {name: arguments.get(name) for name in ("interface", "remote", "local")}
    return show_session.session(session.router.status(), session.router.config, _flag(arguments, "detail"), **where)


#: The traces that there are; of IPsec and PKI none is kept.
_TRACES: tuple[tuple[event_trace.Kind, str], ...] = (
    ("event", "ikev2_event"),
    ("error", "ikev2_error"),
    ("exception", "ikev2_exception"),
)


def _traces(session: Shown, _: Arguments) -> list[str]:
    out: list[str] = []
    for kind, title in _TRACES:
        out += [f"{title}:", "", *event_trace.trace(session.router.records(), kind), ""]
    return out


#: What `show tech-support` consists of.
_TECH: tuple[tuple[str, Arguments], ...] = (
    *(("show version", {}), ("show clock", {}), ("show running-config", {})),
    *(("show ip interface brief", {}), ("show ip route", {}), ("show ipv6 route", {}), ("show interfaces", {})),
    *(("show crypto ikev2 sa", {"detailed": "detailed"}), ("show crypto ikev2 session", {"detailed": "detailed"})),
    *(
        ("show crypto ikev2 stats", {}),
        ("show crypto ikev2 stats exchange", {}),
        ("show crypto ikev2 stats timeout", {}),
    ),
    *(("show crypto ikev2 performance", {}), ("show crypto ikev2 diagnose error", {})),
    *(("show crypto ikev2 proposal", {}), ("show crypto ikev2 policy", {}), ("show crypto ikev2 profile", {})),
    *(("show crypto ipsec sa", {"detail": "detail"}), ("show crypto ipsec profile", {})),
    *(("show crypto ipsec transform-set", {}), ("show crypto session", {"detail": "detail"})),
    *(("show crypto map", {}), ("show crypto sockets", {}), ("show crypto engine connections active", {})),
    *(("show tunnel protection statistics", {}), ("show monitor event-trace crypto all", {}), ("show logging", {})),
)


def _tech_support(session: Shown, _: Arguments) -> list[str]:
    out: list[str] = []
    for name, arguments in _TECH:
        # A tech-support goes to strangers: no key is in it, sealed neither.
        running = running_config(session.router.config) if name == "show running-config" else None
        lines = SHOWS[name](session, arguments) if running is None else running
        title = " ".join((name, *arguments.values()))
        out += ["", f"------------------ {title} ------------------", "", *lines]
    return out


Show = Callable[[Shown, Arguments], list[str]]

#: By the name of the command in `commands.EXEC_ROWS`.
SHOWS: dict[str, Show] = {
    "show crypto ikev2 sa": _ikev2_sa,
    "show crypto ikev2 proposal": lambda s, a: show_ikev2.ikev2_proposal(s.router.config, a.get("name")),
    "show crypto ikev2 policy": lambda s, a: show_ikev2.ikev2_policy(s.router.config, a.get("name")),
    "show crypto ikev2 profile": lambda s, a: show_ikev2.ikev2_profile(s.router.config, a.get("name")),
    "show crypto ikev2 session": lambda s, a: show_ikev2.ikev2_session(s.router.status(), _flag(a, "detailed")),
    "show crypto ikev2 stats": lambda s, _: show_counts.ikev2_stats(s.router.status(), s.router.config),
    "show crypto ikev2 stats exchange": lambda s, _: show_counts.ikev2_exchanges(s.router.status()),
    "show crypto ikev2 stats timeout": lambda s, _: show_counts.ikev2_timeouts(s.router.status()),
    "show crypto ikev2 performance": lambda s, _: show_counts.ikev2_performance(s.router.status()),
    "show crypto call admission statistics": lambda s, _: show_counts.admission(s.router.status(), s.router.config),
    "show crypto map": lambda s, a: show_tunnels.crypto_map(s.router.status(), s.router.config, a.get("interface")),
    "show crypto sockets": lambda s, _: show_tunnels.sockets(s.router.status()),
    "show crypto engine connections active": lambda s, _: show_ipsec.connections(s.router.status()),
    "show tunnel protection statistics": lambda s, _: show_tunnels.protection_statistics(s.router.status()),
    "show crypto ipsec sa": lambda s, a: show_ipsec.ipsec_sa(
        s.router.status(), s.router.config, a.get("interface"), a.get("peer"), detail=_flag(a, "detail")
    ),
    "show crypto ipsec profile": lambda s, _: show_ipsec.ipsec_profile(s.router.config),
    "show crypto ipsec transform-set": lambda s, _: show_ipsec.transform_sets(s.router.config),
    "show crypto session": _session,
    "show running-config": lambda s, a: running_config(
        s.router.config, sealer=s.keys, only=a.get("interface"), whole=_flag(a, "all")
    ),
    "show startup-config": exec_store.startup_config,
    "show archive config differences": exec_store.show_differences,
    "show ip route": lambda s, _: show_router.ip_route(s.router.status(), s.router.config),
    "show ipv6 route": lambda s, _: show_router.ipv6_route(s.router.status(), s.router.config),
    "show ipv6 interface brief": lambda s, _: show_router.ipv6_interface_brief(s.router.status(), s.router.config),
    "show ip interface brief": lambda s, _: show_router.ip_interface_brief(s.router.status(), s.router.config),
    "show interfaces": lambda s, a: show_router.interfaces(s.router.status(), s.router.config, a.get("interface")),
    "show ip interface": lambda s, a: show_router.ip_interface(s.router.status(), s.router.config, a.get("interface")),
    "show ipv6 interface": lambda s, a: show_router.ip_interface(
        s.router.status(), s.router.config, a.get("interface"), version=6
    ),
    "show interfaces description": lambda s, _: show_router.descriptions(s.router.status(), s.router.config),
    "show users": lambda s, _: show_operators.users(s.router.status(), s.who),
    "show ip ssh": lambda s, _: show_operators.ip_ssh(s.router.status(), s.router.config),
    "show inventory": lambda s, _: show_operators.inventory(),
    "show lldp": lambda _, __: ["% LLDP is not enabled", ""],
    "show cdp": lambda _, __: ["% CDP is not enabled", ""],
    "show access-lists": lambda s, a: show_router.access_lists(s.router.config, a.get("name")),
    "show version": lambda s, _: show_router.version(s.router.status(), s.router.config),
    "show debugging": lambda s, _: exec_debug.debugging(s.debug),
    "show crypto debug-condition": lambda s, _: s.condition.lines(),
    "show crypto ikev2 diagnose error": lambda s, _: diagnose_error(s.router.records()),
    "show monitor event-trace crypto ikev2 event all": lambda s, a: event_trace.trace(s.router.records(), a["kind"]),
    "show monitor event-trace crypto all": _traces,
    "show tech-support": _tech_support,
    "show clock": lambda s, _: show_router.clock(s.router.status().wall),
    "show logging": _logging,
    "show privilege": exec_modes.show_privilege,
    "show history": exec_modes.show_history,
    "show terminal": exec_modes.show_terminal,
}
