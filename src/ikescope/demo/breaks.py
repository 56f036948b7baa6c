"""What `--break` can stage: a row for each finding, with what is changed, what fails on the way, what is done."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import partial
from ipaddress import ip_address
from typing import TYPE_CHECKING

import msgspec

from ikescope.engine.commands import Rekey
from ikescope.esp.packet import Echo, make_echo
from ikescope.events.life import ChildSaCreated
from ikescope.sim.nat import Nat

if TYPE_CHECKING:
    from ikescope.demo.plan import Way
    from ikescope.demo.stage import Stage
    from ikescope.sim.world import World

Texts = Mapping[str, str]
Change = Callable[[Texts], dict[str, str]]
BEHIND, OUTSIDE = "172.16.0.1", "198.51.100.1"


def _replaced(text: str, pattern: str, line: str) -> str:
    found, count = re.subn(pattern, line, text, flags=re.MULTILINE)
    assert count, f"the tour's configuration has no line {pattern}"
    return found


def _as_it_is(pair: Texts) -> dict[str, str]:
    return dict(pair)


def _before(text: str, block: str, lines: str) -> str:
    """New lines before the first that begins with `block`."""
    return _replaced(text, rf"^({block}.*)$", lines.replace("\\", "") + r"\1")


def wrong_key(pair: Texts) -> dict[str, str]:
    """R2 with another pre-shared key than R1."""
    key = r"^(\s*pre-shared-key) \S+$"
    return {**pair, "R2": _replaced(pair["R2"], key, r"\1 some-other-key")}


def _proposal(encryption: str, group: str) -> str:
    return (
        f"crypto ikev2 proposal MODERN\n encryption {encryption}\n integrity sha512\n group {group}\n!\n"
        "crypto ikev2 policy MODERN\n proposal MODERN\n!\n"
    )


def other_proposal(pair: Texts) -> dict[str, str]:
    """R2 with a proposal of its own that shares no key exchange with the smart default."""
    return {**pair, "R2": _before(pair["R2"], "crypto ikev2 keyring", _proposal("aes-cbc-256", "20"))}


def other_group_first(pair: Texts) -> dict[str, str]:
    """R1 guesses a group that R2 does not have; both have another."""
    groups = {"R1": "14 19", "R2": "19"}
    return {
        name: _before(text, "crypto ikev2 keyring", _proposal("aes-cbc-256", groups[name]))
        for name, text in pair.items()
    }


def _transform_set(text: str, words: str) -> str:
    lines = f"crypto ipsec transform-set MODERN {words}\n mode transport\n!\n"
    text = _before(text, "crypto ipsec profile", lines)
    return _replaced(text, r"^(crypto ipsec profile \S+)$", r"\1\n set transform-set MODERN")


def other_esp(pair: Texts) -> dict[str, str]:
    """R2 with a transform set that R1 does not have."""
    return {**pair, "R2": _transform_set(pair["R2"], "esp-gcm 256")}


def strong_esp(pair: Texts) -> dict[str, str]:
    """Both with 128 bits for IKE and 256 for ESP."""
    return {
        name: _before(
            _transform_set(text, "esp-aes 256 esp-sha-hmac"), "crypto ikev2 keyring", _proposal("aes-cbc-128", "19")
        )
        for name, text in pair.items()
    }


def other_selectors(pair: Texts) -> dict[str, str]:
    """R2 with an access list that protects another network of R1's site than R1 does."""
    line = r"^( *\d+ permit ip \S+ \S+) (\d+\.\d+)\.\d+\.0 (0\.0\.0\.255)$"
    return {**pair, "R2": _replaced(pair["R2"], line, r"\1 \2.9.0 \3")}


_MATCH = r"^ match identity remote .*$"


def other_identity(pair: Texts) -> dict[str, str]:
    """R2 wants R1 to be somebody by name; R1 says its address."""
    return {**pair, "R2": _replaced(pair["R2"], _MATCH, " match identity remote fqdn r1.example.net")}


def one_pfs(pair: Texts) -> dict[str, str]:
    """R2 wants PFS, R1 has none and rekeys after ten seconds."""
    head = r"^(crypto ipsec profile \S+)$"
    soon = r"\1\n set security-association lifetime seconds 10"
    return {"R1": _replaced(pair["R1"], head, soon), "R2": _replaced(pair["R2"], head, r"\1\n set pfs group19")}


