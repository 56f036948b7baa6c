"""Writes docs/ios-compatibility.md from the grammar's tables: `python -m tools.ios_compatibility_doc`."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from ikescope.ios.commands import EXEC_ROWS, table
from ikescope.ios.configuration_bench import OF_GENERATION_15, PROMPTS
from ikescope.ios.configuration_foreign import FOREIGN_CRYPTO, FOREIGN_HEADS, PQC, PQC_OPTIONAL
from ikescope.ios.configuration_ours import WORDS as OUR_WORDS
from ikescope.ios.configuration_rows import ROWS
from ikescope.ios.configuration_unacted import UNACTED, WORDS
from ikescope.ios.grammar import Match, Row, leading_keywords

TARGET = Path(__file__).resolve().parents[1] / "docs" / "ios-compatibility.md"

HEAD = """# What of IOS there is

Made by `python -m tools.ios_compatibility_doc` from the grammar that the router itself reads with; a test compares.

*works*: as in IOS. *differs*: how it is not IOS's. *ours*: IOS does not have it. *named*: it changes nothing here, and
`ikescope check` names the line with this reason. *refused*: the file does not load, and the message gives this reason
and what to write. `ikescope check --ios FILE` lists what of a file is ours, and how many lines act, are refused, or are
neither.
"""

#: Configuration: by mode and the keywords that a row begins with, how it is not IOS's.
DIFFERS = {
    ("global", "version"): "chooses the smart defaults: 15.x is generation 15, 26.x is 26, all else 17",
    ("global", "crypto ikev2 nat keepalive"): "behind a NAT keepalives go out every 20 s without the line too",
    ("global", "crypto ikev2 cookie-challenge"): "without the line cookies are asked for from 20 half-open IKE SAs on",
    ("global", "crypto ipsec security-association lifetime days"): "shown in seconds",
    ("global", "crypto ipsec df-bit"): "for all tunnels",
    ("global", "ip route"): "only those through a tunnel are made at the host; `track` is refused with one",
    ("global", "ipv6 route"): "only those through a tunnel are made at the host",
    ("global", "interface"): "Tunnel and Loopback are made; a physical one is the host's device with its address",
    ("global", "enable"): "level 15 alone",
    ("policy", "match fvrf any"): "there is one front-door VRF, the host's routing table",
    ("profile", "match fvrf any"): "there is one front-door VRF, the host's routing table",
    ("profile", "ivrf"): "the VRF that its tunnels are in; where one is in another, nothing starts",
    ("vrf", "rd"): "kept and shown",
    ("vrf", "address-family"): "kept and shown; a VRF has both families",
    ("profile", "match address local"): "of an interface: its first address",
    ("ipsec-profile", "set security-association level per-host"): "in IOS a line of a crypto map",
    ("ipsec-profile", "set security-association lifetime days"): "shown in seconds",
    (
        "ipsec-profile",
        "set security-association idle-time",
    ): "the tunnel then waits for traffic, in tunnel mode ipsec too",
    ("tunnel", "ip unnumbered"): "the interface's first address, shown as `ip address`",
    ("tunnel", "ipv6 unnumbered"): "the interface's first address, shown as `ipv6 address`",
    ("tunnel", "tunnel protection ipsec policy ipv4"): "each Child SA is made when its first packet comes",
    ("tunnel", "vrf forwarding"): "a Linux VRF; with the kernel's data plane alone, refused with the userland one",
    ("tunnel", "ip vrf forwarding"): "as `vrf forwarding`",
    ("interface", "vrf forwarding"): "a Loopback's as a Tunnel's; a physical one's is kept, and the host's own",
    ("interface", "ip vrf forwarding"): "as `vrf forwarding`",
    ("interface", "ip address"): "a Loopback's is made; a physical one's finds the host's device",
    ("interface", "ip address dhcp"): "the host's own address is looked up",
}
#: Exec: by the name of a command, how it is not IOS's.
EXEC_DIFFERS = {
    "show version": "names ikescope",
    "show interfaces": "tunnels, and what the file says of the others",
    "show ip route": "what the file says; the host may have more",
    "show ipv6 route": "what the file says; the host may have more",
    "show crypto map": "as tunnel protection shows it; there are no others",
    "show logging": "the flight recorder in the words of IOS",
    "show monitor event-trace crypto ikev2 event all": "the flight recorder, always on",
    "show monitor event-trace crypto all": "the flight recorder, always on",
    "show startup-config": "the file that the router was started with",
    "configure replace": "by the startup configuration alone",
    "configure replace file": "refused: there is no file system; `ikescope reload FILE` on the host takes another file",
    "copy": "refused: there is no file system; `copy running-config startup-config` keeps what runs",
    "erase": "refused: the startup configuration is the host's file",
    "reload": "refused: the host starts the router; `configure replace` goes back",
    "terminal": "of the console that asks",
}
#: What a value is called, by its kind; any other by its name.
LABELS = {
    "address": "ADDRESS",
    "hex": "HEX",
    "interface": "INTERFACE",
    "ipv4": "A.B.C.D",
    "ipv6": "X:X::X",
    "line": "TEXT",
    "mask": "MASK",
    "port": "PORT",
    "prefix4": "A.B.C.D/LENGTH",
    "prefix6": "X:X::X/LENGTH",
    "protocol": "PROTOCOL",
    "wildcard": "WILDCARD",
}
OURS = ("test crypto ikev2",)
#: Exec commands that IOS has for what is configured here, and why they are not there.
EXEC_ABSENT = (
    ("show crypto pki certificates", "no certificates"),
    ("show crypto isakmp sa", "no IKEv1"),
    ("show crypto gdoi", "no GET VPN"),
    ("show crypto ikev2 client flexvpn", "no choice among several hubs"),
    ("show crypto ikev2 cluster", "no load balancing among hubs"),
    ("show crypto ikev2 certificate-cache", "no certificates"),
    ("show crypto ikev2 stats ext-service", "no AAA, no configuration payloads"),
    ("show crypto ikev2 stats reconnect", "IOS's reconnect is for AnyConnect clients"),
    ("show crypto ikev2 stats priority-queue", "no such queue: a datagram is worked on when it comes"),
    ("show crypto ikev2 stats psh", "no such queue"),
    ("show dmvpn", "a tunnel has one peer"),
    ("show ip nhrp", "a tunnel has one peer"),
    ("show vrf", "the host's: `ip vrf show`"),
    ("show policy-map interface", "no QoS here: the host's"),
    ("clear crypto ikev2 certificate-cache", "no certificates"),
    ("clear crypto isakmp", "no IKEv1"),
    ("debug crypto isakmp", "no IKEv1"),
    ("debug crypto pki messages", "no certificates"),
    ("traceroute 192.0.2.1", "the host's own"),
    ("telnet 192.0.2.1", "the host's own"),
    ("ssh -l admin 192.0.2.1", "the host's own"),
)


def document() -> str:
    """The whole document."""
    parts = [HEAD, "## Configuration\n"]
    parts += [_mode(mode, rows) for mode, rows in ROWS.items()]
    parts += [_values(), _generation(), _foreign(), _exec(), _absent()]
    return "\n".join(parts)


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _table(heads: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [heads, ("---",) * len(heads), *(tuple(map(_cell, row)) for row in rows)]
    return "".join(f"| {' | '.join(row)} |\n" for row in lines)


def _readable(syntax: str) -> str:
    """A row's syntax as IOS documents write it: values in capitals or as ranges, keywords as they are."""

    def value(found: re.Match[str]) -> str:
        name, spec = found[1].split(":", 1)
        many = "..." if found[2] else ""
        if spec.startswith("="):
            words = spec[1:]
            return ("{" + words + "}" if "|" in words else words) + many
        return (spec.split("/")[0] if spec[0].isdigit() else _label(name, spec)) + many

    return re.sub(r"\{\{([^{}]*)\}\}", r"{\1}", re.sub(r"<([^>]+)>(\+?)", value, syntax))


