"""Sockets of netlink's XFRM family: one that asks and waits for the answer, one that listens."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
from collections.abc import Iterable, Iterator
from types import TracebackType

from ikescope.config.model import Address
from ikescope.errors import LocalError
from ikescope.planes import xfrm_state
from ikescope.planes.xfrm_policy import Policy, PolicyKey, PolicySeen, decode_policy
from ikescope.planes.xfrm_state import StateSeen, decode_state
from ikescope.planes.xfrm_wire import (
    ESP,
    NLM_ACK,
    NLM_CREATE,
    NLM_DUMP,
    NLM_EXCL,
    NLMSG_DONE,
    NLMSG_ERROR,
    Group,
    Message,
    Mode,
    Received,
    XfrmError,
    message,
    messages,
)

_NETLINK_XFRM = 6
_SOL_NETLINK, _ADD_MEMBERSHIP = 270, 1
_OCTETS = 1 << 18
_PATIENCE = 5.0
_FORCE = 33  # SO_RCVBUFFORCE
_LISTEN_BUFFER = 4 << 20

_WHY = {
    errno.EPERM: "it needs CAP_NET_ADMIN (run as root)",
    errno.EEXIST: "there is one already, somebody else's",
    errno.EPROTONOSUPPORT: "this kernel has no ESP (CONFIG_INET_ESP, CONFIG_INET6_ESP)",
    errno.ENOSYS: "this kernel's crypto does not have the algorithm",
    errno.ENOENT: "there is none, or the kernel's crypto does not have the algorithm",
    errno.ESRCH: "there is none",
    errno.EINVAL: "the kernel does not take it",
    errno.ENOBUFS: "the kernel has no room",
}


class XfrmRefused(LocalError):
    """The kernel refused a request; `number` is its error number."""

    def __init__(self, what: str, number: int) -> None:
        super().__init__(f"cannot {what}: {_WHY.get(number) or os.strerror(number)}")
        self.number = number


def _open() -> socket.socket:
    if not hasattr(socket, "AF_NETLINK"):
        raise LocalError("this system has no netlink (the kernel's ESP is Linux's)")
    try:
        made = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _NETLINK_XFRM)
    except OSError as error:
        raise LocalError(f"this kernel has no XFRM by netlink (CONFIG_XFRM_USER): {error.strerror}") from error
    with contextlib.suppress(OSError):
        made.setsockopt(socket.SOL_SOCKET, _FORCE, _LISTEN_BUFFER)
    made.bind((0, 0))
    return made


class Xfrm:
    """Requests to the kernel, each answered before the call returns. LocalError (XfrmRefused) for what it refuses."""

    def __init__(self) -> None:
        self._socket = _open()
        self._socket.settimeout(_PATIENCE)
        self._sequence = 0

    def close(self) -> None:
        """No more requests."""
        self._socket.close()

    def __enter__(self) -> Xfrm:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # --- states

    def add_state(self, body: bytes) -> None:
        """Add a state; EEXIST where its destination has that SPI already."""
        self._do(Message.NEWSA, body, "add the ESP SA", NLM_CREATE | NLM_EXCL)

    def update_state(self, body: bytes) -> None:
        """Put a state in the place of one with its destination and SPI; ESRCH where there is none."""
        self._do(Message.UPDSA, body, "update the ESP SA")

    def remove_state(self, destination: Address, spi: int) -> bool:
        """Remove a state; whether there was one."""
        return self._done(Message.DELSA, xfrm_state.which(destination, spi), "remove the ESP SA")

    def state(self, destination: Address, spi: int) -> StateSeen | None:
        """A state as it is now, None where there is none."""
        try:
            for received in self._ask(Message.GETSA, xfrm_state.which(destination, spi), "look at the ESP SA", NLM_ACK):
                if received.kind == Message.NEWSA:
                    return decode_state(received.body)
        except XfrmRefused as error:
            if error.number != errno.ESRCH:
                raise
        return None

    def states(self) -> list[StateSeen]:
        """Every ESP state of this network namespace; those whose shape we do not know are left out."""
        found = (_decoded(each) for each in self._ask(Message.GETSA, b"", "list the ESP SAs", NLM_DUMP))
        return [each for each in found if each is not None and each.protocol == ESP]

    def allocate(
        self,
        source: Address | None,
        destination: Address,
        reqid: int,
        first: int,
        last: int,
        *,
        mode: Mode = Mode.TUNNEL,
        sequence: int = 0,
        interface: int = 0,
    ) -> int:
        """An unused SPI from `first` to `last`: it is kept for half a minute; ENOENT where all are in use."""
        body = xfrm_state.allocation(
            source, destination, reqid, first, last, mode=mode, sequence=sequence, interface=interface
        )
        for received in self._ask(Message.ALLOCSPI, body, "allocate a SPI", NLM_ACK):
            if received.kind == Message.NEWSA:
                return decode_state(received.body).spi
        raise XfrmRefused("allocate a SPI", errno.EIO)

    # --- policies

    def add_policy(self, key: PolicyKey, policy: Policy) -> None:
        """Add a policy; EEXIST where there is one of that selector."""
        self._do(Message.NEWPOLICY, policy.encode(key), "add the policy", NLM_CREATE | NLM_EXCL)

    def update_policy(self, key: PolicyKey, policy: Policy) -> None:
        """Put a policy in the place of one of that selector, at once; or add it."""
        self._do(Message.UPDPOLICY, policy.encode(key), "change the policy")

    def remove_policy(self, key: PolicyKey) -> bool:
        """Remove a policy; whether there was one."""
        return self._done(Message.DELPOLICY, key.encode(), "remove the policy")

    def policies(self) -> list[PolicySeen]:
        """Every policy of this network namespace but those of sockets."""
        found = []
        for received in self._ask(Message.GETPOLICY, b"", "list the policies", NLM_DUMP):
            with contextlib.suppress(XfrmError):
                found.append(decode_policy(received.body))
        return found

    # --- the exchange

    def _do(self, kind: Message, body: bytes, what: str, flags: int = 0) -> None:
        for _ in self._ask(kind, body, what, flags | NLM_ACK):
            continue

    def _done(self, kind: Message, body: bytes, what: str) -> bool:
        try:
            self._do(kind, body, what)
        except XfrmRefused as error:
            if error.number in (errno.ESRCH, errno.ENOENT):
                return False
            raise
        return True

    def _ask(self, kind: Message, body: bytes, what: str, flags: int) -> Iterator[Received]:
        """What the kernel answers, up to its acknowledgement."""
        self._sequence = sequence = (self._sequence + 1) & 0xFFFFFFFF
        try:
            self._socket.send(message(kind, body, flags=flags, sequence=sequence))
            while True:
                for received in messages(self._socket.recv(_OCTETS)):
                    if received.sequence != sequence:
                        continue
                    if received.kind == NLMSG_DONE:
                        return
                    if received.kind == NLMSG_ERROR:
                        if received.error:
                            raise XfrmRefused(what, received.error)
                        return
                    yield received
        except TimeoutError as error:
            raise LocalError(f"cannot {what}: the kernel does not answer") from error
        except OSError as error:
            raise XfrmRefused(what, error.errno or errno.EIO) from error


def _decoded(received: Received) -> StateSeen | None:
    try:
        return decode_state(received.body) if received.kind == Message.NEWSA else None
    except XfrmError:
        return None


class Listener:
    """A socket in multicast groups of XFRM; it never waits."""

    def __init__(self, groups: Iterable[Group]) -> None:
        self._socket = _open()
        self._socket.setblocking(False)
        for group in groups:
            self._socket.setsockopt(_SOL_NETLINK, _ADD_MEMBERSHIP, int(group))

    def fileno(self) -> int:
        """To watch for reading."""
        return self._socket.fileno()

    def close(self) -> None:
        """Hear no more."""
        self._socket.close()

    def take(self) -> tuple[list[Received], bool]:
        """What was said (of one datagram, empty: nothing waits), and whether something before it was lost."""
        lost = False
        while True:
            try:
                return list(messages(self._socket.recv(_OCTETS))), lost
            except BlockingIOError:
                return [], lost
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    raise LocalError(f"the kernel says no more: {error.strerror}") from error
                lost = True
