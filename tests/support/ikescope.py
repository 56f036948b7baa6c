"""ikescope itself, one router in a namespace: started from an IOS configuration, driven from its console, read back."""

import shutil
import signal
import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from ipaddress import ip_address, ip_network
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from tests.support.netns import LAN_A, LAN_B, NET_A, NET_B, WAN6_A, WAN6_B, WAN_A, WAN_B, Namespace
from tests.support.process import Process, wait_until

from ikescope.daemon.client import Client
from ikescope.engine.states import IOS_STATUS, IkeState
from ikescope.events import Event, Record, decode
from ikescope.ios.debug import Renderer, transcript

PSK = "a-shared-key"

IKE = {
    "aes256-sha512-modp2048": ("encryption aes-cbc-256", "integrity sha512", "group 14"),
    "aes256-sha512-ecp256": ("encryption aes-cbc-256", "integrity sha512", "group 19"),
    "aes128gcm16-prfsha256-x25519": ("encryption aes-gcm-128", "prf sha256", "group 31"),
    "aes256-sha256-modp2048": ("encryption aes-cbc-256", "integrity sha256", "group 14"),
    "aes256-sha256-x25519": ("encryption aes-cbc-256", "integrity sha256", "group 31"),
}
"""strongSwan's name of a proposal -> the lines of a `crypto ikev2 proposal`."""

ESP = {
    "aes128-sha1": "esp-aes esp-sha-hmac",
    "aes128gcm16": "esp-gcm",
    "aes128gcm16-esn": "esp-gcm esn",
    "aes256-sha256": "esp-aes 256 esp-sha256-hmac",
    "aes256-sha256-esn": "esp-aes 256 esp-sha256-hmac esn",
}
"""strongSwan's name of an ESP proposal, without its group -> an IOS transform set."""

PFS = {"ecp256": 19, "x25519": 31, "modp2048": 14}
"""strongSwan's name of a group -> its number."""

STANDS = IOS_STATUS[IkeState.ESTABLISHED][1]
E = TypeVar("E", bound=Event)


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """The configuration of one site's router; empty values leave Cisco's smart defaults in charge.

    `mode` is "ipsec" (`selectors` are pairs of networks, local and remote; none: everything) or "gre"; with `ipv6` the
    tunnel leads over IPv6. `esp` may end
    in a group ("aes128gcm16-x25519"): PFS; with `transport` its transform set is for transport mode. `keys` are the
    lines of the keyring's peer; `profile`, `ipsec` and `more` are further lines of the IKEv2 profile, of the IPsec
    profile and of the file.
    """

    which: str = "a"
    ike: str = ""
    esp: str = ""
    mode: str = "ipsec"
    ipv6: bool = False
    transport: bool = False
    selectors: tuple[tuple[str, str], ...] = ()
    keys: tuple[str, ...] = (f"pre-shared-key {PSK}",)
    profile: tuple[str, ...] = ()
    ipsec: tuple[str, ...] = ()
    more: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """The IOS configuration."""
        local, remote, lan, inner, far = ENDS[self.which]
        network = ip_network(far)
        own6, far6 = ENDS6[self.which]
        peer, host = (far6, f"{far6}/128") if self.ipv6 else (remote, f"{remote} 255.255.255.255")
        lines = [
            f"hostname R-{self.which}",
            "version 17.9",
            *self._proposal(),
            *_block(
                "crypto ikev2 keyring K",
                "peer P",
                f" address {f'{peer}/128' if self.ipv6 else peer}",
                *_under(self.keys),
            ),
            *_block(
                "crypto ikev2 profile default",
                f"match identity remote address {host}",
                "authentication remote pre-share",
                "authentication local pre-share",
                "keyring local K",
                *self.profile,
            ),
            *self._ipsec(),
            *_block(
                "interface Tunnel0",
                f"ip address {inner} 255.255.255.252",
                "tunnel source GigabitEthernet1",
                f"tunnel destination {peer}",
                *MODES[self.mode, self.ipv6],
                *(["tunnel protection ipsec policy ipv4 ACL"] if self.selectors else []),
                "tunnel protection ipsec profile default",
            ),
            *_block(
                "interface GigabitEthernet1",
                f"ip address {local} 255.255.255.0",
                *([f"ipv6 address {own6}/64"] if self.ipv6 else []),
            ),
            *_block("interface GigabitEthernet2", f"ip address {lan} 255.255.255.0"),
            *self._access_list(),
            f"ip route {network.network_address} {network.netmask} Tunnel0",
            *self.more,
            "end",
        ]
        return "\n".join(lines) + "\n"

    def _proposal(self) -> list[str]:
        if not self.ike:
            return []
        return _block("crypto ikev2 proposal P", *IKE[self.ike]) + _block("crypto ikev2 policy P", "proposal P")

    def _ipsec(self) -> list[str]:
        head, _, tail = self.esp.rpartition("-")
        suite, group = (head, tail) if tail in PFS else (self.esp, "")
        return [
            *(
                _block(
                    f"crypto ipsec transform-set TS {ESP[suite]}", f"mode {'transport' if self.transport else 'tunnel'}"
                )
                if suite
                else []
            ),
            *_block(
                "crypto ipsec profile default",
                "set ikev2-profile default",
                *(["set transform-set TS"] if suite else []),
                *([f"set pfs group{PFS[group]}"] if group else []),
                *self.ipsec,
            ),
        ]

    def _access_list(self) -> list[str]:
        permits = (f"permit ip {_wild(near)} {_wild(far)}" for near, far in self.selectors)
        return _block("ip access-list extended ACL", *permits) if self.selectors else []


