"""Anonymised records say everything but whose they are: no original name, address, identity or SPI in any rendering."""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass
from ipaddress import ip_address
from typing import get_args

from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from tests.support.world import impair
from tests.support_records import Made

from ikescope.capture import from_records
from ikescope.engine.commands import Clear, Rekey
from ikescope.events import Record, Stamp
from ikescope.events.life import TaskFailed
from ikescope.events.router import CommandEntered, ConfigurationChanged, PlaneFailed
from ikescope.ios.configuration import load
from ikescope.ios.running import running_config
from ikescope.sim.world import World
from ikescope.timeline import Timeline
from ikescope.views.aliases import Aliases, in_order
from ikescope.views.anonymise import Anonymiser, anonymised, configuration
from ikescope.views.read import View, join, read, render
from ikescope.wire import Message

NAMES = ("KEYRINGQ", "PEERQ", "PROFILEQ", "POLICYQ", "PROPOSALQ", "TSETQ", "IPSECQ", "ACLQ")
TEXT = """\
hostname {host}
crypto ikev2 proposal PROPOSALQ
 encryption aes-cbc-256
 integrity sha512
 group 31
crypto ikev2 policy POLICYQ
 proposal PROPOSALQ
crypto ikev2 keyring KEYRINGQ
 peer PEERQ
  address {far}
  pre-shared-key {key}
crypto ikev2 profile PROFILEQ
 match identity remote {match}
 identity local {identity}
 authentication remote pre-share
 authentication local pre-share
 keyring local KEYRINGQ
 dpd 10 3 periodic
crypto ipsec transform-set TSETQ esp-gcm
 mode tunnel
crypto ipsec profile IPSECQ
 set transform-set TSETQ
 set ikev2-profile PROFILEQ
interface Tunnel0
 description the line to {other}
 ip address 172.31.9.{last} 255.255.255.252
 tunnel source GigabitEthernet1
 tunnel destination {far}
 tunnel mode ipsec ipv4
 tunnel protection ipsec policy ipv4 ACLQ
 tunnel protection ipsec profile IPSECQ
ip access-list extended ACLQ
 permit ip {inside} 0.0.0.255 {outside} 0.0.0.255
interface GigabitEthernet1
 ip address {near} 255.255.255.0
ip route {outside} 255.255.255.0 Tunnel0
"""


@dataclass(frozen=True)
class Whose:
    """What a session must not tell."""

    hosts: tuple[str, str]
    ends: tuple[str, str]
    insides: tuple[str, str]
    identities: tuple[str, str]
    matches: tuple[str, str] = ("any", "any")
    keys: tuple[str, str] = ("a key", "a key")

    def text(self, side: int) -> str:
        """A router's configuration."""
        other = 1 - side
        return TEXT.format(
            host=self.hosts[side],
            other=self.hosts[other],
            near=self.ends[side],
            far=self.ends[other],
            inside=self.insides[side],
            outside=self.insides[other],
            identity=self.identities[side],
            match=self.matches[side],
            key=self.keys[side],
            last=side + 1,
        )

    def words(self) -> set[str]:
        """Names and identities."""
        values = {one.split()[1] for one in self.identities}
        return {*self.hosts, *NAMES, *{one for one in values if not _is_address(one)}, "quagga.example"}

    def addresses(self) -> set[str]:
        """Addresses, those of hosts that ping too."""
        hosts = {f"{inside.rpartition('.')[0]}.9" for inside in self.insides}
        return {*self.ends, *self.insides, *hosts, "172.31.9.1"}


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


DEFAULT = Whose(
    ("BRANCHQ", "CENTREQ"),
    ("198.51.100.7", "203.0.113.9"),
    ("10.71.0.0", "10.72.5.0"),
    ("fqdn branch.corp.quagga.example", "email admin@centre.quagga.example"),
)


def session(whose: Whose, *, spoilt: bool = False) -> World:
    """A tunnel's life: up, both rekeys, a retransmission, an operator's words, down; or a failure."""
    world = World("anonymise")
    for side in (0, 1):
        world.add(load(whose.text(side), name=f"{whose.hosts[side]}.cfg"))
    near, far = whose.hosts
    impair(world, lambda mail: True, (), times=1)
    source, target = (f"{inside.rpartition('.')[0]}.9" for inside in whose.insides)
    world.ping(near, source, target)
    world.run(6)
    station = world.stations[near]
    events = (
        CommandEntered(command=f"clear crypto ikev2 sa remote {whose.ends[1]}", who="alice"),
        ConfigurationChanged(
            lines=(f"crypto ikev2 profile {NAMES[2]}", f" description for {far}", " dpd 20 5 periodic")
        ),
        PlaneFailed(what=f"send to {whose.ends[1]}:500", why=f"no route for {far}"),
        TaskFailed(task="receive", traceback=f'File "/opt/{near}/ikescope/engine/x.py"\nValueError: {whose.ends[1]}'),
    )
    for event in events:
        station.node.emit(event, world.now)
    status = world.status(near)
    if not spoilt:
        world.ask(near, Rekey(sa=status.ike[0].id))
        world.run(2)
        world.ask(far, Rekey(spi=world.status(far).children[0].inbound))
        world.run(2)
        world.ask(near, Clear())
    world.run(8)
    return world


