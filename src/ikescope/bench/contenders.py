"""What carries the traffic between the two routers of a bench: ikescope, and the peers it is measured against.

Each starts its two daemons as a user would, brings one tunnel up between the LANs, and gives their process ids.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import msgspec

from ikescope.bench.charon import PLUGINS, STRONGSWAN_CONF, inside
from ikescope.bench.lan import FAR, LAN, NETWORK, WAN, Daemon, Lan
from ikescope.errors import LocalError

WIREGUARD_MTU = 1400
"""As kernel-libipsec's device has it, so that both peers carry packets of one size."""
PATIENCE = 10.0


class EspSuite(msgspec.Struct, frozen=True):
    """One row: IOS's transform set, and strongSwan's word for the same."""

    name: str
    transform_set: str
    charon_esp: str


SUITES: dict[str, EspSuite] = {
    row.name: row
    for row in (
        EspSuite("aes-gcm-128", "esp-gcm 128", "aes128gcm16"),
        EspSuite("aes-gcm-256", "esp-gcm 256", "aes256gcm16"),
        EspSuite("chacha20", "esp-chacha20-poly1305", "chacha20poly1305"),
        EspSuite("aes-cbc-sha1", "esp-aes esp-sha-hmac", "aes128-sha1"),
    )
}

ROUTER = """hostname {name}
crypto ikev2 proposal BENCH
 encryption aes-gcm-128
 prf sha256
 group 31
crypto ikev2 policy BENCH
 proposal BENCH
crypto ikev2 keyring KR
 peer P
  address {peer}
  pre-shared-key bench-key
crypto ikev2 profile BENCH
 match identity remote address {peer} 255.255.255.255
 authentication local pre-share
 authentication remote pre-share
 keyring local KR
{encapsulation}crypto ipsec transform-set BENCH {transform_set}
 mode tunnel
crypto ipsec profile BENCH
 set transform-set BENCH
 set ikev2-profile BENCH
interface Tunnel0
 ip address 172.16.0.{number} 255.255.255.252
 tunnel source {local}
 tunnel destination {peer}
 tunnel mode ipsec ipv4
 tunnel protection ipsec profile BENCH
ip route {far} 255.255.255.0 Tunnel0
"""

SWANCTL = """connections {{
  bench {{
    version = 2
    mobike = no
    local_addrs = {local}
    remote_addrs = {remote}
    proposals = aes128gcm16-prfsha256-x25519
    local {{
      auth = psk
    }}
    remote {{
      auth = psk
    }}
    children {{
      bench {{
        local_ts = {near}
        remote_ts = {far}
        esp_proposals = {esp}
      }}
    }}
  }}
}}
secrets {{
  ike-bench {{
    secret = "bench-key"
  }}
}}
"""


class Plan(msgspec.Struct, frozen=True):
    """What a contender is started with: suite, UDP encapsulation or not, where the peers are, a folder of its own;
    `options` of `ikescope run` beside those that it needs.
    """

    suite: EspSuite
    udp: bool
    peers: Path
    directory: Path
    options: tuple[str, ...] = ()


Contender = Callable[[Plan, Lan, ExitStack], tuple[Daemon, ...]]


def _started(stack: ExitStack, lan: Lan, which: str, command: list[str], plan: Plan, name: str, **more: str) -> Daemon:
    daemon = lan.routers[which].start(command, plan.directory / f"{name}-{which}.log", more)
    stack.callback(daemon.stop)
    return daemon


def ikescope(plan: Plan, lan: Lan, stack: ExitStack) -> tuple[Daemon, ...]:
    """Two of `ikescope run --data-plane userland`; the first packet brings the tunnel up."""
    found = []
    for number, which in enumerate("ab", 1):
        path = plan.directory / f"{which}.cfg"
        path.write_text(
            ROUTER.format(
                name=f"bench-{which}",
                number=number,
                local=WAN[which],
                peer=WAN[FAR[which]],
                far=NETWORK[FAR[which]].partition("/")[0],
                transform_set=plan.suite.transform_set,
                encapsulation=" nat force-encap\n" if plan.udp else "",
            )
        )
        command = [sys.executable, "-m", "ikescope", "run", str(path), "--data-plane", "userland"]
        command += ["--control", str(plan.directory / f"{which}.sock"), *plan.options]
        found.append(_started(stack, lan, which, command, plan, "ikescope"))
    return tuple(found)


