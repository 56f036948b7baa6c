"""show users | ip ssh | inventory, and the neighbours that no protocol here finds."""

from __future__ import annotations

from ikescope import __version__
from ikescope.config.model import RouterConfig
from ikescope.node.status import NodeStatus, Operator


def users(status: NodeStatus, who: str) -> list[str]:
    """`show users`: who is at a prompt, the asking one marked with `*`, idle since their last line."""
    return [
        "    Line       User       Host(s)              Idle       Location",
        *(_user(one, "*" if one.who == who else " ") for one in sorted(status.operators, key=_tty)),
        "",
        "  Interface    User               Mode         Idle     Peer Address",
        "",
    ]


def _tty(one: Operator) -> int:
    """The number of the line among all: the console is 0, then the vty lines."""
    kind, _, number = one.line.partition(" ")
    return 0 if kind == "con" else 1 + int(number)


def _user(one: Operator, mark: str) -> str:
    minutes, seconds = divmod(int(one.idle), 60)
    idle = f"{minutes // 60:02}:{minutes % 60:02}:{seconds:02}"
    user = one.user if one.address else ""
    return f"{mark}{_tty(one):>3} {one.line:<10}{user:<11}{'idle':<21}{idle} {one.address}"


def ip_ssh(status: NodeStatus, config: RouterConfig) -> list[str]:
    """`show ip ssh`."""
    ssh = config.ssh
    enabled = "Disabled" if status.ssh_port is None else f"Enabled (port {status.ssh_port})"
    return [
        f"SSH {enabled} - version 2.0",
        "Authentication methods:publickey,password",
        f"Authentication timeout: {ssh.time_out} secs; Authentication retries: {ssh.retries}",
    ]


def inventory() -> list[str]:
    """`show inventory`: one entry, the program; it has no serial number."""
    return [
        'NAME: "Chassis", DESCR: "ikescope, an IKEv2/IPsec router in Python; not Cisco hardware"',
        f"PID: IKESCOPE          , VID: {__version__} , SN: ",
        "",
    ]
