"""The UDP sockets of a router, 500 and 4500 on each local address: what arrives is told apart, what leaves framed."""

from __future__ import annotations

import contextlib
import errno
import socket
import time
from collections.abc import Callable, Iterable, Iterator
from ipaddress import ip_address

from ikescope.config.model import Address
from ikescope.engine.commands import Destination, Send
from ikescope.errors import LocalError
from ikescope.planes import steering
from ikescope.planes.ecn import ANCILLARY_OCTETS, Ancillary, ecn_told, send_marked, tell_ecn

IKE_PORT, NAT_PORT = 500, 4500
NON_ESP_MARKER = bytes(4)
KEEPALIVE = b"\xff"
BATCH = 64
"""Datagrams for the engine taken from a socket at one wake-up: the others have their turn then."""
STATELESS_BATCH = 1024
"""Datagrams taken at one wake-up where most are answered, or not, without the engine."""

LEAVING_SECONDS = 1.0
"""How long the workers of a killed router may hold port 4500."""

_DATAGRAM_OCTETS = 65535
_RECEIVE_BUFFER = 4 << 20
_SO_RCVBUFFORCE = 33
_DONT_DISCOVER = {socket.AF_INET: (socket.IPPROTO_IP, 10, 0), socket.AF_INET6: (socket.IPPROTO_IPV6, 23, 0)}
_SOL_UDP, _UDP_ENCAP, _ESP_IN_UDP = 17, 100, 2
_NO_PRIVILEGE = "needs CAP_NET_BIND_SERVICE (run as root)"
_WHY = {
    errno.EADDRINUSE: "is in use (does another IKE daemon run here?)",
    errno.EACCES: _NO_PRIVILEGE,
    errno.EPERM: _NO_PRIVILEGE,
    errno.EADDRNOTAVAIL: "cannot be had: no device of this host holds that address",
}

OnDatagram = Callable[[bytes, Destination], None]
OnEsp = Callable[[bytes, Destination, int], None]
Answer = Callable[[bytes, str, int], bytes | None]


def _widen(udp: socket.socket) -> None:
    """Make room for what comes while we are busy: the host's limit holds some hundred small datagrams only."""
    try:
        udp.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _RECEIVE_BUFFER)
    except OSError:
        udp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER)


def _bound(address: Address, port: int, *, in_group: bool) -> socket.socket:
    """A socket as the router wants it; LocalError in one line where it cannot be had."""
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    udp = socket.socket(family, socket.SOCK_DGRAM)
    udp.setblocking(False)
    _widen(udp)
    # A large IKE message is fragmented by IP; with path MTU discovery on it would be refused instead.
    udp.setsockopt(*_DONT_DISCOVER[family])
    if port == NAT_PORT:
        tell_ecn(udp)
    if in_group:
        steering.in_group(udp)
    try:
        udp.bind((str(address), port))
    except OSError as error:
        udp.close()
        why = _WHY.get(error.errno or 0, f"cannot be had: {error.strerror}")
        raise LocalError(f"UDP port {port} on {address} {why}") from error
    return udp


def _wait_for(address: Address, port: int, patience: float) -> None:
    """Have the port to ourselves: a group would let us in beside another router of this user, or beside the workers of
    one that was killed, which end a moment after it.
    """
    until = time.monotonic() + patience
    while True:
        try:
            _bound(address, port, in_group=False).close()
        except LocalError:
            if time.monotonic() > until:
                raise
            time.sleep(0.02)
        else:
            return


def _close(sockets: Iterable[socket.socket]) -> None:
    for each in sockets:
        each.close()


def _receive(udp: socket.socket, *, told: bool) -> tuple[bytes, Ancillary, tuple[str, int]]:
    """A datagram, what the host tells beside it (where `told` is wanted), and its sender."""
    if not told:
        octets, sender = udp.recvfrom(_DATAGRAM_OCTETS)
        return octets, [], sender
    octets, ancillary, _, sender = udp.recvmsg(_DATAGRAM_OCTETS, ANCILLARY_OCTETS)
    return octets, ancillary, sender


