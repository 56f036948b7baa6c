"""`ping` in IOS's words: what is sent is the router's to do, each outcome is a mark."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, Protocol

import msgspec

from ikescope.config.model import Address, RouterConfig

Arguments = dict[str, Any]

MARKS = 70
"""Marks to a row, as IOS."""


class PingOrder(msgspec.Struct, frozen=True, kw_only=True):
    """Echo requests to send, one after the other: `octets` of the whole IP packet, `timeout` in seconds."""

    destination: Address
    source: Address | None = None
    count: int = 5
    octets: int = 100
    timeout: float = 2.0
    df: bool = False


class Echo(msgspec.Struct, frozen=True):
    """What became of one: `!` answered after so many milliseconds, `.` nothing came, `U` unreachable, `M` too large."""

    mark: Literal["!", ".", "U", "M"]
    milliseconds: float = 0.0


class Pinger(Protocol):
    """What `ping` needs of a router."""

    @property
    def config(self) -> RouterConfig:
        """The configuration that it runs."""

    def ping(self, order: PingOrder, each: Callable[[Echo], None], ended: Callable[[str], None]) -> Callable[[], None]:
        """Send them, telling `each` outcome; then `ended`, with the reason where nothing can be sent.

        The result ends it early: `ended` is called by it.
        """


class Waiting(Protocol):
    """What `ping` needs of a session."""

    @property
    def router(self) -> Pinger:
        """The router."""

    def tell(self, text: str) -> None:
        """Print a piece of the output at once."""

    def wait_for(
        self, start: Callable[[Callable[[str], None]], Callable[[], None] | None], then: Callable[[str], list[str]]
    ) -> list[str]:
        """Begin what takes its time; `then` makes of its result what is printed."""


def _shown(address: Address) -> str:
    return str(address).upper()


def head(order: PingOrder) -> str:
    """What is printed before the first mark."""
    seconds = f"{order.timeout:g}"
    lines = [
        "Type escape sequence to abort.",
        f"Sending {order.count}, {order.octets}-byte ICMP Echos to {_shown(order.destination)}, "
        f"timeout is {seconds} seconds:",
        *([f"Packet sent with a source address of {_shown(order.source)} "] if order.source is not None else []),
        *(["Packet sent with the DF bit set"] if order.df else []),
    ]
    return "".join(f"{line}\n" for line in lines)


def summary(echoes: int, times: list[float]) -> str:
    """The last line: how many were answered, and after how many milliseconds."""
    rate = 100 * len(times) // echoes if echoes else 0
    said = f"Success rate is {rate} percent ({len(times)}/{echoes})"
    if not times:
        return said
    least, mean, most = (max(1, round(each)) for each in (min(times), sum(times) / len(times), max(times)))
    return f"{said}, round-trip min/avg/max = {least}/{mean}/{most} ms"


def _order(config: RouterConfig, arguments: Arguments) -> PingOrder | str:
    """What is to be sent, or IOS's words for why not."""
    destination: Address = arguments["destination"]
    source = arguments.get("source_address")
    name = arguments.get("source")
    if name is not None:
        held = config.interfaces.get(name) or config.tunnels.get(name)
        addresses = [each.ip for each in held.addresses] if held is not None else []
        source = next((each for each in addresses if each.version == destination.version), None)
        if source is None:
            return f"% Invalid source interface - {name} has no IPv{destination.version} address"
    if source is not None and source.version != destination.version:
        return "% Invalid source address- IP address not on any of our up interfaces"
    return PingOrder(
        destination=destination,
        source=source,
        count=arguments.get("repeat", 5),
        octets=max(arguments.get("size", 100), 48 if destination.version == 6 else 36),
        timeout=float(arguments.get("timeout", 2)),
        df="df_bit" in arguments,
    )


def ping(session: Waiting, arguments: Arguments) -> list[str]:
    """Carry out `ping`: the marks are told as they come, the success rate when it ends."""
    order = _order(session.router.config, arguments)
    if isinstance(order, str):
        return [order, ""]
    wanted: PingOrder = order
    times: list[float] = []
    echoes = 0

    def each(echo: Echo) -> None:
        nonlocal echoes
        echoes += 1
        if echo.mark == "!":
            times.append(echo.milliseconds)
        session.tell(echo.mark + ("\n" if echoes % MARKS == 0 else ""))

    def then(why: str) -> list[str]:
        return [why, ""] if why else [summary(echoes, times)]

    session.tell(head(wanted))
    return session.wait_for(lambda say: session.router.ping(wanted, each, say), then)
