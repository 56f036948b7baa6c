"""No pre-shared key, SK_*, KEYMAT or key exchange secret in anything that ikescope shows, writes or sends unasked."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import get_args

import msgspec
import pytest
from tests.capture.session import wire
from tests.daemon.routers import KEY, R1, R2, start
from tests.support.leaks import in_base64, leaks, named
from tests.support.netns import HOST_B, topology
from tests.support.process import Process
from tests.support.world import Pair, Side, esp_keys, ike_keys, pair

from ikescope.capture import from_records
from ikescope.crypto import key_exchange, keys
from ikescope.crypto.key_exchange import KeyExchange
from ikescope.crypto.rand import Random
from ikescope.daemon.client import Client
from ikescope.daemon.metrics import exposition
from ikescope.daemon.otel import readable
from ikescope.demo.memory import Desk
from ikescope.engine.commands import Clear, Rekey
from ikescope.events import Record, encode
from ikescope.events.router import CommandEntered
from ikescope.ios import syslog
from ikescope.ios.commands import EXEC_ROWS
from ikescope.ios.debug import LEVELS, Renderer
from ikescope.ios.exec import Session
from ikescope.tui.bundle import bundle
from ikescope.views.anonymise import anonymised
from ikescope.views.html_model import Model
from ikescope.views.metrics import Metrics, now
from ikescope.views.read import View, render
from ikescope.views.traces import Traces

PSK = "Tr0ub4dor-and-a-horse"
SHOWS = (
    *(row.syntax.partition(" [")[0].partition(" {")[0].partition(" <")[0] for row in EXEC_ROWS if "show " in row.name),
    *("show crypto ikev2 sa detailed", "show crypto session detail", "show monitor event-trace crypto ikev2 event all"),
)


@dataclass
class Computed:
    """What was secret in the computations of a session."""

    private: list[bytes] = field(default_factory=list)
    shared: list[bytes] = field(default_factory=list)
    seeds: list[bytes] = field(default_factory=list)


@pytest.fixture
def computed(monkeypatch: pytest.MonkeyPatch) -> Computed:
    """Listens to key exchanges and to SKEYSEED."""
    found = Computed()
    shared_secret, methods = KeyExchange.shared_secret, dict(key_exchange._METHODS)

    def agree(self: KeyExchange, peer_public: bytes) -> bytes:
        secret = shared_secret(self, peer_public)
        found.shared.append(secret)
        return secret

    def listening(name: str) -> None:
        plain = getattr(keys, name)

        def seed(*arguments: object) -> bytes:
            octets: bytes = plain(*arguments)
            found.seeds.append(octets)
            return octets

        monkeypatch.setattr(keys, name, seed)

    def drawing(method: key_exchange._Method) -> key_exchange._Method:
        def private(group: int, random: Random) -> bytes:
            octets = method.private(group, random)
            found.private.append(octets)
            return octets

        return msgspec.structs.replace(method, private=private)

    monkeypatch.setattr(KeyExchange, "shared_secret", agree)
    monkeypatch.setattr(key_exchange, "_METHODS", {group: drawing(one) for group, one in methods.items()})
    for name in ("skeyseed", "rekeyed_skeyseed"):
        listening(name)
    return found


def lived(side: Side) -> tuple[Pair, Session]:
    """Up, both kinds of rekey with PFS, an operator who types keys, and R1's prompt; all of it is still up."""
    both = pair(side).up()
    session = Session(Desk(both.world, both.station("R1")), lab_timers=True)
    both.ask("R1", Rekey(sa=both.one_ike("R1").id))
    both.world.run(1)
    both.ask("R2", Rekey(spi=both.one_child("R2").inbound))
    both.world.run(1)
    both.ping("R1")
    for line in ("configure terminal", "crypto ikev2 keyring K", "peer NEW", "address 192.0.2.9"):
        session.execute(line)
    session.execute(f"pre-shared-key local {PSK}-local")
    session.execute(f"pre-shared-key remote {PSK}-remote")
    session.execute("end")
    both.world.run(1)
    return both, session


def secrets(both: Pair, computed: Computed) -> dict[str, bytes]:
    """Everything that only the two routers may know."""
    sk = [one for name in ("R1", "R2") for one in ike_keys(both.station(name))]
    esp = [one for name in ("R1", "R2") for one in esp_keys(both.station(name))]
    found = {"PSK": PSK.encode()}
    for name in ("sk_d", "sk_ai", "sk_ar", "sk_ei", "sk_er", "sk_pi", "sk_pr"):
        found |= named(name, [getattr(one.keys, name) for one in sk])
    found |= named("ESP key", [one.keys.encryption for one in esp])
    found |= named("ESP integrity key", [one.keys.integrity for one in esp])
    found |= named("private value", computed.private)
    found |= named("shared secret", computed.shared)
    return found | named("SKEYSEED", computed.seeds)


def consoled(session: Session) -> Iterator[tuple[str, bytes]]:
    """What every show prints, as text and as JSON."""
    for command in dict.fromkeys(SHOWS):
        for modifier in ("", " | json"):
            reply = session.execute(command + modifier)
            yield f"{command}{modifier}", "\n".join(reply.output).encode()


