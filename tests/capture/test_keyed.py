"""Captures opened with keys, in each form in which keys come, told as the live router tells them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from tests.capture.session import tables, wire
from tests.support.world import Pair, Side, pair

from ikescope.capture import to_records
from ikescope.capture.conversation import Reading
from ikescope.capture.keyfiles import KeyRing, pre_shared_keys
from ikescope.crypto import key_exchange
from ikescope.crypto.key_exchange import KeyExchange
from ikescope.engine.commands import KeysReady, Rekey
from ikescope.errors import LocalError
from ikescope.events import Record
from ikescope.events.life import (
    ChildSaClosed,
    ChildSaCreated,
    ChildSaRekeyed,
    ChildTraffic,
    CloseReason,
    IkeSaClosed,
    IkeSaCreated,
    IkeSaRekeyed,
)
from ikescope.events.message import MessageReceived, MessageSent, ResponseRefused
from ikescope.events.negotiation import (
    AuthRefused,
    AuthVerified,
    IdentitySent,
    KeysDerived,
    PeerIdentified,
    ProposalChosen,
    ProposalSent,
    SelectorsChosen,
    SelectorsSent,
)
from ikescope.events.router import EspSeen
from ikescope.wire.registry import NotifyType

KEY = b"a-key-of-these-tests"

TOLD = (
    *(ProposalSent, ProposalChosen, SelectorsSent, SelectorsChosen, IdentitySent, PeerIdentified, KeysDerived),
    *(IkeSaCreated, IkeSaRekeyed, IkeSaClosed, ChildSaCreated, ChildSaRekeyed, ChildSaClosed),
)
"""What the wire holds of an IKE SA's life, with the keys."""
UNTOLD = {"tunnel", "lifetime", "rekey_in", "kilobytes", "packets_in", "octets_in", "packets_out", "octets_out", "why"}
"""Facts of such events that never leave a router."""
OWN = {"reason", "cause", "seconds", "trigger"}
"""Facts that a capture puts in its own words, or measures where it was taken."""


def lived(*sides: Side) -> Pair:
    """A session with a Child SA rekey of R1's, an IKE SA rekey of R2's, and another Child SA rekey in the new one."""
    both = pair(*sides or (Side(esp="sha256", mode="acl"),)).up()
    both.ask("R1", Rekey(spi=both.one_child("R1").inbound))
    both.world.run(1)
    both.ask("R2", Rekey(sa=both.one_ike("R2").id))
    both.world.run(1)
    both.ask("R1", Rekey(spi=both.one_child("R1").inbound))
    both.world.run(1)
    return both


def ring_of(both: Pair, tmp_path: Path) -> KeyRing:
    """The tables of `run --write-keys`."""
    found = KeyRing()
    directory = tables(both.world, tmp_path / "tables")
    for name in ("ikev2_decryption_table", "esp_sa"):
        found.add((directory / name).read_text(), name)
    return found


def plain_keys(both: Pair, names: tuple[str, ...]) -> str:
    """R1's IKE keys in our plain form."""
    lines = [
        f"{one.spi_i.hex()} {one.spi_r.hex()} {name.replace('_', '-')} {getattr(one.keys, name).hex()}"
        for one in both.station("R1").keys
        if isinstance(one, KeysReady)
        for name in names
    ]
    return "\n".join(lines)


def facts(records: list[Record]) -> list[str]:
    """Events as what the wire can tell of them."""
    plain = [msgspec.to_builtins(one.event) for one in records if isinstance(one.event, TOLD)]
    for one in plain:
        # A router tells of its own choice before it has given it an SPI.
        one.get("chosen", {}).pop("spi", None)
    return sorted(repr({name: value for name, value in one.items() if name not in UNTOLD | OWN}) for one in plain)


def test_a_capture_with_keys_tells_what_the_router_told() -> None:
    """Proposals, selectors, identities, SAs, rekeys and ends are those of the router whose side is looked from."""
    both = lived()
    plain = KeyRing().add(plain_keys(both, ("sk_d", "sk_ai", "sk_ar", "sk_ei", "sk_er", "sk_pi", "sk_pr")), "plain")
    told = list(to_records(wire(both.world), Reading(ring=plain)))
    assert facts(told) == facts(both.station("R1").records)
    assert all(one.stamp.point == "capture" for one in told)