def renderings(records: list[Record]) -> dict[str, bytes]:
    """Every view of records, and every octet string that they hold."""
    found = {view: "\n".join(render(records, view)).encode() for view in get_args(View)}
    found["pcapng"] = from_records(records)
    blobs = [getattr(one.event, name, None) for one in records for name in ("octets", "opened")]
    found["octets"] = b"|".join(blob for blob in blobs if isinstance(blob, bytes))
    return found


def leaks(outputs: dict[str, bytes], words: set[str], addresses: set[str], spis: set[str]) -> list[str]:
    """Where something original stands, raw, in hexadecimal or (what is long enough to be sure) in base64."""
    secrets = {word: word.encode() for word in words} | {spi: bytes.fromhex(spi) for spi in spis}
    secrets |= {address: ip_address(address).packed for address in addresses}
    found = []
    for name, output in outputs.items():
        text = output.decode("latin-1")
        packed = re.sub(r"\s", "", text).lower()
        for secret, octets in secrets.items():
            plain = secret in text or secret.upper() in text
            if secret in addresses:
                plain = re.search(rf"(?<![\d.]){re.escape(secret)}(?![\d])", text) is not None
            coded = len(octets) > 4 and any(part in text for part in in_base64(octets))
            if plain or octets.hex() in packed or octets in output or coded:
                found.append(f"{secret} in {name}")
    return found