def encapsulated(pair: Texts) -> dict[str, str]:
    """Both with `nat force-encap`, so that IKE moves to port 4500 after its first exchange."""
    line = r"^(crypto ikev2 profile \S+)$"
    return {name: _replaced(text, line, r"\1\n nat force-encap") for name, text in pair.items()}


def no_liveness(pair: Texts) -> dict[str, str]:
    """Neither looks whether the other is there."""
    return {name: _replaced(text, r"^ dpd .*\n", "") for name, text in pair.items()}


def long_identities(pair: Texts) -> dict[str, str]:
    """Both with an identity of 1,200 octets, so that IKE_AUTH is larger than most paths carry in one datagram."""
    lines = rf" match identity remote any\n identity local key-id {'x' * 1200}"
    return {name: _replaced(text, _MATCH, lines) for name, text in pair.items()}


def behind_nat(pair: Texts) -> dict[str, str]:
    """R1 with a private address; it says the public one."""
    first = pair["R1"].replace(f"ip address {OUTSIDE} ", f"ip address {BEHIND} ")
    return {**pair, "R1": _replaced(first, r"^( match identity remote .*)$", rf"\1\n identity local address {OUTSIDE}")}


def _no_port(world: World, port: int) -> None:
    world.impairments.append(lambda mail: () if mail.path.remote_port == port else None)


def _no_larger(world: World, kind: str, octets: int) -> None:
    world.impairments.append(lambda mail: () if mail.kind == kind and len(mail.octets) > octets else None)


def _nat(world: World) -> None:
    Nat(world, ip_address(BEHIND), ip_address(OUTSIDE))


# What is done once the tunnel is up.


def _world(stage: Stage) -> World:
    """The world of a stage in memory, where alone these failures play."""
    found: World = stage.world  # type: ignore[attr-defined]  # the stage on a wire has none
    return found


def _refused(stage: Stage, way: Way) -> None:
    """Until a rekey was refused."""
    since = len(stage.records)
    stage.until(lambda: any(one.event.tag == "child.refused" for one in stage.records[since:]), 30.0)
    stage.rest(0.5)


def _crossed(stage: Stage, way: Way) -> None:
    """Both ends rekey the Child SA at once, and no packet comes for half a minute."""
    world = _world(stage)
    made = {one.stamp.router: one.event for one in stage.records if isinstance(one.event, ChildSaCreated)}
    for name, station in world.stations.items():
        station.node.request(Rekey(spi=int(str(made[name].inbound), 16), trigger="lifetime"), world.now)
    for station in world.stations.values():
        world.settle(station)
    stage.rest(30.0)


def _clear(stage: Stage, way: Way) -> None:
    stage.type("R2", "clear crypto ikev2 sa")
    stage.rest(1.0)


def _traffic(stage: Stage, way: Way) -> None:
    for _ in range(12):
        stage.ping(way.source, way.destination, 1, 1.0)
        stage.rest(4.0)


def _death(stage: Stage, way: Way) -> None:
    _world(stage).remove("R2")
    for _ in range(40):
        stage.ping(way.source, way.destination, 1, 1.0)
        stage.rest(9.0)


def _forgotten(stage: Stage, way: Way) -> None:
    """R2 drops its SAs, and from then on no IKE message passes: its Delete is lost."""
    impairments = _world(stage).impairments
    impairments.append(lambda mail: () if mail.kind == "ike" else None)
    stage.type("R2", "clear crypto ikev2 sa fast")
    for _ in range(36):
        stage.ping(way.source, way.destination, 1, 1.0)
        stage.rest(9.0)
    impairments.pop()


def _replayed(stage: Stage, way: Way) -> None:
    """All that R1 ever sent of ESP comes again, as from a router that counts anew."""
    world = _world(stage)
    for _ in range(14):
        stage.ping(way.source, way.destination, 1, 1.0)
        for mail in [one for one in world.mail if one.kind == "esp" and world.sender(one) == "R1"]:
            world.arrive(mail)
        stage.rest(4.0)


def _large(stage: Stage, way: Way) -> None:
    """Small packets and large ones for a minute and a half."""
    world = _world(stage)
    for number in range(30):
        stage.ping(way.source, way.destination, 1, 1.0)
        echo = Echo(ip_address(way.source), ip_address(way.destination), False, 8, number, bytes(1250))
        world.inject("R1", make_echo(echo))
        stage.rest(2.0)


