"""The command line. Each command's own module is imported when it is called: `--help` is quick."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from typing import TypeAlias

from ikescope import __version__
from ikescope.bench import ESP, HANDSHAKES
from ikescope.errors import LocalError

INTERRUPTED = 130
_BROKEN_PIPE = 141


def _demo(args: argparse.Namespace) -> int:
    from ikescope.demo.tour import main

    return main(args)


def _run(args: argparse.Namespace) -> int:
    from ikescope.daemon.run import main

    return main(args)


def _console(args: argparse.Namespace) -> int:
    from ikescope.tui.console import main

    return main(args)


def _watch(args: argparse.Namespace) -> int:
    from ikescope.tui.watch import main

    return main(args)


def _check(args: argparse.Namespace) -> int:
    from ikescope.tui.check import main

    return main(args)


def _read(args: argparse.Namespace) -> int:
    from ikescope.tui.read import main

    return main(args)


def _bundle(args: argparse.Namespace) -> int:
    from ikescope.tui.bundle import main

    return main(args)


def _reload(args: argparse.Namespace) -> int:
    from ikescope.daemon.reload import main

    return main(args)


def _rehearse(args: argparse.Namespace) -> int:
    from ikescope.tui.rehearse import main

    return main(args)


def _bench(args: argparse.Namespace) -> int:
    from ikescope.bench import main

    return main(args)


def parser() -> argparse.ArgumentParser:
    """The grammar of the command line."""
    top = argparse.ArgumentParser(
        prog="ikescope", description="An IKEv2 / IPsec site-to-site VPN router that one can see through."
    )
    top.add_argument("--version", action="version", version=f"ikescope {__version__}")
    top.add_argument("--debug", action="store_true", help="show a traceback where ikescope itself fails")
    commands = top.add_subparsers(dest="command_name", metavar="COMMAND", required=True)
    _add_demo(commands)
    _add_run(commands)
    _add_reload(commands)
    _add_console(commands)
    _add_watch(commands)
    _add_rehearse(commands)
    _add_check(commands)
    _add_read(commands)
    _add_bundle(commands)
    _add_bench(commands)
    return top


_Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"


def _command(
    commands: _Commands, name: str, run: Callable[[argparse.Namespace], int], text: str
) -> argparse.ArgumentParser:
    sub: argparse.ArgumentParser = commands.add_parser(name, help=text, description=text)
    sub.set_defaults(run=run)
    return sub


def _add_demo(commands: _Commands) -> None:
    sub = _command(commands, "demo", _demo, "the guided tour: two routers, a tunnel, every exchange explained")
    sub.add_argument("--output", metavar="DIR", default="demo-output", help="where the files go (demo-output)")
    sub.add_argument("--write-keys", action="store_true", help="also write the keys, for Wireshark")
    sub.add_argument("--keep", action="store_true", help="leave both routers running")
    sub.add_argument(
        "--break",
        dest="break_",
        metavar="NAME",
        help="show this failure instead, by its name or the id of its finding; ? lists them",
    )


def _add_run(commands: _Commands) -> None:
    sub = _command(commands, "run", _run, "run a router from its IOS configuration")
    sub.add_argument("router", metavar="ROUTER.cfg", help="an IOS configuration, a whole show running-config too")
    sub.add_argument("--data-plane", choices=("auto", "kernel", "userland", "none"), default="auto")
    sub.add_argument(
        "--workers", type=int, metavar="N", help="processes that carry packets (userland; 0: the router itself does)"
    )
    sub.add_argument("--control", metavar="PATH", help="the control socket, or a directory for it")
    sub.add_argument("--record", metavar="DIR", help="record every event as JSON lines")
    sub.add_argument("--write-keys", metavar="DIR", help="write the keys in Wireshark's tables")
    sub.add_argument("--ios-defaults", choices=("15", "17", "26"), help="smart defaults of this IOS generation")
    sub.add_argument(
        "--interface",
        metavar="NAME=DEV",
        action="append",
        help="the device of an interface of the file; may be repeated",
    )
    sub.add_argument("--lab-timers", action="store_true", help="admit lifetimes of 10 to 119 s")
    sub.add_argument("--key-file", metavar="FILE", help="seals the keys that it shows and keeps (ROUTER.cfg.key)")
    sub.add_argument("--syslog", metavar="A.B.C.D[:PORT]", help="send the syslog lines there by UDP (port 514)")
    sub.add_argument("--web", metavar="HOST:PORT", help="the live page, at http://HOST:PORT (no host: 127.0.0.1)")
    sub.add_argument(
        "--ssh", metavar="HOST:PORT", help="the IOS prompt by SSH, for the users of the file (no host: 127.0.0.1)"
    )
    sub.add_argument("--ssh-host-key", metavar="FILE", help="its host key (ROUTER.cfg.ssh; made where it is not there)")
    sub.add_argument("--metrics", metavar="HOST:PORT", help="answer Prometheus at http://HOST:PORT/metrics")
    sub.add_argument("--otel", metavar="URL|console|FILE.jsonl", help="traces for OpenTelemetry (OTLP over HTTP)")
    sub.add_argument(
        "--user", metavar="NAME", default="ikescope", help="who it becomes when all is open (ikescope; root stays)"
    )
    sub.add_argument("--dry-run", action="store_true", help="print every change to the host and make none")


def _add_reload(commands: _Commands) -> None:
    sub = _command(commands, "reload", _reload, "a running router goes on with its file as it is now; no SA is dropped")
    sub.add_argument("router", metavar="ROUTER.cfg", help="the file; its hostname says which router")
    sub.add_argument("--control", metavar="PATH", help="its control socket, or the directory of it")


def _add_console(commands: _Commands) -> None:
    sub = _command(commands, "console", _console, "the IOS prompt of a running router")
    sub.add_argument("router", metavar="ROUTER", nargs="?", help="its hostname, or the path of its control socket")
    sub.add_argument(
        "-c", dest="command", metavar="COMMAND", action="append", help="run this and exit; may be repeated"
    )


def _add_watch(commands: _Commands) -> None:
    sub = _command(commands, "watch", _watch, "the live ladder of a running router, or a recording, in the terminal")
    sub.add_argument("router", metavar="ROUTER", nargs="?", help="its hostname, its control socket, or a recording")


def _add_rehearse(commands: _Commands) -> None:
    sub = _command(commands, "rehearse", _rehearse, "would these routers come up, and stay up? in memory, with faults")
    sub.add_argument("files", metavar="FILE", nargs="*", help="an IOS configuration or a swanctl.conf; at least two")
    sub.add_argument(
        "--impair",
        metavar="ROW",
        action="append",
        help="a fault, such as 'drop response CREATE_CHILD_SA 1'; may be repeated; ? lists them",
    )
    sub.add_argument("--days", type=float, default=1.0, metavar="N", help="days of life after it came up (1)")
    sub.add_argument("--seed", default="1", help="names the run: the same seed repeats it exactly (1)")
    sub.add_argument("--as", dest="as_", choices=("text", "json"), default="text")
    sub.add_argument("--ios-defaults", choices=("15", "17", "26"), help="smart defaults of this IOS generation")
    sub.add_argument("--lab-timers", action="store_true", help="admit lifetimes of 10 to 119 s")
    sub.add_argument("--with-debug", action="store_true", help="also what `debug crypto ikev2` of each router shows")


def _add_check(commands: _Commands) -> None:
    sub = _command(commands, "check", _check, "check configurations; exit status 1 for errors")
    sub.add_argument("files", metavar="FILE", nargs="+", help="an IOS configuration; - is standard input")
    sub.add_argument("--ios-defaults", choices=("15", "17", "26"), help="smart defaults of this IOS generation")
    sub.add_argument("--lab-timers", action="store_true", help="admit lifetimes of 10 to 119 s")
    sub.add_argument("--verbose", action="store_true", help="also list each line that is not acted on")
    sub.add_argument("--ios", action="store_true", help="also list what IOS would not read, and count the lines")
    sub.add_argument("--key-file", metavar="FILE", help="opens the keys that are sealed in them (FILE.key)")


def _add_read(commands: _Commands) -> None:
    sub = _command(commands, "read", _read, "read a recording or a debug text: verdict, then ladder")
    sub.add_argument("files", metavar="FILE", nargs="*", help="none: paste, then Ctrl-D; - is standard input")
    views = ("verdict", "ladder", "explain", "debug", "events", "json", "html", "pcapng", "otel", "trees")
    sub.add_argument("--as", dest="as_", choices=views, help="this view")
    sub.add_argument("--output", metavar="FILE", help="write there, not to standard output")
    sub.add_argument("--strict", action="store_true", help="a line that is not understood is an error")
    sub.add_argument(
        "--anonymise", action="store_true", help="replace names, addresses, identities, SPIs: it can be posted then"
    )
    sub.add_argument(
        "--keys",
        metavar="PATH",
        nargs="+",
        action="extend",
        default=[],
        help="keys for a capture: Wireshark's tables (or their directory), a strongSwan or Libreswan log, DH secrets",
    )
    sub.add_argument(
        "--psk", metavar="FILE", help="pre-shared keys, `KEY` or `ID KEY` a line: AUTH is verified with them"
    )
    sub.add_argument(
        "--inner",
        metavar="ESP_SA",
        help="with --as pcapng of a capture: also the packets inside ESP, by this key table",
    )


def _add_bundle(commands: _Commands) -> None:
    sub = _command(
        commands, "bundle", _bundle, "one anonymised file for a bug report: recording, configuration, versions"
    )
    sub.add_argument(
        "what", metavar="ROUTER|FILE", nargs="?", help="a running router, or a recording, debug or capture"
    )
    sub.add_argument("--configuration", metavar="FILE", help="with a FILE: its router's configuration")
    sub.add_argument("--output", metavar="FILE", required=True, help="where it goes, such as bundle.tar.gz")


def _add_bench(commands: _Commands) -> None:
    sub = _command(commands, "bench", _bench, "measure this machine")
    sub.add_argument("what", choices=("handshakes", "flood", "esp", "read"))
    sub.add_argument(
        "--against",
        choices=("strongswan", "wireguard-go", "tshark"),
        help="beside this peer, in the same run; wireguard-go: esp; tshark: read",
    )
    sub.add_argument("--as", dest="as_", choices=("text", "json"), default="text")
    sub.add_argument("--count", type=int, help="handshakes to measure (500; 100 in a flood), messages to read (6000)")
    sub.add_argument("--rate", type=int, default=50_000, help="forged requests a second of the flood (50000)")
    sub.add_argument("--seconds", type=float, help="how long the flood lasts (20), or each run of esp (3)")
    sub.add_argument("--rest", type=float, default=35.0, help="seconds after it until memory is looked at again (35)")
    sub.add_argument("--suite", choices=(*HANDSHAKES, *ESP), help="key exchange and cipher; esp: its cipher, or all")
    sub.add_argument("--rounds", type=int, help="runs of esp that a median is of (3)")
    sub.add_argument("--brief", action="store_true", help="esp: only TCP, UDP of 1372 octets, and ping")
    sub.add_argument("--encapsulation", choices=("udp", "none"), default="udp", help="esp: ours in UDP, or by itself")
    sub.add_argument("--peers", default=".peers", metavar="DIR", help="where `make peers` unpacked them (.peers)")


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; its exit status: 0 yes or done, 1 the answer is no, 2 wrong usage or unreadable input."""
    args = parser().parse_args(argv)
    debug = args.debug or os.environ.get("IKESCOPE_DEBUG", "") not in ("", "0")
    try:
        status: int = args.run(args)
        sys.stdout.flush()
        return status
    except LocalError as error:
        return _refuse(str(error), error.exit_status)
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # What Python flushes at its end would fail again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return _BROKEN_PIPE
    except Exception as error:
        if debug:
            raise
        place = f"{type(error).__name__}: {error}".splitlines()[0]
        return _refuse(f"a defect of ikescope: {place}; please report it (IKESCOPE_DEBUG=1 shows more)", 2)


def _refuse(text: str, status: int) -> int:
    print(f"ikescope: {text}", file=sys.stderr)
    return status


if __name__ == "__main__":
    sys.exit(main())