def _label(name: str, spec: str) -> str:
    return "TEXT" if name == "_" else LABELS.get(spec, name.upper())


def _unique(rows: Iterable[tuple[str, ...]]) -> list[tuple[str, ...]]:
    return list(dict.fromkeys(rows))


def _mode(mode: str, rows: tuple[Row, ...]) -> str:
    shown = _unique((f"`{_readable(row.syntax)}`", *_how(mode, row)) for row in rows)
    for refused in UNACTED:
        if mode in refused.modes or (mode == "interface" and "loopback" in refused.modes):
            whose = f"{refused.head} (of a Loopback)" if "loopback" in refused.modes else refused.head
            instead = f"; write: {refused.instead}" if refused.instead else ""
            what = "refused" if refused.standing == "refused" else "named"
            shown.append((f"`{whose}`", what, refused.reason + instead))
    if mode == "proposal":
        shown.append(("`pqc ... optional`", "named", PQC_OPTIONAL.reason))
        shown.append(("`pqc ...`", "refused", f"{PQC.reason}; write: {PQC.instead}"))
    prompt = PROMPTS.get(mode, "")
    return f"### {mode} `{prompt}`\n\n{_table(('command', '', 'how, or why and what instead'), shown)}"


def _how(mode: str, row: Row) -> tuple[str, str]:
    head = leading_keywords(row.syntax)
    if head.startswith("ikescope"):
        return "ours", ""
    differs = DIFFERS.get((mode, head), "")
    return ("differs", differs) if differs else ("works", "")