def test_wireshark_tables_open_every_message_and_packet(tmp_path: Path) -> None:
    """The tables that ikescope writes for Wireshark open every IKE message across rekeys, and all ESP."""
    both = lived()
    records = list(to_records(wire(both.world), Reading(ring=ring_of(both, tmp_path))))
    messages = [one.event for one in records if isinstance(one.event, MessageSent | MessageReceived)]
    assert messages and all(isinstance(one.inner, tuple) for one in messages)
    seen = [one.event for one in records if isinstance(one.event, EspSeen)]
    assert seen and all(one.opened == one.packets and one.failed == 0 for one in seen)
    traffic = [one.event for one in records if isinstance(one.event, ChildTraffic)]
    assert traffic and traffic[-1].packets_out


def test_keys_derived_from_sk_d_open_esp() -> None:
    """Child SAs without a key exchange of their own need no key but SK_d (RFC 7296 section 2.17)."""
    both = lived()
    ring = KeyRing().add(plain_keys(both, ("sk_d", "sk_ai", "sk_ar", "sk_ei", "sk_er")), "plain")
    seen = [one.event for one in to_records(wire(both.world), Reading(ring=ring)) if isinstance(one.event, EspSeen)]
    assert seen and all(one.opened == one.packets for one in seen)


def test_wrong_keys_say_which_message_and_what_was_wanted(tmp_path: Path) -> None:
    """Keys that do not verify open nothing: one line names the message, the IKE SA, the keys and what was wanted."""
    both = lived(Side(ike="gcm", mode="acl"))
    text = plain_keys(both, ("sk_ei", "sk_er")).replace("sk-ei ", "sk-ei ff").replace("sk-er ", "sk-er ff")
    lines = "\n".join(line[:-2] for line in text.splitlines())
    notes: list[str] = []
    ring = KeyRing().add(lines, "wrong.keys")
    records = list(to_records(wire(both.world), Reading(ring=ring, note=notes.append)))
    assert not any(isinstance(one.event, IkeSaCreated) and one.stamp.inferred is None for one in records)
    assert "IKE_AUTH request 1 of IKE SA" in notes[0] and "wrong.keys:1" in notes[0] and "wanted SK_ei" in notes[0]
    assert len([note for note in notes if "stays closed" in note]) == len(notes) <= 2


def test_a_key_file_that_holds_none_is_refused() -> None:
    """A file without a key, or with half a row, is one line that says what was wanted."""
    with pytest.raises(LocalError, match="no keys in 1 lines; wanted"):
        KeyRing().add("nothing here\n", "notes.txt")
    with pytest.raises(LocalError, match="k:1: row of ikev2_decryption_table: had 5 cells, wanted 8"):
        KeyRing().add('0011223344556677,0011223344556677,00,00,"AES"\n', "k")
    with pytest.raises(LocalError, match="not hexadecimal"):
        KeyRing().add("0011223344556677 0011223344556677 dh-secret zz\n", "k")


def test_pre_shared_keys_are_one_a_line() -> None:
    """`KEY` is for anyone, `ID KEY` for one identity; `0x` begins octets."""
    assert pre_shared_keys("a-key\nr1.example 0x6162\n\n", "psk") == [("", b"a-key"), ("r1.example", b"ab")]
    with pytest.raises(LocalError, match="no pre-shared key"):
        pre_shared_keys("\n", "psk")


def test_a_ring_prints_no_key() -> None:
    """What holds keys prints lengths or places, never octets."""
    ring = KeyRing().add(
        "0011223344556677 0011223344556677 sk-d 61626364\n0011223344556677 8899aabbccddeeff dh-private 6566", "k"
    )
    assert "6162" not in repr((ring, ring.ike, ring.dh, Reading(ring=ring, psks=(("", b"secret"),))))
    assert "secret" not in repr(Reading(ring=ring, psks=(("", b"secret"),)))


