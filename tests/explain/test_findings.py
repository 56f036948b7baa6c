"""Findings over sessions of the test world: each fault found from each side alone and from both."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from tests.support.world import Side, configuration, pair
from tests.support_facts import GRE
from tests.support_records import Made

from ikescope.events import UNSET, Record, Tried
from ikescope.events.life import ChildRefused
from ikescope.events.message import MessageReceived
from ikescope.events.negotiation import SelectorsRefused
from ikescope.explain.findings import Finding, encode, fill, findings, tell
from ikescope.timeline import Timeline

SIDES = ("proposed_local", "proposed_remote", "expected_local", "expected_remote")
UNTOLD: dict[str, Any] = dict.fromkeys(SIDES, UNSET)
ACL = ("10.9.0.0 0.0.0.255 10.8.0.0 0.0.0.255",)
#: Fault -> configuration of R1 and R2, seconds to live, what each viewpoint finds: R1 alone, R2 alone, both.
STAGED: dict[str, tuple[Side, Side, float, tuple[str, str, str]]] = {
    "ike proposal": (Side(ike="cbc"), Side(ike="modp"), 20, ("ike-proposal-mismatch",) * 3),
    "ike aead": (Side(ike="cbc"), Side(ike="gcm"), 20, ("ike-proposal-mismatch",) * 3),
    "esp proposal": (Side(esp="cbc"), Side(esp="gcm"), 20, ("esp-proposal-mismatch",) * 3),
    "key": (Side(), Side(key="another"), 20, ("psk-mismatch",) * 3),
    "identity": (Side(), Side(match="address 9.9.9.9"), 20, ("psk-mismatch", *("identity-mismatch",) * 2)),
    "responder's identity": (
        *(Side(match="address 9.9.9.9"), Side(), 20),
        ("identity-mismatch", "psk-mismatch", "identity-mismatch"),
    ),
    "selectors": (Side(mode="acl"), Side(mode="acl", selectors=ACL), 20, ("ts-mismatch",) * 3),
    "pfs": (Side(child_lifetime=120), Side(pfs=19), 115, ("pfs-mismatch",) * 3),
}


def judged(first: Side, second: Side, seconds: float) -> list[list[Finding]]:
    """What is found from R1 alone, R2 alone and both."""
    world = pair(first, second)
    world.ping("R1")
    world.world.run(seconds)
    found = []
    for who in (("R1",), ("R2",), ("R1", "R2")):
        timeline = Timeline().extend(one for one in world.world.records if one.stamp.router in who)
        found.append(findings(timeline, who[0]))
    return found


@pytest.mark.parametrize("name", STAGED)
def test_each_fault_is_one_finding(name: str) -> None:
    """A staged fault gives one finding above note from every viewpoint, with evidence and a remedy."""
    first, second, seconds, wanted = STAGED[name]
    for one, id in zip(judged(first, second, seconds), wanted, strict=True):
        worse = [finding for finding in one if finding.severity != "note"]
        assert [finding.id for finding in worse] == [id]
        assert worse[0].evidence and worse[0].remedy


def test_nothing_is_found_in_a_healthy_session() -> None:
    """A tunnel that comes up and is rekeyed gives no finding at all."""
    assert judged(Side(child_lifetime=120), Side(), 130) == [[], [], []]


def test_a_finding_is_one_json_object() -> None:
    """A finding's line has schema, type and every field."""
    (one,) = judged(Side(), Side(key="another"), 20)[2]
    told = msgspec.json.decode(encode(one))
    assert told["type"] == "finding" and told["schema"] == "ikescope.finding/1"
    assert {"id", "severity", "side", "confidence", "evidence", "remedy"} <= told.keys()


def test_a_tunnel_that_is_shut_down_is_told_as_that() -> None:
    """Selectors refused because the tunnel is shut: `no shutdown`, an error where it never was up, else a note."""
    made = Made()
    made.init()
    made.auth_request()
    nothing = SelectorsRefused(
        proposed_local=(),
        proposed_remote=(),
        expected_local=(),
        expected_remote=(),
        tried=(Tried(name="Tunnel0", taken=False, why="is shut down"),),
    )
    made.tell("R2", msgspec.structs.replace(nothing, proposed_local=GRE[0], proposed_remote=GRE[1]))
    (found,) = findings(Timeline().extend(made.records), "R2")
    assert (found.id, found.severity, found.side) == ("ts-mismatch", "error", "local")
    assert found.remedy[0].lines == ("interface Tunnel0", " no shutdown")


def test_an_asa_without_a_crypto_map_entry_is_a_selector_problem() -> None:
    """An ASA answers NO_PROPOSAL_CHOSEN where no entry fits; its text says that it was the selectors."""
    made = Made()
    made.init()
    made.auth_request()
    made.tell("R2", SelectorsRefused(**UNTOLD))
    made.tell("R2", ChildRefused(by="local", notify=14, exchange=35))
    made.tell("R1", ChildRefused(by="peer", notify=14, exchange=35))
    assert [one.id for one in findings(Timeline().extend(made.records), "R1")] == ["ts-mismatch"]
    alone = Timeline().extend(one for one in made.records if one.stamp.router == "R1")
    (blind,) = findings(alone, "R1")
    assert (blind.id, blind.instead) == ("esp-proposal-mismatch", ("ts-mismatch",))


def test_evidence_names_file_and_line() -> None:
    """A record out of a file is evidence by its file and line, one of a live router by its number."""
    records = [
        Record(msgspec.structs.replace(one.stamp, source="r2.txt", line=one.stamp.seq), one.event)
        for one in Made().wrong_key().records
        if one.stamp.router == "R2"
    ]
    (found,) = findings(Timeline().extend(records), "R2")
    assert found.evidence[0].place.startswith("r2.txt:")
    assert any("r2.txt:" in line for line in tell(found))


def test_lines_for_strongswan_are_swanctls() -> None:
    """A peer that sent strongSwan's vendor ID gets lines of swanctl.conf, in its words."""
    one = pair(Side(ike="cbc"), Side(ike="modp"))
    octets = bytes.fromhex("882fe56d6fd20dbc2251613b2ebe5beb")
    one.world.ping("R1", "10.1.0.9", "10.2.0.9")
    one.world.run(5)
    records = [
        Record(found.stamp, msgspec.structs.replace(found.event, octets=found.event.octets + octets))
        if isinstance(found.event, MessageReceived) and isinstance(found.event.octets, bytes)
        else found
        for found in one.world.records
        if found.stamp.router == "R2"
    ]
    (found,) = findings(Timeline().extend(records), "R2")
    other = next(remedy for remedy in found.remedy if remedy.side == "peer")
    assert other.syntax == "swanctl"
    assert "  " * 2 + "proposals = aes256-sha256-prfsha256-modp2048, default" in other.lines


def test_names_that_no_log_tells_come_from_the_configuration() -> None:
    """A remedy with angle brackets is exact once a router's configuration fills it."""
    found = judged(Side(child_lifetime=120), Side(pfs=19), 115)[1][0]
    (mine,) = (remedy for remedy in found.remedy if remedy.side == "local")
    assert fill(mine, configuration("R2", Side(pfs=19))).lines == ("crypto ipsec profile IP", " no set pfs")
