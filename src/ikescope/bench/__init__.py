"""Measurements beside a peer in the same run; every figure that the project claims comes from here."""

from __future__ import annotations

import argparse

from ikescope.errors import LocalError

HANDSHAKES = ("x25519-aes128gcm", "ecp256-aes256-sha512", "modp2048-aes256-sha256")
ESP = ("aes-gcm-128", "aes-gcm-256", "chacha20", "aes-cbc-sha1", "all")
"""The rows of `handshakes.SUITES` and `contenders.SUITES`, named here so that --help imports none of them."""

_WHAT: dict[str, tuple[tuple[str, ...], tuple[str, ...], float]] = {
    "handshakes": (("strongswan",), HANDSHAKES, 0.0),
    "flood": (("strongswan",), HANDSHAKES, 20.0),
    "read": (("tshark",), (), 0.0),
    "esp": (("strongswan", "wireguard-go"), ESP, 3.0),
}
"""What is measured: the peers it can be measured against, its suites (the first is the default), its seconds."""


def main(args: argparse.Namespace) -> int:
    """Run the benchmark that the command line names."""
    peers, suites, seconds = _WHAT[args.what]
    if args.against not in (None, *peers):
        raise LocalError(f"bench {args.what}: --against {args.against}: wanted {' or '.join(peers)}")
    args.suite = args.suite or (suites[0] if suites else None)
    if suites and args.suite not in suites:
        raise LocalError(f"bench {args.what}: --suite {args.suite}: wanted {', '.join(suites)}")
    args.seconds = seconds if args.seconds is None else args.seconds
    if args.what == "flood":
        from ikescope.bench.flood import run
    elif args.what == "esp":
        from ikescope.bench.esp import run
    elif args.what == "read":
        from ikescope.bench.read import run
    else:
        from ikescope.bench.handshakes import run
    return run(args)
