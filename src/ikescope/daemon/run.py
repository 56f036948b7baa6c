"""`ikescope run`: a router from its configuration, until a signal ends it."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import signal
import sys
from collections.abc import Iterable

from ikescope.config.model import RouterConfig
from ikescope.daemon import dataplane
from ikescope.daemon.load import Rejected, findings, has_errors, not_acted_on, read_configuration
from ikescope.daemon.service import Options, Service
from ikescope.errors import LocalError

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


def main(args: argparse.Namespace) -> int:
    """Run the router; 0 after a signal, 1 for a configuration with errors."""
    options = Options(
        data_plane=args.data_plane,
        control=args.control,
        record=args.record,
        write_keys=args.write_keys,
        interfaces=_devices(args.interface or []),
        lab_timers=args.lab_timers,
        console=True,
    )
    try:
        config = read_configuration(args.router, generation=args.ios_defaults, lab_timers=args.lab_timers)
    except Rejected as error:
        _say(error.lines)
        return error.exit_status
    _say(findings(config))
    _say(not_acted_on(config))
    if has_errors(config):
        return 1
    if args.dry_run:
        return _dry_run(config, options)
    with Service(config, options) as service:
        asyncio.run(_serve(service))
    return 0


async def _serve(service: Service) -> None:
    loop = asyncio.get_running_loop()
    for number in SIGNALS:
        # Who started us with a signal ignored (nohup) wants it ignored.
        if signal.getsignal(number) is not signal.SIG_IGN:
            loop.add_signal_handler(number, service.stop)
    await service.serve(lambda: _say([service.ready]))


def _dry_run(config: RouterConfig, options: Options) -> int:
    lines = dataplane.plan(config, options.data_plane, options.interfaces)
    print("\n".join(lines or [f"{config.hostname} would change nothing on this host"]))
    return 0


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