def plain_ring(both: Pair) -> KeyRing:
    """All SK_ keys of R1."""
    return KeyRing().add(plain_keys(both, ("sk_d", "sk_ai", "sk_ar", "sk_ei", "sk_er", "sk_pi", "sk_pr")), "plain")


def test_pre_shared_keys_verify_auth_of_both_ends() -> None:
    """Each AUTH is judged at the end that has to verify it, by the keys for its identity (RFC 7296 section 2.15)."""
    both = pair(Side(mode="acl")).up()
    psks = (("", b"wrong"), ("192.0.2.1", KEY), ("192.0.2.2", KEY))
    reading = Reading(ring=plain_ring(both), psks=psks)
    found = [one for one in to_records(wire(both.world), reading) if isinstance(one.event, AuthVerified | AuthRefused)]
    assert [(one.stamp.router, one.event.identity.value, type(one.event)) for one in found] == [  # type: ignore[attr-defined]
        ("192.0.2.2", "192.0.2.1", AuthVerified),
        ("192.0.2.1", "192.0.2.2", AuthVerified),
    ]


def recorded_secrets(monkeypatch: pytest.MonkeyPatch) -> list[tuple[bytes, bytes]]:
    """Every shared secret from now on, with the public value of the side that made it."""
    found: list[tuple[bytes, bytes]] = []
    for kind in (key_exchange.EcpKeyExchange, key_exchange.X25519KeyExchange, key_exchange.ModpKeyExchange):
        before = kind.shared_secret

        def shared(self: KeyExchange, peer: bytes, before: Callable[..., bytes] = before) -> bytes:
            secret = before(self, peer)
            found.append((self.public, secret))
            return secret

        monkeypatch.setattr(kind, "shared_secret", shared)
    return found


def test_the_shared_secret_opens_a_session(monkeypatch: pytest.MonkeyPatch) -> None:
    """IKE_SA_INIT's secret alone opens the IKE SA and gives SK_d, and with it Child SAs (RFC 7296 section 2.17)."""
    secrets = recorded_secrets(monkeypatch)
    both = pair(Side(mode="acl")).up()
    sa = both.one_ike("R1")
    line = f"{sa.spi_i.hex()} {sa.spi_r.hex()} dh-secret {secrets[0][1].hex()}"
    records = list(to_records(wire(both.world), Reading(ring=KeyRing().add(line, "secret"))))
    assert any(isinstance(one.event, IkeSaCreated) for one in records)
    seen = [one.event for one in records if isinstance(one.event, EspSeen)]
    assert seen and all(one.opened == one.packets for one in seen)


