"""A router without IKE: `python -m tests.planes.gateway a|b MODE [--udp] [--runs] [--ipv6] [--plan]`, hand-made keys.

With `--runs` the carrier itself reads port 4500, as a worker's does. A MODE over IPv6 leads to IPv6 addresses.
"""

import asyncio
import os
import signal
import socket
import sys
import time
from contextlib import suppress
from ipaddress import IPv4Interface, IPv4Network, IPv6Interface, IPv6Network, ip_address

import msgspec
from tests.support.netns import LAN_A, LAN_B, NET_A, NET_B, WAN6_A, WAN6_B, WAN_A, WAN_B

from ikescope.config.model import (
    Interface,
    IpsecProfile,
    Route,
    RouterConfig,
    TransformChoice,
    TransformSet,
    Tunnel,
    TunnelMode,
)
from ikescope.crypto.suites import EspSuite, encryption
from ikescope.engine.commands import Destination, EspKeys, InstallSa, SwitchOutbound
from ikescope.errors import LocalError
from ikescope.planes.carrier import Carrier
from ikescope.planes.userland import UserlandPlane, plan

_ENDS = {
    "a": (WAN_A, WAN_B, NET_B, "172.16.0.1/30", "1.1.1.1/32", LAN_A),
    "b": (WAN_B, WAN_A, NET_A, "172.16.0.2/30", "2.2.2.2/32", LAN_B),
}
_ENDS6 = {"a": (WAN6_A, WAN6_B), "b": (WAN6_B, WAN6_A)}
_OVER_IPV6: tuple[TunnelMode, ...] = ("gre ipv6", "ipsec ipv6 v4-overlay")
SPIS = {"a": (0x1001, 0x2001), "b": (0x2001, 0x1001)}  # outbound, inbound


def with_ipv6(config: RouterConfig, end: str) -> RouterConfig:
    """The same router with an IPv6 address on Tunnel0 and an IPv6 route through it."""
    number = "ab".index(end) + 1
    tunnel = config.tunnels["Tunnel0"]
    addresses = (*tunnel.addresses, IPv6Interface(f"2001:db8:ff::{number}/64"))
    route = Route(prefix=IPv6Network(f"2001:db8:{3 - number}::/48"), interface="Tunnel0")
    return msgspec.structs.replace(
        config,
        tunnels={"Tunnel0": msgspec.structs.replace(tunnel, addresses=addresses)},
        routes=(*config.routes, route),
    )


def configuration(end: str, mode: TunnelMode = "gre ip") -> RouterConfig:
    """Router a or b: Tunnel0 to the other, a route to its LAN, Loopback0, and the WAN interface by its address."""
    local, remote, far_lan, inner, loopback, _ = _ENDS[end]
    source, destination = _ENDS6[end] if mode in _OVER_IPV6 else (local, remote)
    return RouterConfig(
        hostname=end.upper(),
        proposals={},
        policies={},
        transform_sets={"ts": TransformSet(name="ts", encryption=TransformChoice(20, 128), integrity=None)},
        ipsec_profiles={"default": IpsecProfile(name="default", transform_sets=("ts",))},
        interfaces={
            "GigabitEthernet1": Interface(
                name="GigabitEthernet1", addresses=(IPv4Interface(f"{local}/24"), *_more(source))
            ),
            "Loopback0": Interface(name="Loopback0", addresses=(IPv4Interface(loopback),), loopback=True),
        },
        tunnels={
            "Tunnel0": Tunnel(
                name="Tunnel0",
                addresses=(IPv4Interface(inner),),
                source="GigabitEthernet1",
                source_address=ip_address(source),
                destination=ip_address(destination),
                mode=mode,
                ipsec_profile="default",
                line=7,
            )
        },
        routes=(Route(prefix=IPv4Network(far_lan), interface="Tunnel0", line=9),),
    )


def _more(source: str) -> tuple[IPv6Interface, ...]:
    return (IPv6Interface(f"{source}/64"),) if ":" in source else ()


def _install(plane: UserlandPlane, end: str, udp: bool) -> None:
    """One Child SA with keys that both ends know."""
    path = plane.paths["Tunnel0"]
    row = encryption(20, 128)
    assert row is not None
    port = 4500 if udp else 500
    for spi, direction in zip(SPIS[end], ("out", "in"), strict=True):
        command = InstallSa(
            spi=spi,
            direction="out" if direction == "out" else "in",
            suite=EspSuite(row, None, False, None),
            keys=EspKeys(spi.to_bytes(4, "big") * 5, b""),
            path=Destination(path.source, port, path.destination, port),
            udp=udp,
            transport=path.gre,
            tunnel="Tunnel0",
            local=path.selectors[0].local,
            remote=path.selectors[0].remote,
            reqid=1,
            replay_window=64,
            lifetime_kilobytes=None,
        )
        plane.execute(command, time.monotonic())
    plane.execute(SwitchOutbound(SPIS[end][0], path.destination, "Tunnel0"), time.monotonic())


async def _run(end: str, config: RouterConfig, udp: bool, runs: bool) -> None:
    """What a daemon does: one loop watches the plane's descriptors and port 4500, and SIGTERM."""
    loop, stopped = asyncio.get_running_loop(), asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, stopped.set)
    source = config.tunnels["Tunnel0"].source_address
    assert source is not None
    with socket.socket(socket.AF_INET if source.version == 4 else socket.AF_INET6, socket.SOCK_DGRAM) as port:
        port.bind((str(source), 4500))
        port.setblocking(False)

        def send_udp(octets: bytes, path: Destination, ecn: int) -> None:
            port.sendto(octets, (str(path.remote), path.remote_port))

        with UserlandPlane(config, random=os.urandom, send_udp=send_udp) as plane:

            def from_port() -> None:
                octets, (remote, remote_port, *_) = port.recvfrom(65535)
                plane.esp_from_udp(octets, plane.sources["Tunnel0"], ip_address(remote), remote_port, time.monotonic())

            def from_plane(fd: int) -> None:
                plane.read_ready(fd, time.monotonic())

            _install(plane, end, udp)
            if runs:
                assert isinstance(plane._carrier, Carrier)
                plane._carrier.add_udp(plane.sources["Tunnel0"], 4500, port, shared=True)
            else:
                loop.add_reader(port, from_port)
            for fd in plane.filenos():
                loop.add_reader(fd, from_plane, fd)
            sys.stdout.write("ready\n")
            sys.stdout.flush()
            while not stopped.is_set():
                plane.tick(time.monotonic())
                with suppress(TimeoutError):
                    await asyncio.wait_for(stopped.wait(), 0.2)
    sys.stdout.write("closed\n")


_MODES: dict[str, TunnelMode] = {mode: mode for mode in ("gre ip", "ipsec ipv4", *_OVER_IPV6)}


def main() -> None:
    """Run until SIGTERM; one line when ready, one when closed, or the reason why it cannot."""
    end, mode, *options = sys.argv[1:]
    config = configuration(end, _MODES[mode])
    if "--ipv6" in options:
        config = with_ipv6(config, end)
    try:
        if "--plan" in options:
            sys.stdout.write("\n".join(plan(config)) + "\n")
            return
        asyncio.run(_run(end, config, "--udp" in options, "--runs" in options))
    except LocalError as error:
        sys.exit(f"% {error}")


if __name__ == "__main__":
    main()
