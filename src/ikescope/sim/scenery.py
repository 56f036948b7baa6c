"""Two routers' configurations out of a seed, as the text that an operator would write."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from ikescope.sim.world import SeededRandom

T = TypeVar("T")
NAMES = ("R1", "R2")
SECRET = "a-key-of-the-simulation"

_IKE = (
    ("aes-cbc-256", "integrity sha512"),
    ("aes-cbc-128", "integrity sha256"),
    ("aes-cbc-256", "integrity sha384"),
    ("aes-gcm-128", "prf sha256"),
    ("aes-gcm-256", "prf sha384"),
    ("chacha20-poly1305", "prf sha256"),
)
_ESP = (
    "esp-aes 256 esp-sha512-hmac",
    "esp-aes esp-sha256-hmac",
    "esp-gcm",
    "esp-gcm 256",
    "esp-chacha20-poly1305",
)
_GROUPS = (14, 19, 20, 21, 31)
_GLOBAL = (
    (),
    ("crypto ikev2 fragmentation",),
    ("crypto ikev2 fragmentation mtu 300",),
    ("crypto ikev2 cookie-challenge 0",),
    ("crypto ikev2 window 20", "crypto ikev2 fragmentation mtu 400"),
    ("crypto ikev2 window 1",),
)
_PROFILE = ((), (), (" ikescope childless allow",), (" ikescope childless prefer",))
_ANEW = ((), (), (), (" ikescope reauthentication 120",), (" ikescope reauthentication 300",))
_IKE_LIFETIMES, _CHILD_LIFETIMES = (120, 180, 300, 600, 86400), (30, 45, 60, 120, 3600)


class Dice:
    """Choices that follow from a seed."""

    def __init__(self, seed: str) -> None:
        self._octets = SeededRandom(seed)

    def below(self, limit: int) -> int:
        """A number from 0 up."""
        return int.from_bytes(self._octets(4), "big") % limit

    def pick(self, among: Sequence[T]) -> T:
        """One of these."""
        return among[self.below(len(among))]

    def chance(self, percent: int) -> bool:
        """True so often."""
        return self.below(100) < percent

    def between(self, low: float, high: float) -> float:
        """A number of an interval."""
        return low + (high - low) * self.below(1 << 24) / (1 << 24)


@dataclass(frozen=True, slots=True)
class Side:
    """What one router's configuration says."""

    proposals: tuple[tuple[str, str, tuple[int, ...]], ...]
    sets: tuple[str, ...]
    pfs: int | None
    ike_lifetime: int
    child_lifetime: int
    force_encap: bool
    dpd: str


@dataclass(frozen=True, slots=True)
class Scene:
    """What both have in common: the tunnels. `selectors` counts those of the second tunnel's list, 0 without it."""

    sides: tuple[Side, Side]
    gre: bool
    transport: bool
    selectors: int
    behind: tuple[str, ...] = ()
    """Who is behind a NAT; the other knows the public address of it."""
    extras: tuple[tuple[str, ...], tuple[str, ...]] = ((), ())
    """Further lines of either router: of the whole one, and (indented) of its profile."""

    @property
    def thirds(self) -> tuple[int, ...]:
        """The third octets of the LANs that traffic is offered for: 0 by the first tunnel, others by the second."""
        return tuple(range(1 + self.selectors))


def scene(dice: Dice) -> Scene:
    """A pair of configurations that agree somewhere, whatever else differs."""
    common = (*dice.pick(_IKE), (dice.pick(_GROUPS),))
    shared, pfs = dice.pick(_ESP), dice.pick((None, None, 19, 31, 14))
    first = _side(dice, common, shared, pfs)
    second = first if dice.chance(40) else _side(dice, common, shared, pfs)
    gre = dice.chance(60)
    # A tunnel without an access list in ipsec mode takes all traffic: a second one beside it would be ambiguous.
    return Scene((first, second), gre, gre and dice.chance(80), dice.pick((0, 0, 1, 2, 3)) if gre else 0)


def _side(dice: Dice, common: tuple[str, str, tuple[int, ...]], shared: str, pfs: int | None) -> Side:
    groups = common[2]
    if dice.chance(30):
        other = dice.pick([group for group in _GROUPS if group not in groups])
        groups = dice.pick(((*groups, other), (other, *groups)))
    proposals = [(common[0], common[1], groups)]
    if dice.chance(30):
        proposals.insert(dice.below(2), (*dice.pick(_IKE), (dice.pick(_GROUPS),)))
    sets = [shared]
    if dice.chance(30):
        sets.insert(dice.below(2), dice.pick([one for one in _ESP if one != shared]))
    dpd = dice.pick(("20 5 periodic", "30 4 periodic", "20 5 on-demand", ""))
    return Side(
        tuple(proposals),
        tuple(sets),
        pfs,
        dice.pick(_IKE_LIFETIMES),
        dice.pick(_CHILD_LIFETIMES),
        dice.chance(20),
        dpd,
    )


