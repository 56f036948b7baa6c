"""ESP SAs on their way into the kernel: from what the engine asks for to XFRM states."""

from __future__ import annotations

import errno

from ikescope.engine.commands import Destination, InstallSa
from ikescope.errors import LocalError
from ikescope.planes.kernel_spd import MOST_POLICIES, KernelTunnel, Sa, ours, selectors_of, sole
from ikescope.planes.xfrm_socket import Xfrm, XfrmRefused
from ikescope.planes.xfrm_state import LARGEST_WINDOW, Algorithm, Replay, State, algorithms
from ikescope.planes.xfrm_wire import EVERYTHING, INFINITE, Limits

SOFT = 0.9
"""Of a limit: time to rekey."""
GRACE = 120
"""Seconds by which an SA outlives its lifetime in the kernel, should nobody take it out; a router that runs does."""
_LAST_NUMBER = 0xFFFFFFFF
_ESN_WINDOW = 64
"""Where the window is off: extended numbers are inferred by one all the same (RFC 4303 appendix A2)."""


def refusal(command: InstallSa, tunnel: KernelTunnel | None, known: bool) -> str:
    """Why an SA cannot be installed, empty where nothing is in its way."""
    if tunnel is None:
        return f"no tunnel {command.tunnel} here"
    if known:
        return f"SPI {command.spi:08x} is installed already"
    if command.transport and not tunnel.path.gre:
        return f"transport mode for {tunnel.path.mode}: an XFRM interface carries tunnel mode"
    if not tunnel.path.gre and len(selectors_of(command)) > MOST_POLICIES:
        return f"selectors take more than {MOST_POLICIES} of the kernel's (ranges that are no networks)"
    return ""


def limits(command: InstallSa) -> Limits:
    """The limits of an SA: by traffic as configured and by sequence numbers; by time only as a net under the engine."""
    octets = INFINITE if command.lifetime_kilobytes is None else command.lifetime_kilobytes * 1024
    numbered = command.direction == "out" and not command.suite.esn
    return Limits(
        soft_octets=octets if octets == INFINITE else int(octets * SOFT),
        hard_octets=octets,
        soft_packets=int(_LAST_NUMBER * SOFT) if numbered else INFINITE,
        hard_packets=_LAST_NUMBER if numbered else INFINITE,
        hard_added=0 if command.lifetime_seconds is None else command.lifetime_seconds + GRACE,
    )


def replay(command: InstallSa) -> Replay | None:
    """The window of an inbound SA; an outbound one has its number only."""
    if command.direction == "out":
        return Replay(1) if command.suite.esn else None
    window = min(command.replay_window, LARGEST_WINDOW)
    if window == 0:
        return Replay(_ESN_WINDOW) if command.suite.esn else None
    return Replay(window)


def udp_ports(command: InstallSa, path: Destination, udp: bool) -> tuple[int, int] | None:
    """Source and destination port of the UDP around the SA's packets."""
    if not udp:
        return None
    ports = (path.local_port, path.remote_port)
    return ports if command.direction == "out" else ports[::-1]


def state(sa: Sa, tunnel: KernelTunnel) -> State:
    """The XFRM state of an SA; LocalError for what the kernel has no name for."""
    command = sa.command
    cipher, mac, aead = algorithms(command.suite, command.keys.encryption, command.keys.integrity)
    ends = (sa.path.local, sa.path.remote) if command.direction == "out" else (sa.path.remote, sa.path.local)
    return State(
        *ends,
        spi=command.spi,
        mode=sa.mode,
        reqid=sa.reqid,
        cipher=cipher,
        mac=mac,
        aead=aead,
        esn=command.suite.esn,
        replay=replay(command),
        udp=udp_ports(command, sa.path, sa.udp),
        selector=sole(command) or EVERYTHING,
        limits=limits(command),
        interface=tunnel.interface,
        clear_df=tunnel.path.df == "clear",
    )


def put(xfrm: Xfrm, made: State) -> None:
    """Install a state, in the place of what kept its SPI for us where there is such; LocalError says why not."""
    kept = xfrm.state(made.destination, made.spi)
    replaces = kept is not None and ours(kept.reqid) == ours(made.reqid) and kept.source.is_unspecified
    try:
        if replaces:
            xfrm.update_state(made.encode())
        else:
            xfrm.add_state(made.encode())
    except XfrmRefused as error:
        raise _said(error, made) from error


def _said(error: XfrmRefused, made: State) -> LocalError:
    if error.number in (errno.ENOSYS, errno.ENOENT):
        names = [each.name for each in (made.cipher, made.mac) if isinstance(each, Algorithm)]
        return LocalError(f"this kernel's crypto lacks one of {', '.join(names)}")
    if error.number == errno.EEXIST:
        return LocalError(f"SPI {made.spi:08x} to {made.destination} is somebody else's")
    return error
