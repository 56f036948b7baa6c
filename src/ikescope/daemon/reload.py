"""`ikescope reload`: a running router goes on with its file as it is now; no SA is dropped for it."""

from __future__ import annotations

import argparse
import sys

from ikescope.daemon import client
from ikescope.daemon.load import Rejected, findings, has_errors, read_configuration, read_text
from ikescope.daemon.paths import socket_path
from ikescope.ios.sealing import Unopened

STATED = "what the file says acts now"


def main(args: argparse.Namespace) -> int:
    """Hand the file to the router of its hostname; 0 when it acts, 1 for a file with errors: then nothing changed.

    The file is read here: the router, who gave its user up, may have no right to.
    """
    text = read_text(args.router)
    try:
        config = read_configuration(args.router, lab_timers=True, opener=Unopened())
    except Rejected as error:
        print(*error.lines, sep="\n", file=sys.stderr)
        return error.exit_status
    for line in findings(config):
        print(line, file=sys.stderr)
    if has_errors(config):
        return 1
    where = config.hostname if args.control is None else str(socket_path(config.hostname, args.control))
    with client.Client(client.find(where)) as router:
        answer = router.ask({"reload": text, "file": args.router})
    for line in answer["reload"]:
        print(line)
    if answer.get("refused"):
        return 1
    print(f"{config.hostname}: {STATED}")
    return 0
