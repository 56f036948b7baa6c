"""Exec commands that ask the router for something: clear, and ikescope's own `test crypto ikev2`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Protocol

from ikescope.engine.commands import Clear, ClearChild, ClearStatistics, Intent, Probe, Rekey
from ikescope.node.status import IkeSaStatus, NodeStatus

Arguments = dict[str, Any]


class Asked(Protocol):
    """What these commands need of a router."""

    def status(self) -> NodeStatus:
        """The data behind the shows."""

    def request(self, intent: Intent) -> None:
        """Ask the engine for something."""


def _ike_sas(status: NodeStatus, remote: object) -> Iterator[IkeSaStatus]:
    return (sa for sa in status.ike if sa.state == "READY" and remote in (None, sa.remote))


def _nothing(remote: object) -> list[str]:
    return [f"% There is no IKEv2 SA{f' with {remote}' if remote else ''} to do this on", ""]


def _clear_ikev2(router: Asked, arguments: Arguments) -> list[str]:
    router.request(Clear(remote=arguments.get("remote"), local=arguments.get("local"), fast="fast" in arguments))
    return []


def _clear_children(router: Asked, arguments: Arguments) -> list[str]:
    peer = arguments.get("peer")
    if peer is None:
        router.request(ClearChild())
        return []
    for child in router.status().children:
        if child.remote_address == peer:
            router.request(ClearChild(spi=child.inbound))
    return []


def _clear_statistics(router: Asked, _: Arguments) -> list[str]:
    router.request(ClearStatistics(ikev2=True))
    return []


def _clear_counters(router: Asked, _: Arguments) -> list[str]:
    counted = {}
    for child in router.status().children:
        counted[(child.inbound, "in")] = child.received.packets, child.received.octets
        counted[(child.outbound, "out")] = child.sent.packets, child.sent.octets
    router.request(ClearStatistics(traffic=counted))
    return []


def _rekey(router: Asked, arguments: Arguments) -> list[str]:
    status, remote = router.status(), arguments.get("remote")
    sas = list(_ike_sas(status, remote))
    if not sas:
        return _nothing(remote)
    if arguments["what"] == "ike":
        for sa in sas:
            router.request(Rekey(sa=sa.id))
        return []
    for child in status.children:
        if child.ike in {sa.id for sa in sas}:
            router.request(Rekey(spi=child.inbound))
    return []


def _liveness(router: Asked, arguments: Arguments) -> list[str]:
    remote = arguments.get("remote")
    sas = list(_ike_sas(router.status(), remote))
    for sa in sas:
        router.request(Probe(sa=sa.id))
    return [] if sas else _nothing(remote)


#: By the name of the command in `commands.EXEC_ROWS`.
ACTS: dict[str, Callable[[Asked, Arguments], list[str]]] = {
    "clear crypto ikev2 sa": _clear_ikev2,
    "clear crypto session": _clear_ikev2,
    "clear crypto ikev2 stats": _clear_statistics,
    "clear crypto sa": _clear_children,
    "clear crypto sa counters": _clear_counters,
    "test crypto ikev2 rekey": _rekey,
    "test crypto ikev2 liveness": _liveness,
}