def mirrored(site: Site) -> Site:
    """The other end's configuration."""
    return replace(site, which="b", selectors=tuple(pair[::-1] for pair in site.selectors))


ENDS: Mapping[str, tuple[str, str, str, str, str]] = {
    "a": (WAN_A, WAN_B, LAN_A, "172.31.0.1", NET_B),
    "b": (WAN_B, WAN_A, LAN_B, "172.31.0.2", NET_A),
}
"""Of each site: its address, the peer's, its address in its LAN, its address in the tunnel, the peer's LAN."""

ENDS6 = {"a": (WAN6_A, WAN6_B), "b": (WAN6_B, WAN6_A)}
"""Of each site: its IPv6 address, the peer's."""
MODES = {
    ("gre", False): (),
    ("gre", True): ("tunnel mode gre ipv6",),
    ("ipsec", False): ("tunnel mode ipsec ipv4",),
    ("ipsec", True): ("tunnel mode ipsec ipv6 v4-overlay",),
}
"""Mode, over IPv6 or not -> the line of `interface Tunnel0`."""


def _under(lines: Iterable[str]) -> list[str]:
    return [f" {line}" for line in lines]


def _block(head: str, *lines: str) -> list[str]:
    return [head, *_under(lines)]


def _wild(network: str) -> str:
    parsed = ip_network(network)
    return f"{parsed.network_address} {ip_address(int(parsed.hostmask))}"


