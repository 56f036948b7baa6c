"""Findings over sessions of the test world: each fault found from each side alone and from both."""

from __future__ import annotations

import msgspec
import pytest
from tests.support.world import Side, pair

from ikescope.explain.findings import Finding, encode, findings
from ikescope.timeline import Timeline

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