def behind_nat(scene: Scene, dice: Dice) -> Scene:
    """Some scenes have a NAT before one end or both, and periodic liveness, without which nobody notices a crash."""
    behind = dice.pick(((), (), (), (), (), (), (), ("R1",), ("R2",), NAMES))
    if not behind:
        return scene
    first, second = (replace(side, dpd="20 5 periodic") for side in scene.sides)
    # GRE in tunnel mode has the private address in selectors that nobody substitutes: it takes transport mode.
    return replace(scene, sides=(first, second), transport=scene.gre, behind=behind)


def with_extras(scene: Scene, dice: Dice) -> Scene:
    """What else a router may say: fragmentation, cookies, windows, IKE_AUTH without a Child SA."""
    first, second = ((*dice.pick(_GLOBAL), *dice.pick(_PROFILE)) for _ in NAMES)
    return replace(scene, extras=(first, second))


def with_reauthentication(scene: Scene, dice: Dice) -> Scene:
    """Some ends authenticate anew, make before break; now and then both."""
    first, second = scene.extras
    return replace(scene, extras=((*first, *dice.pick(_ANEW)), (*second, *dice.pick(_ANEW))))


def text(scene: Scene, name: str) -> str:
    """The configuration of R1 or R2."""
    side = scene.sides[NAMES.index(name)]
    us, them = ("1", "2") if name == "R1" else ("2", "1")
    extras = scene.extras[NAMES.index(name)]
    lines = [f"hostname {name}", *(line for line in extras if not line.startswith(" "))]
    for number, (encryption, integrity, groups) in enumerate(side.proposals):
        lines += [f"crypto ikev2 proposal P{number}", f" encryption {encryption}", f" {integrity}"]
        lines.append(f" group {' '.join(map(str, groups))}")
    lines += ["crypto ikev2 policy PO", *(f" proposal P{number}" for number in range(len(side.proposals)))]
    lines += ["crypto ikev2 keyring K", " peer THEM", f"  address 192.0.2.{them}", f"  pre-shared-key {SECRET}"]
    match = "any" if scene.behind else f"address 192.0.2.{them} 255.255.255.255"
    lines += ["crypto ikev2 profile PR", f" match identity remote {match}"]
    lines += [" authentication remote pre-share", " authentication local pre-share", " keyring local K"]
    lines += [f" lifetime {side.ike_lifetime}"]
    lines += [f" dpd {side.dpd}"] if side.dpd else []
    lines += [" nat force-encap"] if side.force_encap else []
    lines += [line for line in extras if line.startswith(" ")]
    mode = "transport" if scene.transport else "tunnel"
    for number, words in enumerate(side.sets):
        lines += [f"crypto ipsec transform-set TS{number} {words}", f" mode {mode}"]
    lines += ["crypto ipsec profile IP", f" set transform-set {' '.join(f'TS{n}' for n in range(len(side.sets)))}"]
    lines += [" set ikev2-profile PR", f" set security-association lifetime seconds {side.child_lifetime}"]
    lines += [f" set pfs group{side.pfs}"] if side.pfs else []
    lines += _tunnel(0, us, them, "" if scene.gre else " tunnel mode ipsec ipv4", 0)
    if scene.selectors:
        lines += _tunnel(1, us, them, " tunnel mode ipsec ipv4", scene.selectors)
    lines += ["interface GigabitEthernet1", f" ip address {inside(scene, name)} 255.255.255.0"]
    return "\n".join([*lines, "end", ""])


def _tunnel(number: int, us: str, them: str, mode: str, selectors: int) -> list[str]:
    lines = [f"interface Tunnel{number}", f" ip address 10.0.{number}.{us} 255.255.255.252"]
    lines += [" tunnel source GigabitEthernet1", f" tunnel destination 192.0.2.{them}", *([mode] if mode else [])]
    lines += [f" tunnel protection ipsec policy ipv4 ACL{number}"] if selectors else []
    lines.append(" tunnel protection ipsec profile IP")
    if selectors:
        lines.append(f"ip access-list extended ACL{number}")
        lines += [f" permit ip 10.{us}.{n}.0 0.0.0.255 10.{them}.{n}.0 0.0.0.255" for n in range(1, selectors + 1)]
    thirds = range(1, selectors + 1) if selectors else (0,)
    return lines + [f"ip route 10.{them}.{n}.0 255.255.255.0 Tunnel{number}" for n in thirds]


def inside(scene: Scene, name: str) -> str:
    """A router's own address: a private one behind a NAT."""
    us = "1" if name == "R1" else "2"
    return f"10.99.{us}.1" if name in scene.behind else outside(name)


def outside(name: str) -> str:
    """The address that the other end knows."""
    return f"192.0.2.{name[1:]}"
