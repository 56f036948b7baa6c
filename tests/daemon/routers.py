"""Routers as processes for the tests: their configurations, how to start one and ask it."""

import sys
from pathlib import Path

from tests.support.machine import ROOT
from tests.support.netns import NET_A, NET_B, WAN_A, WAN_B, Namespace
from tests.support.process import Process

KEY = "sEcReT-key-77"
PYTHON = {"PYTHONPATH": str(ROOT / "src")}

_TEXT = """\
version 17.3
hostname {name}
crypto ikev2 keyring KR
 peer OTHER
  address {far}
  pre-shared-key {key}
!
crypto ikev2 profile default
 match identity remote address {far} 255.255.255.255
 authentication local pre-share
 authentication remote pre-share
 keyring local KR
!
crypto ipsec profile default
 set ikev2-profile default
!
interface Tunnel0
 ip address {inner} 255.255.255.252
 tunnel source {near}
 tunnel destination {far}
 tunnel protection ipsec profile default
!
ip route {network} {mask} Tunnel0
"""


def configuration(name: str, near: str, far: str, inner: str, network: str, key: str = KEY) -> str:
    """A FlexVPN site with smart defaults, GRE in transport mode."""
    prefix = network.partition("/")[0]
    return _TEXT.format(name=name, near=near, far=far, inner=inner, network=prefix, mask="255.255.255.0", key=key)


R1 = configuration("R1", WAN_A, WAN_B, "172.16.0.1", NET_B)
R2 = configuration("R2", WAN_B, WAN_A, "172.16.0.2", NET_A)


def ikescope(*arguments: str) -> list[str]:
    """The command line of ikescope as the tests run it."""
    return [sys.executable, "-m", "ikescope", *arguments]


def start(
    namespace: Namespace, text: str, directory: Path, name: str, *options: str, patience: float = 15.0
) -> Process:
    """Start a router in a namespace, its control socket in `directory`; wait until it is ready."""
    directory.mkdir(parents=True, exist_ok=True)
    file = directory / f"{name}.cfg"
    file.write_text(text)
    argv = ikescope("run", "--control", str(directory), *options, str(file))
    process = namespace.start(*argv, directory=directory, name=name, env=PYTHON)
    process.wait_for(r"^\w+ is ready: ", patience)
    return process
