"""Measurements beside a peer in the same run; every figure that the project claims comes from here."""

from __future__ import annotations

import argparse


def main(args: argparse.Namespace) -> int:
    """Run the benchmark that the command line names."""
    if args.what == "flood":
        from ikescope.bench.flood import run
    else:
        from ikescope.bench.handshakes import run
    return run(args)