def _rebound(stage: Stage, way: Way) -> None:
    """The box forgets, and traffic goes on."""
    nat = getattr(_world(stage).translations[0], "__self__")  # noqa: B009 - the box whose method it is
    nat.rebind()
    _traffic(stage, way)


class Break(msgspec.Struct, frozen=True):
    """A failure to stage: the finding's id, its title, what was done, the pair with it, the tunnel to ping through.

    `impair` and `weather`: what is wrong on the way (in memory alone); `act`: what is done once the tunnel is up, None
    where it never comes up; `slow`: on a wire it would take minutes; `silent`: what it means that the responder has
    nothing to tell; `from_start`: the lines to look at are those of the negotiation, though it came up; `settle`:
    seconds after which the mended tunnel is pinged again; `mends`: a ping shows that the remedy mends it; `by_hand`:
    no line of these two mends it, so the pair is shown without the fault; `before_ping`: what is judged ends before
    the last ping, whose packet asks for another Child SA.
    """

    id: str
    title: str
    what: str
    change: Change = _as_it_is
    way: int = 0
    impair: tuple[str, ...] = ()
    weather: Callable[[World], None] | None = None
    act: Callable[[Stage, Way], None] | None = None
    slow: bool = False
    silent: tuple[str, ...] = ()
    from_start: bool = False
    settle: float = 0.0
    mends: bool = True
    by_hand: bool = False
    before_ping: bool = False

    @property
    def in_memory(self) -> bool:
        """Whether it needs the world in memory."""
        return bool(self.slow or self.impair or self.weather)