def strongswan(plan: Plan, lan: Lan, stack: ExitStack) -> tuple[Daemon, ...]:
    """Two charons with kernel-libipsec, which always encapsulates in UDP; A initiates."""
    root = (plan.peers / "root").resolve()
    found = []
    for which in "ba":
        directory = plan.directory / which
        directory.mkdir()
        (directory / "strongswan.conf").write_text(STRONGSWAN_CONF.format(plugins=PLUGINS, directory=directory))
        (directory / "swanctl.conf").write_text(
            SWANCTL.format(
                local=WAN[which],
                remote=WAN[FAR[which]],
                near=NETWORK[which],
                far=NETWORK[FAR[which]],
                esp=plan.suite.charon_esp,
            )
        )
        environment = {"STRONGSWAN_CONF": str(directory / "strongswan.conf"), "SWANCTL_DIR": str(directory)}
        command = inside(root, "/usr/lib/ipsec/charon")
        daemon = _started(stack, lan, which, command, plan, "strongswan", **environment)
        _wait(lambda directory=directory: (directory / "vici.sock").exists(), daemon)  # type: ignore[misc]  # bound now
        words = [("--load-all", "--noprompt")] + [("--initiate", "--child", "bench")] * (which == "a")
        for each in words:
            swanctl = inside(root, "/usr/sbin/swanctl", *each, "--uri", f"unix://{directory}/vici.sock")
            place = lan.routers[which]
            place.run("env", *(f"{key}={value}" for key, value in environment.items()), *swanctl)
        found.append(daemon)
    return tuple(found)


def wireguard_go(plan: Plan, lan: Lan, stack: ExitStack) -> tuple[Daemon, ...]:
    """Two of wireguard-go, each with a /run of its own for its socket."""
    programs = (plan.peers / "root/usr/bin").resolve()
    keys = {which: _wireguard_key(programs) for which in "ab"}
    found = []
    for which in "ab":
        private, _ = keys[which]
        run = plan.directory / f"run-{which}"
        run.mkdir()
        (plan.directory / f"{which}.key").write_text(private)
        mounted = ["unshare", "--mount", "--propagation", "private", "sh", "-c"]
        mounted += ['mount --bind "$1" /run && shift && exec "$@"', "sh", str(run)]
        command = [*mounted, str(programs / "wireguard-go"), "--foreground", "wg0"]
        daemon = _started(stack, lan, which, command, plan, "wireguard-go", WG_PROCESS_FOREGROUND="1")
        _wait(lambda run=run: (run / "wireguard/wg0.sock").exists(), daemon)  # type: ignore[misc]  # bound now
        far = FAR[which]
        peer = ["peer", keys[far][1], "endpoint", f"{WAN[far]}:51820", "allowed-ips", NETWORK[far]]
        place = lan.routers[which]
        own = ["listen-port", "51820", "private-key", str(plan.directory / f"{which}.key")]
        place.run(*mounted, str(programs / "wg"), "set", "wg0", *own, *peer)
        place.run("ip", "link", "set", "wg0", "mtu", str(WIREGUARD_MTU), "up")
        place.run("ip", "route", "add", NETWORK[far], "dev", "wg0", "src", LAN[which])
        found.append(daemon)
    return tuple(found)


def _wireguard_key(programs: Path) -> tuple[str, str]:
    """A private key and its public one, as `wg` writes them."""
    tool = str(programs / "wg")
    private = subprocess.run([tool, "genkey"], capture_output=True, text=True, check=True).stdout
    public = subprocess.run([tool, "pubkey"], input=private, capture_output=True, text=True, check=True).stdout
    return private, public.strip()


def _wait(there: Callable[[], bool], daemon: Daemon) -> None:
    until = time.monotonic() + PATIENCE
    while not there():
        daemon.alive()
        if time.monotonic() > until:
            raise LocalError(f"bench: {daemon.log.stem} does not answer on its control socket")
        time.sleep(0.02)  # between two looks, not in what is measured


CONTENDERS: dict[str, Contender] = {"ikescope": ikescope, "strongswan": strongswan, "wireguard-go": wireguard_go}
PROGRAMS = {
    "strongswan": ("usr/lib/ipsec/charon", "usr/sbin/swanctl"),
    "wireguard-go": ("usr/bin/wireguard-go", "usr/bin/wg"),
}
"""What of `make peers` each peer needs."""


@contextmanager
def running(name: str, plan: Plan, lan: Lan, ping: list[str]) -> Iterator[tuple[Daemon, ...]]:
    """A contender's two daemons with the tunnel up; stopped at the end."""
    with ExitStack() as stack:
        daemons = CONTENDERS[name](plan, lan, stack)
        lan.reached(daemons, ping)
        yield daemons
