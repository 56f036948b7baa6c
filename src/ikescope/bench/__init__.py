"""Measurements beside a peer in the same run; every figure that the project claims comes from here."""

from __future__ import annotations

import argparse

from ikescope.errors import LocalError


def main(args: argparse.Namespace) -> int:
    """Run the benchmark that the command line names."""
    wanted = "tshark" if args.what == "read" else "strongswan"
    if args.against not in (None, wanted):
        raise LocalError(f"bench {args.what}: --against {args.against}: wanted {wanted}")
    if args.what == "flood":
        from ikescope.bench.flood import run
    elif args.what == "read":
        from ikescope.bench.read import run
    else:
        from ikescope.bench.handshakes import run
    return run(args)
