"""What is lost on purpose: packets at one place, or IKE between two gateways, whose ESP in UDP passes all the same."""

from collections.abc import Iterator
from contextlib import contextmanager

from tests.support.machine import PEERS
from tests.support.netns import Namespace, Topology
from tests.support.tshark import environment

NOTHING, REQUESTS, ALL = "nothing", "requests", "all"
NON_ESP = "udp dport 4500 @th,64,32 0"
RESPONSE = "@th,248,8 & 32 == 32"
"""The flags of an IKE header behind the non-ESP marker: 8 octets of UDP, 4 of the marker, the header's octet 19."""
DROPS = {NOTHING: ("udp dport 500", NON_ESP), REQUESTS: (f"{NON_ESP} {RESPONSE}",), ALL: ()}
RULES = """table ip {name}
delete table ip {name}
table ip {name} {{
  chain {hook} {{
    type filter hook {hook} priority filter; policy accept;
{drops}
  }}
}}
"""


def drop(namespace: Namespace, *matches: str, hook: str = "input", name: str = "hole") -> None:
    """Lose what matches (nft(8)) at a hook ("input", "forward") of a namespace from now on; without a match nothing."""
    drops = "\n".join(f"    {match} drop" for match in matches)
    nft = str(PEERS / "root" / "usr" / "sbin" / "nft")
    namespace.run(nft, RULES.format(name=name, hook=hook, drops=drops), env=environment())


class Gate:
    """Open at first. What is kept out is lost, as on a wire."""

    def __init__(self, net: Topology) -> None:
        self._net = net

    def arrives(self, *, at_a: str | None = None, at_b: str | None = None) -> None:
        """Let NOTHING of IKE arrive at a gateway, only REQUESTS, or ALL; None leaves it as it is."""
        for namespace, passing in ((self._net.gw_a, at_a), (self._net.gw_b, at_b)):
            if passing is not None:
                drop(namespace, *DROPS[passing], name="gate")


@contextmanager
def gated(net: Topology) -> Iterator[Gate]:
    """The gate of a topology; it is open again at the end, so that the ends can take leave of each other."""
    gate = Gate(net)
    try:
        yield gate
    finally:
        gate.arrives(at_a=ALL, at_b=ALL)
