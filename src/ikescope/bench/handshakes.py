"""CPU per handshake: IKE_SA_INIT, IKE_AUTH with a Child SA, and its delete, PSK, over real UDP between two namespaces.

The initiator is a whole router of ours in this process, flight recorder on, without a data plane. The responder is a
process of its own: `ikescope run --data-plane none`, and beside it the peer asked for, driven by the same initiator.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from ikescope.bench import place
from ikescope.bench.charon import charon
from ikescope.config.model import RouterConfig
from ikescope.daemon.service import Options, Service
from ikescope.engine.commands import Clear, Connect
from ikescope.errors import LocalError
from ikescope.events import Record
from ikescope.events.life import ChildSaCreated, IkeSaClosed
from ikescope.ios.configuration import load

INITIATOR, RESPONDER = "192.0.2.1", "192.0.2.2"
PATIENCE = 20.0
INSIDE = "IKESCOPE_BENCH_INSIDE"


class Suite(msgspec.Struct, frozen=True):
    """One row of the bench: IOS's lines, and strongSwan's word for the same."""

    name: str
    proposal: tuple[str, ...]
    transform_set: str
    charon_ike: str
    charon_esp: str


SUITES: dict[str, Suite] = {
    row.name: row
    for row in (
        Suite(
            "x25519-aes128gcm",
            ("encryption aes-gcm-128", "prf sha256", "group 31"),
            "esp-gcm 128",
            "aes128gcm16-prfsha256-x25519",
            "aes128gcm16",
        ),
        Suite(
            "ecp256-aes256-sha512",
            ("encryption aes-cbc-256", "integrity sha512", "prf sha512", "group 19"),
            "esp-aes esp-sha-hmac",
            "aes256-sha512-prfsha512-ecp256",
            "aes128-sha1",
        ),
        Suite(
            "modp2048-aes256-sha256",
            ("encryption aes-cbc-256", "integrity sha256", "prf sha256", "group 14"),
            "esp-aes 256 esp-sha256-hmac",
            "aes256-sha256-prfsha256-modp2048",
            "aes256-sha256",
        ),
    )
}

CONFIGURATION = """hostname {name}
crypto ikev2 proposal BENCH
 {proposal}
crypto ikev2 policy BENCH
 proposal BENCH
crypto ikev2 keyring KR
 peer P
  address {peer}
  pre-shared-key bench-key
crypto ikev2 profile default
 match identity remote address {peer} 255.255.255.255
 authentication local pre-share
 authentication remote pre-share
 keyring local KR
crypto ipsec transform-set BENCH {transform_set}
 mode tunnel
crypto ipsec profile default
 set transform-set BENCH
 set ikev2-profile default
interface Tunnel0
 tunnel source {local}
 tunnel destination {peer}
 tunnel mode ipsec ipv4
 tunnel protection ipsec policy ipv4 BENCH
 tunnel protection ipsec profile default
ip access-list extended BENCH
 permit ip 10.{near}.0.0 0.0.255.255 10.{far}.0.0 0.0.255.255
