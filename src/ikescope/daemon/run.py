"""`ikescope run`: a router from its configuration, until a signal ends it."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import signal
import socket
import sys
from collections.abc import Callable, Iterable

import msgspec

from ikescope.config.model import RouterConfig
from ikescope.daemon import beside, dataplane, page, ssh
from ikescope.daemon.load import STANDARD_INPUT, Rejected, findings, has_errors, not_acted_on, read_configuration
from ikescope.daemon.sealkey import KeyFile
from ikescope.daemon.service import Options, Service
from ikescope.errors import LocalError

MOST_WORKERS = 64
SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


def main(args: argparse.Namespace) -> int:
    """Run the router; 0 after a signal, 1 for a configuration with errors."""
    options = Options(
        data_plane=args.data_plane,
        workers=_workers(args.workers),
        control=args.control,
        record=args.record,
        write_keys=args.write_keys,
        syslog=args.syslog,
        interfaces=_devices(args.interface or []),
        lab_timers=args.lab_timers,
        console=True,
        user=args.user,
        generation=args.ios_defaults,
        startup=None if args.router == STANDARD_INPUT else args.router,
    )
    key = KeyFile(args.key_file, options.startup)
    try:
        config = read_configuration(
            args.router, generation=args.ios_defaults, lab_timers=args.lab_timers, opener=key.opener
        )
    except Rejected as error:
        _say(error.lines)
        return error.exit_status
    _say(findings(config))
    _say(not_acted_on(config))
    if has_errors(config):
        return 1
    if args.dry_run:
        return _dry_run(config, options)
    options = msgspec.structs.replace(options, sealer=key.keep(_say))
    places = _places(args)
    host_key = None if args.ssh is None else ssh.host_key(args.ssh_host_key, options.startup)
    if host_key is not None:
        _say(ssh.warnings(config))
    with Service(config, options) as service:
        asyncio.run(_serve(service, lambda: _beside(service, args, places, host_key)))
    return 0


def _places(args: argparse.Namespace) -> dict[str, socket.socket]:
    """What processes beside the router need, before it begins: their extras and the sockets they listen on."""
    if args.otel is not None:
        beside.needs("otel", "opentelemetry.sdk")
    found = {}
    for name, module in (("metrics", "prometheus_client"), ("web", "starlette"), ("ssh", "asyncssh")):
        place = getattr(args, name)
        if place is not None:
            beside.needs(name, module)
            found[name] = beside.listen(f"--{name}", place)
    return found


def _beside(
    service: Service, args: argparse.Namespace, places: dict[str, socket.socket], host_key: bytes | None
) -> beside.Beside:
    """The processes beside a router that serves."""
    running, path = beside.Beside(), str(service.control_path)
    if "metrics" in places:
        running.start("ikescope.daemon.metrics", [path, str(places["metrics"].fileno())], [places["metrics"]])
    if args.otel is not None:
        running.start("ikescope.daemon.otel", [path, args.otel])
    if "web" in places:
        _say([f"the page of {service.hostname}: {page.start(service, places['web'], running)}"])
    if host_key is not None:
        _say([f"SSH of {service.hostname}: {ssh.start(service, places['ssh'], running, host_key)}"])
    return running


async def _serve(service: Service, start: Callable[[], beside.Beside]) -> None:
    loop = asyncio.get_running_loop()
    for number in SIGNALS:
        # Who started us with a signal ignored (nohup) wants it ignored.
        if signal.getsignal(number) is not signal.SIG_IGN:
            loop.add_signal_handler(number, service.stop)
    running: list[beside.Beside] = []
    manager = _manager()  # while we may still reach it

    def ready() -> None:
        running.append(start())
        who = service.give_up()
        _say([service.ready + (f"; runs as {who}" if who else "")])
        _tell(manager, b"READY=1")

    try:
        await service.serve(ready)
    finally:
        _tell(manager, b"STOPPING=1")
        for each in running:
            each.close()


def _manager() -> socket.socket | None:
    """The service manager that started us and wants to be told, if one did (sd_notify(3))."""
    place = os.environ.get("NOTIFY_SOCKET", "")
    if not place:
        return None
    found = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        found.connect("\0" + place[1:] if place.startswith("@") else place)
    except OSError:
        found.close()
        return None
    return found


def _tell(manager: socket.socket | None, state: bytes) -> None:
    if manager is not None:
        with contextlib.suppress(OSError):
            manager.send(state)


def _dry_run(config: RouterConfig, options: Options) -> int:
    lines = dataplane.plan(config, options.data_plane, options.interfaces)
    print("\n".join(lines or [f"{config.hostname} would change nothing on this host"]))
    return 0


def _workers(number: int | None) -> int | None:
    if number is not None and not 0 <= number <= MOST_WORKERS:
        raise LocalError(f"--workers {number}: wanted 0 to {MOST_WORKERS}")
    return number


def _devices(pairs: list[str]) -> dict[str, str]:
    found = {}
    for pair in pairs:
        name, equals, device = pair.partition("=")
        if not (name and equals and device):
            raise LocalError(f"--interface {pair}: wanted NAME=DEVICE, such as GigabitEthernet1=eth0")
        found[name] = device
    return found


def _say(lines: Iterable[str]) -> None:
    """Lines on standard error; a router goes on without it."""
    with contextlib.suppress(OSError):
        for line in lines:
            print(line, file=sys.stderr, flush=True)