class Ikescope:
    """One `ikescope run`, up and ready; used as a context manager it is stopped at the end.

    `directory`/NAME holds its key tables (`keys`) and a recording of each start. A second start with the same directory
    and name goes on in the same key tables.
    """

    def __init__(
        self, namespace: Namespace, configuration: str, directory: Path, which: str = "a", *, plane: str = "userland"
    ) -> None:
        """Start it with an IOS configuration (`Site.text`) as the router of a site, on a data plane."""
        self.name, self.namespace = f"R-{which}", namespace
        self.directory = directory / self.name
        self.directory.mkdir(exist_ok=True)
        self.keys = keys_of(directory, which)
        self._records = Path(tempfile.mkdtemp(prefix="start-", dir=self.directory))
        # A short path: a socket's path has room for 107 octets only.
        self._sockets = Path(tempfile.mkdtemp(prefix="ikescope-"))
        self._socket = self._sockets / "control"
        file = self._records / "router.cfg"
        file.write_text(configuration)
        words = ["--control", str(self._socket), "--record", str(self._records), "--write-keys", str(self.keys)]
        self.process: Process = namespace.start(
            *(sys.executable, "-m", "ikescope", "run", str(file), *words, "--lab-timers", "--data-plane", plane),
            directory=self._records,
            name="run",
            env={"IKESCOPE_DEBUG": "1"},
        )
        try:
            self.process.wait_for("is ready", timeout=90.0)
        except AssertionError:
            self.stop()
            raise

    def command(self, *lines: str) -> list[str]:
        """Type lines at its console, in one session; what it printed. AssertionError for a line that it refuses."""
        printed: list[str] = []
        with Client(self._socket) as client:
            for line in lines:
                reply = client.command(line)
                assert not reply.get("refused"), f"{line}: {reply['output']}"
                printed += reply["output"]
        return printed

    def status(self) -> dict[str, Any]:
        """The data behind the shows: `ike`, `children`, `tunnels`."""
        with Client(self._socket) as client:
            status: dict[str, Any] = client.ask({"status": True})["status"]
        return status

    def ike(self) -> list[tuple[str, str]]:
        """The SPIs (initiator's, responder's; hex) of the IKE SAs that stand, as `Strongswan.established` has them.

        One that was replaced and waits for the peer's Delete is none of them.
        """
        return [
            (sa["spi_local"], sa["spi_remote"]) if sa["initiator"] else (sa["spi_remote"], sa["spi_local"])
            for sa in self.status()["ike"]
            if sa["description"] == STANDS
        ]

    def children(self) -> list[tuple[str, str]]:
        """The SPIs (inbound, outbound; hex) of the Child SAs that stand."""
        found = self.status()["children"]
        return [(f"{sa['inbound']:08x}", f"{sa['outbound']:08x}") for sa in found if sa["state"] == "installed"]

    def records(self) -> list[Record]:
        """Every record of this start so far."""
        lines = [
            line
            for path in sorted(self._records.glob("*.jsonl"))
            for line in path.read_bytes().splitlines(keepends=True)
            if line.endswith(b"\n")
        ]
        return [decode(line) for line in lines]

    def events(self, kind: type[E]) -> list[E]:
        """Its events of a kind, in order."""
        return [record.event for record in self.records() if isinstance(record.event, kind)]

    def wait_event(self, kind: type[E], holds: Callable[[E], bool] = lambda _: True, timeout: float = 20.0) -> E:
        """The first event of a kind for which `holds`; AssertionError with its debug when it never comes."""
        found: list[E] = []

        def look() -> bool:
            found[:] = [event for event in self.events(kind) if holds(event)]
            return bool(found)

        try:
            wait_until(f"{kind.__name__} at {self.name}", look, timeout)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.account()}") from None
        return found[0]

    def debug(self) -> str:
        """What `debug crypto ikev2` prints of its records."""
        return "\n".join(transcript(Renderer(), self.records()))

    def verdict(self) -> str:
        """What `ikescope read` makes of its recording: the verdict, and exit status 1 where an error stands."""
        recordings = [str(path) for path in sorted(self._records.glob("*.jsonl"))]
        read = (sys.executable, "-m", "ikescope", "read", *recordings, "--as", "verdict")
        found = self.namespace.run(*read, check=False)
        assert found.returncode in (0, 1), found.stderr
        return found.stdout

    def account(self) -> str:
        """The end of its debug and of its output, for a failure's message."""
        return "\n".join([*self.debug().splitlines()[-60:], self.process.account()])

    def kill(self) -> None:
        """End it as a power failure would: the peer hears nothing."""
        self.process.stop(signal.SIGKILL)

    def stop(self) -> int:
        """Stop it (it deletes its SAs first); its exit status."""
        status = self.process.stop()
        shutil.rmtree(self._sockets, ignore_errors=True)
        return status

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def keys_of(directory: Path, which: str = "a") -> Path:
    """Where the router of a site writes its key tables."""
    return directory / f"R-{which}" / "keys"