def outputs(both: Pair, session: Session, records: list[Record]) -> dict[str, bytes]:
    """Everything that leaves a router without `--write-keys`."""
    status = both.world.status("R1")
    found = {view: "\n".join(render(records, view)).encode() for view in get_args(View)}
    found |= dict(consoled(session))
    for generation in ("15", "17", "26"):
        for level in LEVELS:
            lines = [line for record in records for line in Renderer(level, generation).lines(record)]
            found[f"debug {level} {generation}"] = "\n".join(lines).encode()
    model = Model().extend(records)
    found["page"] = msgspec.json.encode([model.snapshot(), model.details()], enc_hook=str)
    found["recording"] = b"\n".join(map(encode, records))
    found["anonymised"] = b"\n".join(map(encode, anonymised(records)))
    found["pcapng"], found["capture"] = from_records(records), wire(both.world)
    found["metrics"] = exposition(Metrics().extend(records), now(status))
    traces = Traces()
    spans = [span for record in records for span in traces.add(record)] + traces.end()
    found["otel"] = "\n".join(readable(span).to_json() for span in spans).encode()
    found["syslog"] = "\n".join(line for record in records for line in syslog.lines(record)).encode()
    held = list(session.execute("show running-config").output)
    found["bundle"] = b"\n".join(bundle(records, held).values())
    found["status"] = msgspec.json.encode(status, enc_hook=str)
    core = both.core("R1")
    objects = [status, core.config, both.station("R1").keys, list(core.sas.values()), records, core.commands]
    found["repr"] = "\n".join(map(repr, objects)).encode()
    return found


@pytest.mark.parametrize(("ike", "esp"), [("cbc", "cbc"), ("gcm", "gcm")])
def test_a_session_keeps_its_secrets(computed: Computed, ike: str, esp: str) -> None:
    """Every view, show, debug level and export of a whole life: no secret of it, raw, in hexadecimal or in base64."""
    both, session = lived(Side(ike=ike, esp=esp, key=PSK, pfs=19, mode="acl"))
    known = secrets(both, computed)
    assert {name.rpartition(" ")[0] or name for name in known} >= {
        "PSK",
        "sk_d",
        "ESP key",
        "private value",
        "SKEYSEED",
    }
    assert len(computed.shared) >= 6 and len(known) > 25
    found = outputs(both, session, both.world.records)
    both.ask("R1", Clear())
    both.world.run(8)
    found |= {f"{name}, at the end": output for name, output in outputs(both, session, both.world.records).items()}
    assert all(len(output) > 0 for name, output in found.items() if name in get_args(View))
    assert leaks(found, known) == []


def test_the_search_finds_what_it_looks_for() -> None:
    """A secret is found raw, in hexadecimal with and without spaces, as repr, and in base64 at any place."""
    secret = {"key": b"0123456789\xff\x00"}
    for text in (b"x0123456789\xff\x00", b"30 31 32 33 34 35 36 37 38 39 FF 00", repr(secret["key"]).encode()):
        assert leaks({"output": text}, secret)
    for before in range(4):
        whole = json.dumps({"octets": in_base64(bytes(before) + secret["key"] + b"tail")[0]})
        assert leaks({"output": whole.encode()}, secret), before
    assert leaks({"output": b"nothing of it"}, secret) == []


def test_what_an_operator_types_is_noted_without_the_key() -> None:
    """The event of a typed key line holds the line without the key."""
    both, _ = lived(Side(key=PSK))
    typed = [one.command for one in both.events("R1", CommandEntered)]
    assert any(line.startswith("pre-shared-key") for line in typed)
    assert not any(PSK in line for line in typed)


def tables(directory: Path) -> dict[str, bytes]:
    """The keys in the two tables that `--write-keys` wrote."""
    found = []
    for line in (directory / "ikev2_decryption_table").read_text().splitlines():
        cells = line.split(",")
        found += [bytes.fromhex(cells[place]) for place in (2, 3, 5, 6)]
    for line in (directory / "esp_sa").read_text().splitlines():
        cells = [cell.strip('"') for cell in line.split(",")]
        found += [bytes.fromhex(cells[place].removeprefix("0x")) for place in (5, 7)]
    return named("key", found)


def said(process: Process) -> bytes:
    """What a process printed."""
    return (process.stdout + process.stderr).encode()


@pytest.mark.netns
@pytest.mark.tun
def test_a_running_router_keeps_its_secrets(tmp_path: Path) -> None:
    """Of two real routers: recording, console, debug, status, traces and what they print, with the key tables apart."""
    spans = tmp_path / "spans.jsonl"
    options = ("--record", str(tmp_path / "record"), "--write-keys", str(tmp_path / "keys"), "--otel", str(spans))
    heard: list[object] = []
    found: dict[str, bytes] = {}
    with (
        topology("ds") as net,
        start(net.gw_b, R2, tmp_path, "R2") as two,
        start(net.gw_a, R1, tmp_path, "R1", *options) as one,
        Client(tmp_path / "R1.sock", heard.append) as client,
    ):
        client.ask({"subscribe": "console"})
        for command in ("debug crypto ikev2 packet hexdump", "debug crypto ikev2 internal", "debug crypto ipsec"):
            client.command(command)
        assert net.host_a.ping(HOST_B, count=1).lost == 0
        for what in ("child", "ike"):
            client.command(f"test crypto ikev2 rekey {what}")
            assert net.host_a.ping(HOST_B, count=1).lost == 0
        for command in dict.fromkeys(SHOWS):
            for modifier in ("", " | json"):
                found[command + modifier] = "\n".join(client.command(command + modifier)["output"]).encode()
        found["status"] = json.dumps(client.ask({"status": True})).encode()
        one.stop()
        found["printed"] = said(one) + said(two)
    found["heard"] = json.dumps(heard).encode()
    found["traces"] = spans.read_bytes()
    found |= {path.name: path.read_bytes() for path in (tmp_path / "record").iterdir()}
    known = {"PSK": KEY.encode()} | tables(tmp_path / "keys")
    assert len(known) >= 1 + 8 + 4 and len(found["heard"]) > 10_000
    assert leaks(found, known) == []
