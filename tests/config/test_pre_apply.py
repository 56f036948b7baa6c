"""What is found before a configuration is applied: weak algorithms, ways into itself, two ends that do not fit."""

from pathlib import Path

import pytest

from ikescope import cli
from ikescope.ios.configuration import load
from ikescope.policy.pairs import pair_findings

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
R1, R2 = ((EXAMPLES / f"{name}.cfg").read_text() for name in ("R1", "R2"))

PROPOSAL = (
    "crypto ikev2 proposal P\n encryption aes-cbc-128\n integrity {}\n group {}\ncrypto ikev2 policy Q\n proposal P\n"
)
ALONE = [
    (
        PROPOSAL.format("sha1", "14"),
        "note",
        "crypto ikev2 proposal P: integrity sha1 is on its way out (RFC 8247: MUST-)",
    ),
    (PROPOSAL.format("sha256", "5"), "warning", "crypto ikev2 proposal P: group 5 is weak (RFC 8247: SHOULD NOT)"),
    (
        "version 15.7\n" + PROPOSAL.format("md5", "14"),
        "warning",
        "crypto ikev2 proposal P: integrity md5 is weak (RFC 8247: MUST NOT)",
    ),
    (
        "version 15.7\ncrypto ipsec profile I\n set pfs group2\n",
        "warning",
        "crypto ipsec profile I: set pfs group2 is weak (RFC 8247: SHOULD NOT)",
    ),
    (
        R1 + "crypto ipsec transform-set default esp-gcm 256\n" + PROPOSAL.format("sha256", "14"),
        "note",
        "interface Tunnel0: IKE encrypts with at most 128 bits and ESP with 256: what protects its keys is weaker",
    ),
    (
        R1 + "ip route 198.51.100.2 255.255.255.255 Tunnel0\n",
        "error",
        "interface Tunnel0: its destination 198.51.100.2 is routed into itself by ip route 198.51.100.2/32",
    ),
    (
        R1.replace("match identity remote address 198.51.100.2", "match identity remote address 198.51.100.9"),
        "warning",
        "interface Tunnel0: profile default admits 198.51.100.9/32, and the destination is 198.51.100.2: a peer that "
        "is called by its address cannot match",
    ),
]


@pytest.mark.parametrize(("text", "severity", "wanted"), ALONE, ids=[wanted[:50] for _, _, wanted in ALONE])
def test_one_configuration(text: str, severity: str, wanted: str) -> None:
    """What one file tells: weak by RFC 8247, IKE weaker than ESP, a tunnel into itself, a peer that cannot match."""
    assert (severity, wanted) in [(one.severity, one.text) for one in load(text.replace("!\nend", "")).findings]


PAIRS = [
    (
        "set ikev2-profile",
        "set pfs group19\n set ikev2-profile",
        [0],
        "warning",
        "set pfs group19, and R2 Tunnel0 has no PFS: the tunnel comes up, and a rekey of a Child SA that R2 Tunnel0 "
        "begins is refused",
    ),
    ("pre-shared-key ", "pre-shared-key not-", [0, 1], "error", "its local key is not the remote key of R2 Tunnel0"),
    (
        "crypto ikev2 profile default\n",
        "crypto ikev2 profile default\n identity local fqdn r1.example\n",
        [1],
        "error",
        "profile default does not admit",
    ),
    (
        "crypto ikev2 profile default\n",
        "crypto ikev2 proposal default\n group 20\ncrypto ikev2 profile default\n",
        [0],
        "error",
        "no IKEv2 proposal in common with R2 Tunnel0",
    ),
    (
        "crypto ipsec profile default\n",
        "crypto ipsec transform-set default esp-gcm 256\ncrypto ipsec profile default\n",
        [0],
        "error",
        "no transform-set in common with R2 Tunnel0",
    ),
]


@pytest.mark.parametrize(("old", "new", "at", "severity", "wanted"), PAIRS, ids=[row[4][:40] for row in PAIRS])
def test_two_ends_together(old: str, new: str, at: list[int], severity: str, wanted: str) -> None:
    """Both ends' files together: PFS on one side, keys, identities and algorithms that do not meet."""
    assert old in R1
    found = pair_findings(load(R1.replace(old, new)), load(R2))
    hits = [
        one for one in found if one.finding.text.startswith("interface Tunnel0: ") and wanted[:24] in one.finding.text
    ]
    assert {one.at for one in hits} == set(at)
    assert {one.finding.severity for one in hits} == {severity}
    assert any(wanted in one.finding.text for one in hits)


def test_two_ends_that_fit_have_no_findings() -> None:
    """The tour's two routers disagree on nothing, and two that do not meet are no pair."""
    assert pair_findings(load(R1), load(R2)) == ()
    assert pair_findings(load(R1), load(R1)) == ()


def test_check_lists_what_is_ours_and_compares_two_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`check --ios A B` names values of ours, counts the lines, says why others do not act and what parts the two."""
    one, two = tmp_path / "A.cfg", tmp_path / "B.cfg"
    one.write_text(R1.replace("set ikev2-profile", "set pfs group31\n set ikev2-profile"))
    two.write_text(R2.replace("interface Tunnel0\n", "interface Tunnel0\n ip access-group 101 in\n"))
    assert cli.main(["check", "--ios", str(one), str(two)]) == 0
    said = capsys.readouterr().out
    assert "ikescope's own: set pfs group31 (IOS has no `group31`)" in said
    assert "lines act, 1 of them unknown to IOS; 0 refused" in said
    assert "not acted on: ip access-group 101 in (no filter here: the host's firewall)" in said
    assert f"{one}: warning: interface Tunnel0: set pfs group31, and R2 Tunnel0 has no PFS" in said
    one.write_text(R1 + "crypto map CM 10 ipsec-isakmp\n")
    assert cli.main(["check", str(one)]) == 1
    assert "error: crypto map CM 10 ipsec-isakmp is not offered by ikescope: no crypto maps" in capsys.readouterr().out