def _values() -> str:
    rows = [
        (f"`{each.head}`", f"`{' '.join(each.words)}`", "refused", f"{each.reason}; write: {each.instead}")
        for each in WORDS
    ]
    rows += [(f"`{head}`", f"`{' '.join(sorted(words))}`", "ours", "") for head, (_, words) in OUR_WORDS.items()]
    return f"### Values within a command\n\n{_table(('command', 'value', '', 'why and what instead'), rows)}"


def _generation() -> str:
    rows = [(f"`{word}`", why, instead) for word, (why, instead) in OF_GENERATION_15.items()]
    return f"### Values of generation 15 alone\n\n{_table(('value', 'why', 'elsewhere'), rows)}"


def _foreign() -> str:
    heads = ", ".join(f"`{head}`" for head in sorted({*FOREIGN_HEADS, *FOREIGN_CRYPTO}))
    return (
        "### What belongs to another part of a router\n\n"
        "Whatever is about neither crypto nor a tunnel nor its interfaces is counted and not acted on, with the lines "
        f"below it: `ip nat`, `ip dhcp`, `ip access-list standard`, and what begins with {heads}.\n"
    )


def _exec() -> str:
    rows = _unique((f"`{_readable(row.syntax)}`", *_exec_how(row.name)) for row in EXEC_ROWS)
    return (
        "## Exec\n\n"
        "Every show takes `| include`, `exclude`, `begin`, `section` and `count`, and `| json`, which is ours. "
        f"Words may be abbreviated, `?` and Tab help.\n\n{_table(('command', '', 'how'), rows)}"
    )


def _exec_how(name: str) -> tuple[str, str]:
    if name.startswith(OURS):
        return "ours", ""
    differs = EXEC_DIFFERS.get(name, "")
    if differs.startswith("refused"):
        return "refused", differs.partition(": ")[2] or differs.partition(", ")[2]
    return ("differs", differs) if differs else ("works", "")


def _absent() -> str:
    rows = [(f"`{line}`", why) for line, why in absent()]
    said = "`% Invalid input detected` answers these, as on a router without them."
    return f"### Not there\n\n{said}\n\n{_table(('command', 'why'), rows)}"


def absent() -> list[tuple[str, str]]:
    """The exec commands of IOS that are not there, and why."""
    return [(line, why) for line, why in EXEC_ABSENT if not isinstance(table(15).match(line), Match)]


def unknown_notes() -> list[str]:
    """The notes above that are about no row of a table."""
    known = {(mode, leading_keywords(row.syntax)) for mode, rows in ROWS.items() for row in rows}
    names = {row.name for row in EXEC_ROWS}
    return [" ".join(key) for key in DIFFERS if key not in known] + [name for name in EXEC_DIFFERS if name not in names]


def main() -> None:
    """Write the document."""
    TARGET.write_text(document(), encoding="utf-8")


if __name__ == "__main__":
    main()