class Sockets:
    """Both ports on each address. Made, they are bound or LocalError says in one line why not.

    Called with octets and path: `ike` for each IKE message, without its marker, `esp` for ESP, from its SPI on, with
    the two ECN bits of its IP header (RFC 6040), `keepalive` for each NAT keepalive. An answer leaves by the address
    and port that it is an answer to. `answer` sees each IKE message and keepalive first, with its sender's address and
    port: what it returns is sent back, nothing if it is empty; None leaves the datagram to the others. Port 4500 has so
    many sockets more (`group`), which the kernel gives ESP to (planes.steering).
    """

    def __init__(
        self,
        addresses: Iterable[Address],
        *,
        ike: OnDatagram,
        esp: OnEsp,
        keepalive: OnDatagram,
        answer: Answer = lambda octets, remote, port: None,
        group: int = 0,
    ) -> None:
        self._ike, self._esp, self._keepalive, self._answer = ike, esp, keepalive, answer
        self._sockets: dict[tuple[Address, int], socket.socket] = {}
        self._places: dict[int, tuple[Address, int]] = {}
        self._remotes: dict[str, Address] = {}
        self._groups: dict[Address, list[socket.socket]] = {}
        self._group, self._leaves_esp = group, False
        self.patience = LEAVING_SECONDS
        try:
            for address in addresses:
                self.listen(address)
        except LocalError:
            self.close()
            raise

    @property
    def addresses(self) -> tuple[Address, ...]:
        """The local addresses that have both ports."""
        return tuple(address for address, port in self._sockets if port == NAT_PORT)

    def listen(self, address: Address) -> None:
        """Have both ports on a local address; nothing where they are there. LocalError where one cannot be had.

        The workers of a killed router may hold a port for `patience` seconds more.
        """
        if (address, NAT_PORT) in self._sockets:
            return
        try:
            for port in (IKE_PORT, NAT_PORT):
                self._open(address, port, self._group if port == NAT_PORT else 0)
            if self._leaves_esp:
                self._leave_esp(address)
        except LocalError:
            self.leave(address)
            raise

    def leave(self, address: Address) -> None:
        """Close both; nothing where they are not there."""
        for port in (IKE_PORT, NAT_PORT):
            udp = self._sockets.pop((address, port), None)
            if udp is not None:
                self._places.pop(udp.fileno(), None)
                udp.close()
        _close(self._groups.pop(address, ()))

    def _open(self, address: Address, port: int, workers: int) -> None:
        if workers:
            _wait_for(address, port, self.patience)
        udp = self._sockets[address, port] = _bound(address, port, in_group=bool(workers))
        self._places[udp.fileno()] = (address, port)
        if workers:
            group = self._groups[address] = []
            try:
                steering.steer_port(udp, workers)
                for _ in range(workers):
                    group.append(_bound(address, port, in_group=True))
                    steering.lock(group[-1])
            except OSError:  # a kernel that steers nothing: all of it comes here and is handed on
                _close(group)
                group.clear()

    def groups(self) -> dict[Address, list[socket.socket]]:
        """By local address the sockets of port 4500 that the workers' ESP comes to, none where nothing is steered: they
        stay ours to close. What such a socket has that is no ESP is for `stray`.
        """
        return {address: [*group] for address, group in self._groups.items()}

    def port_4500(self, address: Address) -> socket.socket:
        """The router's own socket, to send by."""
        return self._sockets[address, NAT_PORT]

    def leave_esp(self) -> None:
        """Let the kernel take ESP, and NAT keepalives with it, out of what comes to port 4500; IKE stays ours.

        So it is at addresses that follow. LocalError where this kernel does not.
        """
        self._leaves_esp = True
        for address in self.addresses:
            self._leave_esp(address)

    def _leave_esp(self, address: Address) -> None:
        try:
            self._sockets[address, NAT_PORT].setsockopt(_SOL_UDP, _UDP_ENCAP, _ESP_IN_UDP)
        except OSError as error:
            why = f"the kernel takes no ESP out of UDP port 4500 on {address}: {error.strerror}"
            raise LocalError(why) from error

    def filenos(self) -> Iterator[int]:
        """The file descriptors to watch for reading."""
        return iter(tuple(self._places))

    def read_ready(self, fd: int) -> None:
        """Take a batch of datagrams from a readable socket; an ICMP error that waits there is passed over."""
        local, port = self._places[fd]
        udp = self._sockets[local, port]
        marker = 0 if port == IKE_PORT else len(NON_ESP_MARKER)
        four = local.version == 4
        answer, left = self._answer, BATCH
        for _ in range(STATELESS_BATCH):
            try:
                octets, ancillary, sender = _receive(udp, told=bool(marker))
            except BlockingIOError:
                return
            except OSError:
                continue
            remote = sender[0] if four else sender[0].partition("%")[0]
            if not marker:
                reply = answer(octets, remote, sender[1])
            elif octets.startswith(NON_ESP_MARKER) or octets == KEEPALIVE:
                reply = answer(octets[marker:] or octets, remote, sender[1])
            else:
                reply = None
            if reply is None:
                self._pass_on(octets, Destination(local, port, self._remote(sender[0]), sender[1]), ancillary)
                left -= 1
                if not left:
                    return
            elif reply:
                with contextlib.suppress(OSError):
                    udp.sendto(NON_ESP_MARKER + reply if marker else reply, sender)

    def stray(self, octets: bytes, path: Destination, ecn: int) -> None:
        """Take a datagram of port 4500 that came to another socket than the router's."""
        reply = None
        if octets.startswith(NON_ESP_MARKER) or octets == KEEPALIVE:
            reply = self._answer(octets[len(NON_ESP_MARKER) :] or octets, str(path.remote), path.remote_port)
        if reply is None:
            self._from_nat_port(octets, path, ecn)
        elif reply:
            self._send(NON_ESP_MARKER + reply, path)

    def _pass_on(self, octets: bytes, path: Destination, ancillary: Ancillary) -> None:
        if path.local_port == IKE_PORT:
            self._ike(octets, path)
        else:
            self._from_nat_port(octets, path, ecn_told(ancillary))

    def _remote(self, text: str) -> Address:
        known = self._remotes.get(text)
        if known is None:
            if len(self._remotes) > 4096:
                self._remotes.clear()
            known = self._remotes[text] = ip_address(text.partition("%")[0])
        return known

    def _from_nat_port(self, octets: bytes, path: Destination, ecn: int) -> None:
        if octets == KEEPALIVE:
            self._keepalive(octets, path)
        ##= rfc7296#section-3.1
        ##% When sent on UDP port 4500, IKE messages have
        ##% prepended four octets of zeros.
        elif octets.startswith(NON_ESP_MARKER):
            self._ike(octets[len(NON_ESP_MARKER) :], path)
        else:
            self._esp(octets, path, ecn)

    def send(self, message: Send) -> str:
        """Send an IKE message or a NAT keepalive; empty, or why it did not leave."""
        octets = message.octets
        if message.path.local_port == NAT_PORT and octets != KEEPALIVE:
            octets = NON_ESP_MARKER + octets
        return self._send(octets, message.path)

    def send_esp(self, octets: bytes, path: Destination, ecn: int = 0) -> None:
        """Send ESP, from its SPI on, by port 4500; what the host does not take is lost as on any wire.

        `ecn`: the two bits of its IP header.
        """
        self._send(octets, path, ecn)

    def _send(self, octets: bytes, path: Destination, ecn: int = 0) -> str:
        udp = self._sockets.get((path.local, path.local_port))
        if udp is None:
            return f"no socket on {path.local}:{path.local_port}"
        try:
            send_marked(udp, octets, (str(path.remote), path.remote_port), ecn)
        except BlockingIOError:
            return "the host's send buffer is full"
        except OSError as error:
            return error.strerror or str(error)
        return ""

    def close(self) -> None:
        """Close all of them."""
        _close(self._sockets.values())
        for group in self._groups.values():
            _close(group)
        self._sockets.clear()
        self._groups.clear()
        self._places.clear()