BREAKS: dict[str, Break] = {
    "psk": Break(
        "psk-mismatch",
        "one wrong key",
        "The pre-shared keys that R1 and R2 hold for each other are not the same.",
        wrong_key,
    ),
    "proposal": Break(
        "ike-proposal-mismatch",
        "no common proposal",
        "R2 has a `crypto ikev2 proposal` of its own, with one key exchange group that R1 does not offer.",
        other_proposal,
    ),
    "selectors": Break(
        "ts-mismatch",
        "selectors that do not meet",
        "R2's access list SECOND is not the mirror of R1's: it names another network behind R1.",
        other_selectors,
        way=1,
    ),
    "port-4500": Break(
        "port-4500-blocked",
        "UDP 4500 does not pass",
        "Both have `nat force-encap`, so IKE moves to UDP 4500 after IKE_SA_INIT; a filter between them drops that.",
        encapsulated,
        weather=partial(_no_port, port=4500),
        slow=True,
        silent=(
            "R2 answered IKE_SA_INIT, waited for IKE_AUTH and gave up: not one IKE_AUTH request reached it.",
            "Its log looks as if R1 had been switched off; only R1 knows that it asked, how often, and on which port.",
        ),
    ),
    "esp": Break(
        "esp-proposal-mismatch",
        "no common transform set",
        "R2's IPsec profile has a transform set of its own, which R1 does not offer.",
        other_esp,
    ),
    "identity": Break(
        "identity-mismatch",
        "an identity that no profile matches",
        "R2's IKEv2 profile matches R1 by a name, and R1 says its address.",
        other_identity,
    ),
    "method": Break(
        "auth-method-mismatch",
        "a method that the profile does not want",
        "R1's AUTH says that it is an RSA signature, as of a router with `authentication local rsa-sig`; R2's profile "
        "has `authentication remote pre-share`.",
        impair=("from R1 auth-method 1 request IKE_AUTH",),
        by_hand=True,
    ),
    "failed": Break(
        "exchange-failed",
        "an answer that R1 cannot take",
        "R2's answer to IKE_AUTH lacks its identity, the payload IDr; R2 takes the tunnel to be up.",
        impair=("from R2 omit-idr response IKE_AUTH",),
        by_hand=True,
    ),
    "pfs": Break(
        "pfs-mismatch",
        "PFS at one end",
        "R2's IPsec profile has `set pfs group19`, R1's has none, and R1's SAs live ten seconds.",
        one_pfs,
        act=_refused,
        settle=12.0,
    ),
    "no-response": Break(
        "no-response",
        "nobody answers",
        "Nothing passes between R1 and R2.",
        impair=("block",),
        slow=True,
        silent=("R2 heard nothing, so it has nothing to tell: an empty log at one end says that the way is closed.",),
    ),
    "response-lost": Break(
        "response-lost",
        "the answers are lost",
        "R1's requests arrive at R2, and R2's answers to IKE_SA_INIT do not come back.",
        impair=("drop response IKE_SA_INIT",),
        slow=True,
    ),
    "large-messages": Break(
        "large-messages-lost",
        "large messages are lost",
        "Both have an identity of 1,200 octets and no fragmentation of IKE; IP fragments do not pass between them.",
        long_identities,
        weather=partial(_no_larger, kind="ike", octets=1280),
        slow=True,
    ),
    "refused": Break(
        "exchange-refused",
        "a payload that R2 must understand and does not",
        "R1's IKE_AUTH carries an unknown payload with the critical bit.",
        impair=("from R1 add-unknown critical request IKE_AUTH",),
    ),
    "one-sided-nat": Break(
        "nat-one-sided",
        "a NAT that one end alone looks for",
        "A box on the way takes the NAT detection out of what R1 sends.",
        impair=("from R1 omit-notify 16388 request IKE_SA_INIT", "from R1 omit-notify 16389 request IKE_SA_INIT"),
        act=_traffic,
        from_start=True,
    ),
    "rebinding": Break(
        "nat-rebinding",
        "a NAT that forgets",
        "R1 is behind a NAT; the tunnel is up when the box forgets its mappings.",
        behind_nat,
        weather=_nat,
        act=_rebound,
    ),
    "dead": Break("peer-dead", "the peer dies", "The tunnel is up when R2 loses its power.", act=_death, slow=True),
    "deleted": Break(
        "peer-deleted", "the peer deletes the SA", "The tunnel is up when somebody clears it at R2.", act=_clear
    ),
    "half-open": Break(
        "half-open-leak",
        "an SA of one end alone",
        "The tunnel is up when R2 drops its SAs; its Delete is lost, and neither has `dpd`.",
        no_liveness,
        act=_forgotten,
        slow=True,
    ),
    "replay": Break(
        "replay-after-restart",
        "packets that were there before",
        "The tunnel is up when ESP packets of R1 come again with old sequence numbers.",
        act=_replayed,
        slow=True,
    ),
    "mtu": Break(
        "mtu-hole",
        "large packets are lost",
        "The tunnel is up, and ESP packets of more than 1,000 octets do not pass.",
        weather=partial(_no_larger, kind="esp", octets=1000),
        act=_large,
        slow=True,
        mends=False,
    ),
    "no-traffic": Break(
        "up-no-traffic",
        "up, and nothing passes",
        "IKE passes, ESP does not.",
        weather=partial(_no_larger, kind="esp", octets=0),
        act=_traffic,
        slow=True,
    ),
    "collision": Break(
        "rekey-collision",
        "two rekeys that cross and leave none",
        "Both rekey the Child SA at once, and they compare other nonces: each takes its own new one for redundant and "
        "deletes it. The next packet has to ask for another.",
        impair=("zero-nonce response CREATE_CHILD_SA 2",),
        act=_crossed,
        before_ping=True,
    ),
    "group": Break(
        "wrong-dh-group-retry",
        "a guess too many",
        "R1 guesses group 14, R2 has group 19 alone; both have 19, so it costs one round and nothing more.",
        other_group_first,
        act=_traffic,
        from_start=True,
    ),
    "strength": Break(
        "sa-strength",
        "IKE weaker than ESP",
        "Both encrypt IKE with 128 bits and ESP with 256.",
        strong_esp,
        act=_traffic,
        from_start=True,
    ),
}
"""Every failure by the name that the command line takes."""


def listing() -> list[str]:
    """A line for each: its name, the finding that it ends in, what it is."""
    width = max(map(len, BREAKS))
    ids = max(len(one.id) for one in BREAKS.values())
    return [f"{name.ljust(width)}  {one.id.ljust(ids)}  {one.title}" for name, one in BREAKS.items()]


def named(word: str) -> str | None:
    """The name of a failure, by that or by the id of its finding; None for neither."""
    return next((name for name, one in BREAKS.items() if word in (name, one.id)), None)
