"""A kernel in memory, as much of XFRM as the kernel plane asks it for, and a router's configuration to go with it."""

import errno
from dataclasses import replace
from ipaddress import IPv4Address, ip_address

from ikescope.config.model import Address
from ikescope.crypto.suites import EspSuite, encryption
from ikescope.engine.commands import Destination, EspKeys, InstallSa
from ikescope.esp.tunnel import TunnelPath
from ikescope.events import SelectorFact
from ikescope.planes.xfrm_policy import Policy, PolicyKey, PolicySeen
from ikescope.planes.xfrm_socket import Xfrm, XfrmRefused
from ikescope.planes.xfrm_state import StateSeen, allocation, decode_state
from ikescope.planes.xfrm_wire import Mode
from ikescope.policy.selectors import Selectors

A, B, C = ip_address("10.99.0.1"), ip_address("10.99.0.2"), ip_address("10.99.0.3")


def fact(text: str, protocol: int = 0, ports: tuple[int, int] = (0, 65535)) -> SelectorFact:
    """A selector of one network in the form `10.1.0.0-10.1.0.255`."""
    start, _, end = text.partition("-")
    return SelectorFact(start, end or start, protocol, *ports)


NEAR, FAR = fact("10.1.0.0-10.1.0.255"), fact("10.2.0.0-10.2.0.255")


def path(mode: str = "ipsec ipv4", name: str = "Tunnel0", selectors: tuple[Selectors, ...] = ()) -> TunnelPath:
    """A tunnel from A to B."""
    gre = mode.startswith("gre")
    if not selectors:
        ends = (fact(str(A), 47), fact(str(B), 47)) if gre else (NEAR, FAR)
        selectors = (Selectors((ends[0],), (ends[1],)),)
    return TunnelPath(name=name, mode=mode, source=A, destination=B, selectors=selectors)  # type: ignore[arg-type]  # a word of the table


def install(spi: int, direction: str, *, tunnel: TunnelPath | None = None, **changed: object) -> InstallSa:
    """The command for one ESP SA of a tunnel."""
    row = encryption(20, 128)
    assert row is not None
    own = tunnel or path()
    values: dict[str, object] = {
        "spi": spi,
        "direction": direction,
        "suite": EspSuite(row, None, False, None),
        "keys": EspKeys(bytes(range(100, 120)), b""),
        "path": Destination(A, 500, B, 500),
        "udp": False,
        "transport": own.gre,
        "tunnel": own.name,
        "local": own.selectors[0].local,
        "remote": own.selectors[0].remote,
        "reqid": 1,
        "replay_window": 64,
        "lifetime_kilobytes": None,
    }
    return InstallSa(**{**values, **changed})  # type: ignore[arg-type]  # field by field, as the cases have them


class FakeXfrm(Xfrm):
    """States and policies in two dictionaries; `log` is what was asked, `broken` what is refused, with its number."""

    def __init__(self) -> None:
        self.held: dict[tuple[Address, int], StateSeen] = {}
        self.spd: dict[PolicyKey, Policy] = {}
        self.log: list[str] = []
        self.broken: dict[str, int] = {}
        self._spis = iter(range(0x1000, 0x10000))

    def _say(self, what: str) -> None:
        self.log.append(what)
        for word, number in self.broken.items():
            if what.startswith(word):
                raise XfrmRefused(what, number)

    def close(self) -> None:
        """Nothing is open."""

    def add_state(self, body: bytes) -> None:
        """Keep a state that is new."""
        seen = decode_state(body)
        self._say(f"add state {seen.spi:x}")
        if (seen.destination, seen.spi) in self.held:
            raise XfrmRefused("add the ESP SA", errno.EEXIST)
        self.held[seen.destination, seen.spi] = seen

    def update_state(self, body: bytes) -> None:
        """Keep a state in the place of another."""
        seen = decode_state(body)
        self._say(f"update state {seen.spi:x}")
        if (seen.destination, seen.spi) not in self.held:
            raise XfrmRefused("update the ESP SA", errno.ESRCH)
        self.held[seen.destination, seen.spi] = seen

    def remove_state(self, destination: Address, spi: int) -> bool:
        """Forget a state."""
        self._say(f"remove state {spi:x}")
        return self.held.pop((destination, spi), None) is not None

    def state(self, destination: Address, spi: int) -> StateSeen | None:
        """One state."""
        return self.held.get((destination, spi))

    def states(self) -> list[StateSeen]:
        """All states."""
        return list(self.held.values())

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
        """The next SPI, or the one that is asked for."""
        spi = first if first == last else next(self._spis)
        self._say(f"allocate {spi:x}")
        if (destination, spi) in self.held:
            raise XfrmRefused("allocate a SPI", errno.ENOENT)
        body = allocation(source or IPv4Address(0), destination, reqid, first, last)
        seen = decode_state(body[:224])
        self.held[destination, spi] = replace(seen, spi=spi)
        return spi

    def add_policy(self, key: PolicyKey, policy: Policy) -> None:
        """Keep a policy that is new."""
        self._say("add policy")
        if key in self.spd:
            raise XfrmRefused("add the policy", errno.EEXIST)
        self.spd[key] = policy

    def update_policy(self, key: PolicyKey, policy: Policy) -> None:
        """Keep a policy."""
        self._say("update policy")
        self.spd[key] = policy

    def remove_policy(self, key: PolicyKey) -> bool:
        """Forget a policy."""
        self._say("remove policy")
        return self.spd.pop(key, None) is not None

    def policies(self) -> list[PolicySeen]:
        """All policies."""
        return [PolicySeen(key, policy.priority, policy.action, 0, policy.template) for key, policy in self.spd.items()]

    def count(self, destination: Address, spi: int, **changed: int) -> None:
        """Let a state have carried `octets` and `packets`, or `forged` and the like."""
        seen = self.held[destination, spi]
        current = replace(
            seen.current, **{name: changed.pop(name) for name in ("octets", "packets") if name in changed}
        )
        self.held[destination, spi] = replace(seen, current=current, **changed)  # type: ignore[arg-type]  # counters
