"""A dozen faults with strongSwan: what our recording alone shows, on which side, and the lines for swanctl.conf."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from tests.support.ikescope import PSK, Ikescope, Site
from tests.support.netns import HOST_B, Topology
from tests.support.peering import OURS, Peer, Run, Start
from tests.support.process import wait_until
from tests.support.strongswan import Connection, Strongswan
from tests.support.vici import ViciError

from ikescope.explain.findings import Finding, findings
from ikescope.explain.findings.lines import KEY
from ikescope.timeline import Timeline

SETTINGS = "  send_vendor_id = yes\n"
PLACES = {"<name>": "peer", "<child>": "net"}


def same(connection: Connection) -> Connection:
    """A connection as it is."""
    return connection


def child(**changes: Any) -> Callable[[Connection], Connection]:
    """Another child in a connection."""
    return lambda connection: replace(connection, children=(replace(connection.children[0], **changes),))


def other(**changes: Any) -> Callable[[Connection], Connection]:
    """Other settings of a connection."""
    return lambda connection: replace(connection, **changes)


def pings(net: Topology, ours: Ikescope, peer: Strongswan) -> None:
    """A host behind our router asks for the tunnel; it does not come up."""
    assert net.host_a.ping(HOST_B, count=1, wait=0.2).lost == 1


def initiates(net: Topology, ours: Ikescope, peer: Strongswan) -> None:
    """The peer asks for the tunnel; it does not come up."""
    with pytest.raises(ViciError):
        peer.initiate()


def up(net: Topology, ours: Ikescope, peer: Strongswan) -> None:
    """The tunnel comes up, by a packet of ours."""
    assert net.host_a.ping(HOST_B).lost == 0


def we_rekey(net: Topology, ours: Ikescope, peer: Strongswan) -> None:
    """Up; then we rekey the Child SA."""
    up(net, ours, peer)
    ours.command("test crypto ikev2 rekey child")


def they_rekey(net: Topology, ours: Ikescope, peer: Strongswan) -> None:
    """Up; then strongSwan rekeys the Child SA."""
    up(net, ours, peer)
    peer.rekey(child="net")


def they_delete(net: Topology, ours: Ikescope, peer: Strongswan) -> None:
    """Up; then strongSwan deletes the IKE SA."""
    up(net, ours, peer)
    peer.terminate(ike="peer")


def they_die(net: Topology, ours: Ikescope, peer: Strongswan) -> None:
    """Up; then strongSwan is killed, and we look for it."""
    up(net, ours, peer)
    peer.kill()
    net.host_a.ping(HOST_B, count=1, wait=0.2)


@dataclass(frozen=True)
class Fault:
    """A fault: its id and side as our recording has them, strongSwan's connection, our site, what is done.

    `mends`: there are lines for swanctl.conf, and they bring the tunnel up. (An answer to IKE_SA_INIT that is but an
    error has no vendor ID: who sent it is not known.)
    """

    id: str
    side: str
    act: Callable[[Topology, Ikescope, Strongswan], None]
    change: Callable[[Connection], Connection] = same
    ours: Site = field(default_factory=lambda: OURS)
    mends: bool = True


ELSEWHERE = "10.9.0.0/24"
PFS = replace(OURS, esp="aes128gcm16-x25519")
FAULTS = {
    "ike, ours asks": Fault(
        "ike-proposal-mismatch", "peer", pings, other(proposals=("aes256-sha256-ecp256",)), mends=False
    ),
    "ike, theirs asks": Fault(
        "ike-proposal-mismatch", "local", initiates, other(proposals=("aes256-sha256-modp2048",))
    ),
    "esp, ours asks": Fault("esp-proposal-mismatch", "peer", pings, child(esp_proposals=("aes256-sha256",))),
    "esp, theirs asks": Fault("esp-proposal-mismatch", "local", initiates, child(esp_proposals=("aes256-sha256",))),
    "key, ours asks": Fault("psk-mismatch", "unknown", pings, other(psk="another-key")),
    "key, theirs asks": Fault("psk-mismatch", "unknown", initiates, other(psk="another-key")),
    "identity, ours asks": Fault("identity-mismatch", "local", pings, other(local_id="right.example")),
    "identity, theirs asks": Fault("identity-mismatch", "local", initiates, other(local_id="right.example")),
    "selectors, ours asks": Fault("ts-mismatch", "peer", pings, child(local_ts=(ELSEWHERE,))),
    "selectors, theirs asks": Fault("ts-mismatch", "local", initiates, child(local_ts=(ELSEWHERE,))),
    "pfs, ours rekeys": Fault("pfs-mismatch", "peer", we_rekey, ours=PFS, mends=False),
    "pfs, theirs rekeys": Fault("pfs-mismatch", "local", they_rekey, ours=PFS, mends=False),
    "they delete": Fault("peer-deleted", "peer", they_delete, mends=False),
    "they die": Fault("peer-dead", "peer", they_die, ours=replace(OURS, profile=("dpd 10 2 on-demand",)), mends=False),
}


def found(ours: Ikescope) -> list[Finding]:
    """What our recording alone shows, above a note or not."""
    return findings(Timeline().extend(ours.records()), ours.name)


def applied(connection: Connection, lines: Iterable[str]) -> tuple[dict[str, Any], str]:
    """The connection of strongSwan with lines of swanctl.conf in it, and the key that they set, if they set one."""
    tree: dict[str, Any] = connection.tree()
    path: list[str] = []
    key = connection.psk
    for line in lines:
        words = line.strip()
        if words.endswith("{"):
            path.append(words.removesuffix("{").strip())
        elif words == "}":
            path.pop()
        elif path[0] == "secrets":
            key = PSK if words.replace('"', "") == f"secret = {KEY}" else key
        else:
            name, _, value = words.partition(" = ")
            place = tree
            for section in path[1:]:
                place = place[PLACES.get(section, section)]
            place[name] = [one.strip() for one in value.split(",")] if isinstance(place[name], list | tuple) else value
    return tree, key


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_found_in_our_recording(net: Topology, charon: Start, router: Run, site: Peer, name: str) -> None:
    """The finding, its side, and lines of swanctl.conf for strongSwan, which bring the tunnel up where they are all."""
    fault = FAULTS[name]
    peer = charon(net.gw_b, settings=SETTINGS)
    connection = fault.change(site("b"))
    peer.load(connection)
    ours = router(fault.ours)
    fault.act(net, ours, peer)
    wait_until(f"{fault.id} in our recording", lambda: any(one.id == fault.id for one in found(ours)), 40.0)
    worse = [one for one in found(ours) if one.severity != "note" or one.id == fault.id]
    assert [(one.id, one.side) for one in worse] == [(fault.id, fault.side)], worse
    assert worse[0].evidence
    if not fault.mends:
        return
    (remedy,) = [one for one in worse[0].remedy if one.syntax == "swanctl"]
    assert remedy.side == "peer"
    tree, key = applied(connection, remedy.lines)
    peer.request("load-shared", replace(connection, psk=key).secret())
    peer.request("load-conn", tree)
    peer.initiate()
    assert net.host_b.ping("10.1.0.2", count=1).lost == 0 or net.host_a.ping(HOST_B, count=2).lost == 0