@pytest.mark.parametrize("suite", ["cbc", "gcm", "modp"])
@pytest.mark.parametrize("router", ["R1", "R2"])
def test_either_sides_private_value_opens_a_session(suite: str, router: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The private value of the initiator or of the responder gives the shared secret with the other's public one."""
    made: list[tuple[int, bytes]] = []
    before = key_exchange.from_private

    def from_private(group: int, private: bytes) -> KeyExchange:
        made.append((group, private))
        return before(group, private)

    monkeypatch.setattr(key_exchange, "from_private", from_private)
    both = pair(Side(ike=suite, mode="acl")).up()
    monkeypatch.undo()
    sa = both.one_ike("R1")
    private = made[0 if router == "R1" else 1][1]
    row = {"spi_i": sa.spi_i.hex(), "spi_r": sa.spi_r.hex(), "dh-private": private.hex()}
    ring = KeyRing().add(json.dumps(row), "private.json")
    assert any(isinstance(one.event, IkeSaCreated) for one in to_records(wire(both.world), Reading(ring=ring)))


def test_a_refused_key_is_told_as_the_initiator_sees_it() -> None:
    """With the keys, AUTHENTICATION_FAILED inside the answer is read, and the IKE SA ends."""
    both = pair(Side(mode="acl"), Side(mode="acl", key="another"))
    both.ping("R1")
    both.world.run(3)
    events = [one.event for one in to_records(wire(both.world), Reading(ring=plain_ring(both)))]
    refused = next(one for one in events if isinstance(one, ResponseRefused))
    assert refused.notify == NotifyType.AUTHENTICATION_FAILED
    closed = next(one for one in events if isinstance(one, IkeSaClosed))
    assert closed.cause == CloseReason.PEER_REFUSED


def test_fragments_of_ike_are_opened_when_all_are_there() -> None:
    """SKF payloads are opened one by one and read together (RFC 7383 section 2.6)."""
    both = pair(Side(mode="acl", fragmentation="fragmentation mtu 576")).up()
    records = list(to_records(wire(both.world), Reading(ring=plain_ring(both))))
    parted = [one.event for one in records if isinstance(one.event, MessageSent) and one.event.fragments]
    assert all(isinstance(one.inner, tuple) for one in parted)
    assert any(isinstance(one.event, IkeSaCreated) for one in records)


LIBRESWAN = """Nov 23 19:25:58.49: | SK_d-key@0x56 (4-bytes, X)
Nov 23 19:25:58.49: |   53 ae 01 02
Nov 23 19:25:58.49: | SK_ei_k-key@0x56 (4-bytes, X)
Nov 23 19:25:58.49: |   53 ae 01 03
Nov 23 19:25:58.49: | SK_er_k-key@0x56 (4-bytes, X)
Nov 23 19:25:58.49: |   53 ae 01 04
Nov 23 19:25:58.49: | initiator salt
Nov 23 19:25:58.49: |   aa bb cc dd
Nov 23 19:25:58.49: | our  keymat
Nov 23 19:25:58.49: |   53 ae 01 02  03 04 05 06  07 08 09 0a  0b 0c 0d 0e
Nov 23 19:25:58.49: |   53 ae 01 02
"""
STRONGSWAN = """18:00:00.123 09[IKE] <peer|1> Sk_d secret => 20 bytes @ 0x7f
18:00:00.123 09[IKE] <peer|1>    0: C1 3E 95 EB 2E 5C 3B 4F 11 0B 0C 5B 1F D9 1E 0C  .>...\\;O...[....
18:00:00.123 09[IKE] <peer|1>   16: 3A 5C 70 0D                                      :\\p.
18:00:00.123 09[IKE] <peer|1> Sk_ei secret => 4 bytes @ 0x7f
18:00:00.123 09[IKE] <peer|1>    0: C1 3E 95 EB                                      .>..
18:00:00.123 09[IKE] <peer|1> Sk_ai secret => 9 bytes @ 0x7f
18:00:00.123 09[IKE] <peer|1>    0: C1 3E 95 EB                                      .>..
"""


def test_dumps_in_logs_of_daemons_are_keys() -> None:
    """Dumps of strongSwan and of Libreswan, salts and ESP key material too; one that is cut short is none."""
    theirs = KeyRing().add(LIBRESWAN, "pluto.log")
    (ike,), (esp,) = theirs.ike, theirs.esp
    assert (ike.sk_d.hex(), ike.sk_ei.hex(), ike.sk_er.hex()) == ("53ae0102", "53ae0103aabbccdd", "53ae0104")
    assert len(esp.key) == 20
    (found,) = KeyRing().add(STRONGSWAN, "charon.log").ike
    assert (len(found.sk_d), found.sk_ei.hex(), found.sk_ai) == (20, "c13e95eb", b"")


def test_auth_without_sk_p_is_not_judged(tmp_path: Path) -> None:
    """Tables of Wireshark hold no SK_p: AUTH is neither verified nor refused, and one line says why."""
    both = pair(Side(mode="acl")).up()
    notes: list[str] = []
    reading = Reading(ring=ring_of(both, tmp_path), psks=(("", KEY),), note=notes.append)
    events = [one.event for one in to_records(wire(both.world), reading)]
    assert not any(isinstance(one, AuthVerified | AuthRefused) for one in events)
    assert len(notes) == 1 and "SK_pi is not among the keys" in notes[0]
