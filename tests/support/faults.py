"""Every fault of the matrix, one row each: what is wrong with a pair of routers or with the way between them.

A row says which finding each viewpoint must make of it; `tests.support.matrix` stages and judges.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Literal

from tests.support.world import ADDRESSES, BOTH, Pair, Side

from ikescope.engine.commands import Clear, Intent, Rekey
from ikescope.esp.packet import Echo, make_echo
from ikescope.sim.nat import Nat
from ikescope.sim.world import Mail, World

Knower = Literal["initiator", "responder", "faulty", "healthy", "R1", "R2", "any", "both"]
"""Who holds the facts: one role, the end with the wrong line or the other one, a router, whoever looks, or only who
looks from both ends."""
ROUND = 12.0
"""Seconds in which an attempt comes up or is refused."""
SILENCE = 300.0
"""Seconds in which a request is given up."""


@dataclass
class Scene(Pair):
    """A pair, perhaps with a NAT box before R1."""

    nat: Nat | None = None


def ask(pair: Pair, seconds: float = ROUND) -> None:
    """A host behind R1 pings one behind R2, and time passes."""
    pair.ping("R1")
    pair.world.run(seconds)


def asks(seconds: float) -> Callable[[Pair], None]:
    """Ping, and let so many seconds pass."""
    return lambda pair: ask(pair, seconds)


@dataclass(frozen=True)
class Fault:
    """One row: the healthy end, the faulty end, the network, what is done, and what must be found.

    `side`: `either` where two lists differ and any end may change, `faulty`, `healthy`, `path`, `unknown`, or a router.
    `blind`: what a viewpoint without the facts may find instead ("" stands for nothing at all). `at`: the router that
    is faulty in the row, for a fault that has no other role. `heals`: its IOS remedy brings the tunnel up.
    """

    id: str
    side: str
    good: Side = field(default_factory=Side)
    bad: Side = field(default_factory=Side)
    knows: Knower = "any"
    blind: frozenset[str] = frozenset()
    act: Callable[[Pair], None] = ask
    healed: Callable[[Pair], None] = ask
    impairments: tuple[str, ...] = ()
    weather: Callable[[World], None] | None = None
    nat: bool = False
    at: tuple[str, ...] = BOTH
    heals: bool = True

    def known(self, faulty: str, who: tuple[str, ...]) -> bool:
        """Whether these routers hold the facts when `faulty` is the faulty end; R1 begins."""
        if self.knows in ("any", "both"):
            return self.knows == "any" or len(who) == 2
        other = "R2" if faulty == "R1" else "R1"
        ends = {"initiator": "R1", "responder": "R2", "faulty": faulty, "healthy": other}
        return ends.get(self.knows, self.knows) in who

    def sides(self, faulty: str, judge: str) -> frozenset[str]:
        """The sides that are right for whoever judges."""
        other = "R2" if faulty == "R1" else "R1"
        if self.side == "either":
            return frozenset({"local", "peer"})
        router = {"faulty": faulty, "healthy": other}.get(self.side, self.side)
        if router in BOTH:
            return frozenset({"local" if router == judge else "peer"})
        return frozenset({router})


# What is done to a pair, and to what passes between them.


def both_nets(pair: Pair) -> None:
    """Hosts of two networks behind R1 ping: one of them is in whatever access list it has."""
    pair.ping("R1", third=5)
    pair.world.run(1)
    ask(pair)


def rekeys(pair: Pair) -> None:
    """Up, past the rekey of a Child SA that lives two minutes, and one more ping."""
    ask(pair)
    pair.world.run(130)
    ask(pair)


def intends(router: str, *intents: Intent, seconds: float = 5.0) -> Callable[[Pair], None]:
    """Up; then an operator asks something of a router, and time passes."""

    def act(pair: Pair) -> None:
        ask(pair)
        for intent in intents:
            pair.ask(router, intent)
        pair.world.run(seconds)

    return act


def crossing(pair: Pair) -> None:
    """Up; then both ends rekey the Child SA at the same moment."""
    ask(pair)
    spis = {name: pair.one_child(name).inbound for name in BOTH}
    for name in BOTH:
        pair.ask(name, Rekey(spi=spis[name]))
    pair.world.run(130)
    ask(pair)


def dies(pair: Pair) -> None:
    """Up; then R2 is gone and says nothing; traffic goes on."""
    ask(pair)
    pair.world.remove("R2")
    for _ in range(30):
        ask(pair, 10)


def rebinds(pair: Pair) -> None:
    """Up through a NAT; then the box forgets its mappings; traffic goes on."""
    ask(pair)
    assert isinstance(pair, Scene) and pair.nat is not None
    pair.nat.rebind()
    for _ in range(6):
        ask(pair, 10)


def forgets(pair: Pair) -> None:
    """Up; then R2 drops its SAs and the Delete is lost; R1 goes on sending for six minutes."""
    ask(pair)
    pair.world.impairments.append(lambda mail: () if mail.kind == "ike" else None)
    pair.ask("R2", Clear(fast=True))
    for _ in range(36):
        ask(pair, 10)


def replays(pair: Pair) -> None:
    """Up; then for a minute all that R1 ever sent of ESP arrives again, as after a restart that counts anew."""
    ask(pair)
    for _ in range(20):
        ask(pair, 3)
        old = [mail for mail in pair.world.mail if mail.kind == "esp" and mail.path.local == ADDRESSES["R1"]]
        for mail in old:
            pair.world.arrive(mail)


def large_and_small(pair: Pair) -> None:
    """Up; for a minute and a half small packets and large ones."""
    for number in range(30):
        ask(pair, 3)
        echo = Echo(ip_address("10.1.0.9"), ip_address("10.2.0.9"), False, 8, number, bytes(1250))
        pair.world.inject("R1", make_echo(echo))


def traffic(pair: Pair) -> None:
    """Up, then traffic for two minutes."""
    for _ in range(24):
        ask(pair, 5)


def no_esp(world: World) -> None:
    """ESP does not pass, IKE does."""
    world.impairments.append(lambda mail: () if mail.kind != "ike" else None)


def no_4500(world: World) -> None:
    """Nothing passes on UDP 4500."""
    world.impairments.append(lambda mail: () if mail.path.remote_port == 4500 else None)


def keep_esp(world: World) -> None:
    """Keep what is sent."""
    world.keep_mail = True


def small_esp(world: World) -> None:
    """ESP packets of more than 1,000 octets are lost."""
    world.impairments.append(lambda mail: () if mail.kind == "esp" and len(mail.octets) > 1000 else None)


def small_only(octets: int) -> Callable[[World], None]:
    """IKE datagrams of more than so many octets are lost."""

    def weather(world: World) -> None:
        def fate(mail: Mail) -> Iterable[float] | None:
            return () if mail.kind == "ike" and len(mail.octets) > octets else None

        world.impairments.append(fate)

    return weather


ACL = ("10.{us}.5.0 0.0.0.255 10.{them}.5.0 0.0.0.255",)
NOTIFIED = frozenset({"psk-mismatch"})
QUIET = frozenset({"no-response", "response-lost", "port-4500-blocked", "large-messages-lost"})
ACLED = Side(mode="acl")

FAULTS: dict[str, Fault] = {
    "ike group": Fault("ike-proposal-mismatch", "either", Side(), Side(groups=(14,)), "responder", act=asks(40)),
    "ike encryption": Fault("ike-proposal-mismatch", "either", Side(), Side(ike="modp"), "responder", act=asks(40)),
    "ike aead": Fault("ike-proposal-mismatch", "either", Side(), Side(ike="gcm"), "responder", act=asks(40)),
    "esp suite": Fault(
        "esp-proposal-mismatch", "either", Side(), Side(esp="gcm"), "responder", blind=frozenset({"ts-mismatch"})
    ),
    "esp integrity": Fault(
        "esp-proposal-mismatch", "either", Side(), Side(esp="sha256"), "responder", blind=frozenset({"ts-mismatch"})
    ),
    "key": Fault("psk-mismatch", "unknown", Side(), Side(key="another")),
    "no key for the peer": Fault(
        "psk-mismatch",
        "faulty",
        Side(),
        Side(keyring_address="203.0.113.9"),
        "faulty",
        blind=QUIET | {"", "exchange-failed"},
    ),
    "identity not expected": Fault(
        "identity-mismatch", "either", Side(), Side(match="address 9.9.9.9"), "faulty", blind=NOTIFIED
    ),
    "identity of another name": Fault(
        *("identity-mismatch", "either", Side(match="fqdn right.example"), Side(identity="fqdn wrong.example")),
        *("healthy", NOTIFIED),
        heals=False,
    ),
    "selectors": Fault(
        *("ts-mismatch", "either", ACLED, Side(mode="acl", selectors=ACL), "responder"),
        act=both_nets,
        healed=both_nets,
    ),
    "gre against ipsec": Fault("ts-mismatch", "either", Side(mode="gre"), ACLED, "responder"),
    "pfs of one end": Fault(
        *("pfs-mismatch", "either", Side(child_lifetime=120), Side(child_lifetime=3600, pfs=19)),
        act=asks(115),
        healed=rekeys,
    ),
    "nobody there": Fault(
        *("no-response", "path"),
        knows="R1",
        blind=frozenset({""}),
        impairments=("block",),
        act=asks(SILENCE),
        at=("R2",),
        heals=False,
    ),
    "first answers lost": Fault(
        *("response-lost", "path"),
        blind=QUIET,
        impairments=("drop response IKE_SA_INIT",),
        act=asks(SILENCE),
        at=("R2",),
        heals=False,
        knows="responder",
    ),
    "port 4500": Fault(
        *("port-4500-blocked", "path", Side(force_encap=True), Side(force_encap=True)),
        weather=no_4500,
        act=asks(SILENCE),
        blind=QUIET,
        at=("R2",),
        heals=False,
    ),
    "large messages": Fault(
        *("large-messages-lost", "path", Side(identity=f"key-id {'x' * 1200}"), Side(identity=f"key-id {'x' * 1200}")),
        knows="R1",
        weather=small_only(1280),
        act=asks(SILENCE),
        blind=QUIET,
        at=("R2",),
    ),
    "a NAT that forgets": Fault(
        "nat-rebinding",
        "path",
        ACLED,
        ACLED,
        "R2",
        nat=True,
        act=rebinds,
        blind=frozenset({""}),
        at=("R2",),
        heals=False,
    ),
    "the peer dies": Fault(
        *("peer-dead", "R2", Side(dpd="10 2 on-demand"), Side(dpd="10 2 on-demand"), "R1"),
        blind=frozenset({""}),
        act=dies,
        at=("R2",),
        heals=False,
    ),
    "the peer deletes": Fault(
        *("peer-deleted", "R2"), act=intends("R2", Clear()), knows="R1", blind=frozenset({""}), at=("R2",), heals=False
    ),
    "one end forgets": Fault(
        *("half-open-leak", "R1"), act=forgets, knows="R2", blind=frozenset({""}), at=("R1",), heals=False
    ),
    "counted anew": Fault(
        *("replay-after-restart", "R1"),
        act=replays,
        weather=keep_esp,
        knows="R2",
        blind=frozenset({"", "up-no-traffic"}),
        at=("R1",),
        heals=False,
    ),
    "large packets": Fault(
        *("mtu-hole", "path"),
        act=large_and_small,
        weather=small_esp,
        knows="both",
        blind=frozenset({""}),
        at=("R2",),
        heals=False,
    ),
    "a NAT that one end sees": Fault(
        *("nat-one-sided", "path"),
        impairments=("from R1 omit-notify 16388 request IKE_SA_INIT", "from R1 omit-notify 16389 request IKE_SA_INIT"),
        knows="both",
        blind=frozenset({""}),
        at=("R2",),
        heals=False,
    ),
    "IKE weaker than ESP": Fault(
        "sa-strength", "unknown", Side(ike="gcm"), Side(ike="gcm"), blind=frozenset({""}), at=("R2",), heals=False
    ),
    "up and no traffic": Fault(
        "up-no-traffic", "path", knows="R1", act=traffic, weather=no_esp, blind=frozenset({""}), at=("R2",), heals=False
    ),
    "the group guessed wrong": Fault(
        "wrong-dh-group-retry", "R1", Side(), Side(groups=(14, 19)), at=("R1",), heals=False
    ),
    "a payload that must be understood": Fault(
        *("exchange-refused", "R1"),
        impairments=("from R1 add-unknown critical request IKE_AUTH",),
        blind=frozenset({"psk-mismatch", "exchange-failed"}),
        at=("R1",),
        heals=False,
    ),
    "the host refuses": Fault(
        *("data-plane-refused", "R2"),
        impairments=("from R2 refuse inbound",),
        knows="R2",
        blind=frozenset({"esp-proposal-mismatch", "peer-deleted"}),
        at=("R2",),
        heals=False,
    ),
}
"""Every fault that can be staged here, by its name."""

UNSTAGED = {
    "auth-method-mismatch": "ikescope has no method but pre-shared keys, so no end can be configured for another; "
    "`ikescope demo --break method` has an AUTH that says RSA signature",
    "certificate-chain": "ikescope has no certificates; read from logs, and tested with records made by hand",
    "http-url-cert": "ikescope has no certificates, so it sends no URL of one; the rule knows IOS's own words for it",
    "rekey-collision": "two ikescopes settle every crossing (RFC 7296 section 2.8.1), even where no Delete arrives; "
    "`ikescope demo --break collision` has two that compare other nonces, and none is left",
    "profile-not-found-noise": "IOS-XE alone says so on a healthy router; the engine never does",
    "exchange-failed": "what is left where a log holds no reason; `ikescope demo --break failed` has an answer that R1 "
    "cannot take, and of which R2 hears nothing",
    "Received PFKEY Invalid SPI": "no finding: an FTD says so at a rekey when ESP with the new SPI came before its "
    "data plane had it, and it passes; where ESP for an SPI that is gone goes on, that is half-open-leak",
}
"""What only logs of other routers show, and why it cannot be staged between two ikescopes."""

HEALTHY: dict[str, Fault] = {
    "up": Fault("", "", at=("R2",)),
    "rekeys of the Child SA": Fault("", "", Side(child_lifetime=120), Side(child_lifetime=120), act=rekeys),
    "rekeys of the IKE SA": Fault("", "", Side(ike_lifetime=120), Side(ike_lifetime=300), act=rekeys),
    "rekeys that cross": Fault("", "", act=crossing, at=("R2",)),
    "a lifetime of one end": Fault("", "", Side(child_lifetime=120), Side(), act=rekeys),
    "PFS": Fault("", "", Side(pfs=19, child_lifetime=120), Side(pfs=19), act=rekeys),
    "a guess too many": Fault("", "", Side(), Side(groups=(14, 19)), at=("R1",)),
    "messages lost": Fault("", "", impairments=("drop request IKE_SA_INIT 2", "drop response IKE_AUTH 1"), at=("R2",)),
    "messages twice": Fault("", "", impairments=("duplicate",), at=("R2",), act=rekeys),
    "messages late": Fault("", "", impairments=("delay response 3s",), act=asks(40), at=("R2",)),
    "a NAT": Fault("", "", ACLED, ACLED, nat=True, act=traffic, at=("R2",)),
    "cleared": Fault("", "", act=intends("R1", Clear()), at=("R2",)),
    "liveness": Fault("", "", Side(dpd="10 2 periodic"), Side(dpd="10 2 periodic"), act=asks(120), at=("R2",)),
    "IPv4 tunnel mode": Fault("", "", ACLED, ACLED, act=traffic, at=("R2",)),
}
"""Sessions in which nothing is wrong, whatever it looks like."""