"""


def configuration(suite: Suite, name: str, local: str, peer: str) -> str:
    """The IOS configuration of one end."""
    near, far = (1, 2) if local == INITIATOR else (2, 1)
    return CONFIGURATION.format(
        name=name,
        proposal="\n ".join(suite.proposal),
        transform_set=suite.transform_set,
        local=local,
        peer=peer,
        near=near,
        far=far,
    )


class Figures(msgspec.Struct):
    """What one responder cost, in milliseconds of CPU per handshake."""

    responder_cpu_ms: float
    initiator_cpu_ms: float
    handshakes_per_second: float


def cpu_seconds(pid: int) -> float:
    """User and system time of a process, all its threads, ended ones too."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Initiator:
    """Our router as initiator, one handshake after the other."""

    def __init__(self, suite: Suite, directory: Path) -> None:
        config = load(configuration(suite, "bench-initiator", INITIATOR, RESPONDER), name="bench")
        self.service = Bench(config, Options(data_plane="none", control=str(directory / "initiator.sock")), self._take)
        self._event: asyncio.Future[str] | None = None

    def _take(self, record: Record) -> None:
        if self._event is None or self._event.done():
            return
        if isinstance(record.event, ChildSaCreated):
            self._event.set_result("up")
        elif isinstance(record.event, IkeSaClosed):
            self._event.set_result(record.event.reason)

    async def up(self) -> None:
        """Bring the tunnel up; LocalError where the IKE SA ends before it is."""
        self._event = asyncio.get_running_loop().create_future()
        self.service.request(Connect(tunnel="Tunnel0", trigger="operator"))
        came = await self._event
        if came != "up":
            raise LocalError(f"bench: the handshake failed: {came}")

    def forget(self) -> None:
        """Drop all IKE SAs without a word to the peer."""
        self._event = None
        self.service.request(Clear(fast=True))

    async def _one(self) -> None:
        await asyncio.wait_for(self.up(), PATIENCE)
        self._event = asyncio.get_running_loop().create_future()
        self.service.request(Clear())
        await asyncio.wait_for(self._event, PATIENCE)

    async def _measure(self, pid: int, count: int) -> Figures:
        ready = asyncio.Event()
        serving = asyncio.create_task(self.service.serve(ready.set))
        try:
            await ready.wait()
            for _ in range(max(10, count // 10)):
                await self._one()
            cpu, own, wall = cpu_seconds(pid), time.process_time(), time.perf_counter()
            for _ in range(count):
                await self._one()
            wall, own = time.perf_counter() - wall, time.process_time() - own
            cpu = cpu_seconds(pid) - cpu
        except TimeoutError:
            raise LocalError(f"bench: no answer of the responder within {PATIENCE:.0f} s") from None
        finally:
            self.service.stop()
            await serving
        return Figures(round(cpu / count * 1000, 3), round(own / count * 1000, 3), round(count / wall, 1))

    def measure(self, pid: int, count: int) -> Figures:
        """Run `count` handshakes against the responder of that process."""
        with self.service:
            return asyncio.run(self._measure(pid, count))


class Bench(Service):
    """The daemon's service, with an ear on its stream."""

    def __init__(self, config: RouterConfig, options: Options, take: Callable[[Record], None]) -> None:
        super().__init__(config, options)
        self._take = take

    def _sink(self, record: Record) -> None:
        super()._sink(record)
        self._take(record)


@contextmanager
def ours(suite: Suite, directory: Path, *, more: str = "") -> Iterator[int]:
    """Our own daemon as responder, with `more` lines of configuration; gives its process id."""
    path = directory / "responder.cfg"
    path.write_text(configuration(suite, "bench-responder", RESPONDER, INITIATOR) + more)
    command = [sys.executable, "-m", "ikescope", "run", str(path), "--data-plane", "none"]
    process = place.start(RESPONDER, INITIATOR, [*command, "--control", str(directory / "responder.sock")])
    try:
        assert process.stderr is not None
        lines = []
        for line in process.stderr:
            lines.append(line.strip())
            if "is ready" in line:
                break
        else:
            raise LocalError(f"bench: the responder did not start: {lines[-1] if lines else 'it said nothing'}")
        # Its console lines are nobody's here, but a full pipe would stop it.
        threading.Thread(target=process.stderr.read, daemon=True).start()
        yield process.pid
    finally:
        process.terminate()
        process.wait(timeout=10)


def run(args: argparse.Namespace) -> int:
    """Measure and print; 0, or LocalError where it cannot be measured here."""
    args.count = 500 if args.count is None else args.count
    if args.count < 1:
        raise LocalError(f"--count: had {args.count}, wanted at least 1")
    if os.environ.get(INSIDE) != "1":
        return inside()
    suite = SUITES[args.suite]
    with tempfile.TemporaryDirectory(prefix="ikescope-bench-") as name:
        directory = Path(name)
        with ours(suite, directory) as pid:
            result: dict[str, object] = msgspec.to_builtins(Initiator(suite, directory).measure(pid, args.count))
        if args.against is not None:
            with charon(Path(args.peers), directory, suite.charon_ike, suite.charon_esp, RESPONDER, INITIATOR) as pid:
                peer = Initiator(suite, directory).measure(pid, args.count)
            result["against"] = args.against
            result["peer_responder_cpu_ms"] = peer.responder_cpu_ms
            result["ratio"] = round(float(str(result["responder_cpu_ms"])) / max(peer.responder_cpu_ms, 0.001), 2)
    _print(
        {"schema": "ikescope.bench/1", "type": "handshakes", "suite": suite.name, "count": args.count, **result}, args
    )
    return 0


def inside() -> int:
    """Once more in a network namespace of our own, where ports 500 and 4500 are free."""
    unshare = shutil.which("unshare")
    if unshare is None:
        raise LocalError("bench needs `unshare` (util-linux) for a network namespace of its own")
    flags = ["--net"] if os.geteuid() == 0 else ["--map-root-user", "--net"]
    command = [unshare, *flags, sys.executable, "-m", "ikescope", *sys.argv[1:]]
    return subprocess.run(command, env={**os.environ, INSIDE: "1"}, check=False).returncode


def _print(result: dict[str, object], args: argparse.Namespace) -> None:
    if args.as_ == "json":
        print(json.dumps(result))
        return
    print(f"{result['suite']}: {result['responder_cpu_ms']} ms of CPU per handshake for the responder, ", end="")
    print(f"{result['initiator_cpu_ms']} ms for the initiator; {result['handshakes_per_second']} handshakes a second")
    if args.against is not None:
        theirs, ratio = result["peer_responder_cpu_ms"], result["ratio"]
        print(f"{args.against}: {theirs} ms as responder; ours costs {ratio} times that")