def in_base64(octets: bytes) -> list[str]:
    """What stands in a base64 text that holds these octets, whatever stands before and after them."""
    found = []
    for before in range(3):
        coded = base64.b64encode(bytes(before) + octets).decode().rstrip("=")
        found.append(coded[(before * 8 + 5) // 6 : (before + len(octets)) * 8 // 6])
    return found


def spis_of(records: list[Record]) -> set[str]:
    """Every SPI that a session knew."""
    timeline = Timeline().extend(records)
    found = {sa.spi_i for sa in timeline.ike.values()} | {str(sa.spi_r) for sa in timeline.ike.values()}
    for child in timeline.children.values():
        found |= {child.inbound, str(child.outbound)}
    return {spi for spi in found if len(spi) in (8, 16) and spi.strip("0")}


def check(whose: Whose, *, spoilt: bool = False) -> None:
    """Nothing of whose session it is stands in any rendering of it."""
    records = session(whose, spoilt=spoilt).records
    spis = spis_of(records)
    assert spoilt or len(spis) == 8
    before = renderings(records)
    assert len(leaks(before, whose.words() - {NAMES[5], NAMES[6], NAMES[7]}, whose.addresses(), spis)) > 20
    assert leaks(renderings(anonymised(records)), whose.words(), whose.addresses(), spis) == []


def test_nothing_original_is_in_any_rendering() -> None:
    """A whole life with names, domains, addresses, an operator's words, a failure of the host and a defect."""
    check(DEFAULT)


def test_a_failure_keeps_its_finding_and_loses_its_owner() -> None:
    """A wrong key: the verdict is the same sentence about others."""
    whose = Whose(DEFAULT.hosts, DEFAULT.ends, DEFAULT.insides, DEFAULT.identities, keys=("one key", "another"))
    check(whose, spoilt=True)
    records = session(whose, spoilt=True).records
    (line, *_), (meant, *_) = (list(render(one, "verdict")) for one in (anonymised(records), records))
    assert "the pre-shared keys differ" in line and "router-2" in line
    owner = (*whose.hosts, "branch.corp.quagga.example")
    for old, new in zip(owner, ("router-1", "router-2", "host-1.invalid"), strict=True):
        meant = meant.replace(old, new)
    assert re.sub(r"\d+(\.\d+){3}", "X", line) == re.sub(r"\d+(\.\d+){3}", "X", meant)


LABEL = st.text("abcdefghijklmnopqrstuvwxyz", min_size=6, max_size=12).map(lambda text: f"q{text}q")
OCTET = st.integers(1, 254)
OUTSIDE = st.tuples(st.sampled_from((5, 81, 198, 203)), OCTET, OCTET, OCTET)
INSIDE = st.tuples(st.sampled_from((10, 172)), OCTET, OCTET, st.just(0))
IDENTITY = st.one_of(
    LABEL.map(lambda name: f"fqdn {name}.{name}.example"),
    st.tuples(LABEL, LABEL).map(lambda pair: f"email {pair[0]}@{pair[1]}.example"),
    LABEL.map(lambda name: f"key-id {name}"),
)


def dotted(octets: tuple[int, ...]) -> str:
    """An address of its octets."""
    return ".".join(map(str, octets))


@settings(max_examples=4, deadline=None, derandomize=True, phases=[Phase.explicit, Phase.generate])
@given(
    st.lists(LABEL, min_size=2, max_size=2, unique=True),
    st.lists(OUTSIDE.map(dotted), min_size=2, max_size=2, unique=True),
    st.lists(INSIDE.map(dotted), min_size=2, max_size=2, unique=True),
    st.lists(IDENTITY, min_size=2, max_size=2, unique=True),
)
def test_whatever_is_configured_is_replaced(
    hosts: list[str], ends: list[str], insides: list[str], identities: list[str]
) -> None:
    """Any names, addresses and identities: none of them is in any rendering."""
    check(Whose((hosts[0], hosts[1]), (ends[0], ends[1]), (insides[0], insides[1]), (identities[0], identities[1])))


def test_what_is_left_is_still_the_session() -> None:
    """The ladder has the same rungs, each message still parses, networks stay networks, hashes fit the new ends."""
    records = session(DEFAULT).records
    new = anonymised(records)
    assert [type(one.event) for one in new] == [type(one.event) for one in records]
    old_sas, new_sas = (Timeline().extend(one) for one in (records, new))
    assert [sa.state for sa in old_sas.ike.values()] == [sa.state for sa in new_sas.ike.values()]
    assert len(new_sas.families) == len(old_sas.families) == 2
    for one, other in zip(records, new, strict=True):
        octets = getattr(one.event, "octets", None)
        if isinstance(octets, bytes):
            written = getattr(other.event, "octets")  # noqa: B009
            assert Message.parse(written).message_id == Message.parse(octets).message_id
            assert other.stamp.spi_i == Message.parse(written).spi_i.hex()
    again = join([read(("\n".join(render(new, "json")) + "\n").encode(), "r.jsonl")])
    assert again == new
    nat = [one for one in render(read(from_records(new), "c"), "events") if "NAT" in one]
    assert nat


def test_debug_text_and_captures_are_anonymised_too() -> None:
    """What was read from a debug text, or from a capture, is replaced as what was recorded is."""
    made = Made().up().records
    text = "\n".join(render(made, "debug", router="R1")).encode()
    words, addresses = {"a1a2a3a4a5a6a7a8"}, {"192.0.2.1", "192.0.2.2"}
    for source in (text, from_records(made)):
        outputs = renderings(anonymised(read(source, "somebody's file")))
        assert leaks(outputs, words, addresses, set()) == []
        assert b"somebody" not in b"".join(outputs.values())


def test_a_configuration_keeps_its_shape() -> None:
    """Keywords, numbers, masks stay; each name is one name throughout; keys and descriptions are gone; it loads."""
    lines = running_config(load(DEFAULT.text(0), name="x"), secrets=True)[3:]
    lines += ["router bgp 65001", "snmp-server community hunter2 RO"]
    known = Anonymiser()
    for line in lines:
        known.meet_line(line)
    known.settle()
    text = "\n".join(configuration(known, lines))
    assert leaks({"configuration": text.encode()}, DEFAULT.words(), DEFAULT.addresses(), set()) == []
    for gone in ("a key", "hunter2", "65001", "the line to"):
        assert gone not in text
    loaded = load(text, name="anonymised")
    assert [one.name for one in loaded.tunnels.values()] == ["Tunnel0"]
    assert loaded.profiles["profile-1"].keyring in loaded.keyrings
    assert loaded.tunnels["Tunnel0"].policy_acl in loaded.access_lists
    assert [one.prefix.prefixlen for one in loaded.routes] == [24]


@given(st.lists(st.integers(0, 255), max_size=60))
def test_numbers_of_a_place_keep_their_order_and_their_ends(values: list[int]) -> None:
    """Order, zeros and ones at the end stay, two numbers never become one, none grows."""
    found = in_order(values, 8)
    assert sorted(found) == sorted(set(values))
    new = [found[one] for one in sorted(found)]
    assert new == sorted(set(new))
    for old, one in found.items():
        assert one <= old
        if old not in (0, 255):
            low, high = old & -old, (old + 1) & -(old + 1)
            assert one % low == 0 if old % 2 == 0 else (one + 1) % high == 0


def test_addresses_of_both_families_and_what_is_kept() -> None:
    """IPv6 goes to 3ff0::, masks, any, loopback and multicast stay, a text's sentence keeps its full stop."""
    aliases = Aliases()
    text = (
        "from 2001:db8::7, [2001:db8::7]:500 and 192.0.2.1:4500 by 10.0.0.9. mask 255.255.255.0 any 0.0.0.0 at 17:00:00"
    )
    aliases.meet_text(text)
    aliases.settle()
    found = aliases.text(text)
    assert "2001:db8" not in found and "192.0.2.1" not in found and "10.0.0.9" not in found
    assert found.count("3ff0:") == 2 and found.endswith("mask 255.255.255.0 any 0.0.0.0 at 17:00:00")
    assert ". mask" in found and ":4500 by" in found


def test_a_name_is_no_part_of_a_word() -> None:
    """A router called `IKE` is replaced where it stands alone, not in IKE_AUTH."""
    stamp = Stamp(seq=1, mono=1.0, wall=1.0, router="IKEX")
    (one,) = anonymised([Record(stamp, PlaneFailed(what="IKEX: IKEXAUTH at IKEX-1", why="x"))])
    assert one.event.what == "router-1: IKEXAUTH at router-1-1"  # type: ignore[attr-defined]
