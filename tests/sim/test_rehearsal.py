"""`ikescope rehearse`: two configurations come up in memory or not, stay up or not, and the output says why."""

import json
from pathlib import Path

import pytest

from ikescope import cli
from ikescope.config.model import RouterConfig
from ikescope.ios.configuration import load
from ikescope.sim.rehearsal import Rehearsal
from ikescope.sim.rehearsal_pairs import paths
from ikescope.tui.rehearse import clock

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
FILES = (str(EXAMPLES / "R1.cfg"), str(EXAMPLES / "R2.cfg"))


def rehearse(capsys: pytest.CaptureFixture[str], *arguments: str, files: tuple[str, ...] = FILES) -> tuple[int, str]:
    """Exit status and standard output; an error's one line too."""
    status = cli.main(["rehearse", *files, *arguments])
    said = capsys.readouterr()
    return status, said.out + said.err


@pytest.fixture
def changed(tmp_path: Path) -> tuple[str, str]:
    """R1 as it is, R2 with another key."""
    (tmp_path / "R2.cfg").write_text(
        (EXAMPLES / "R2.cfg").read_text().replace("pre-shared-key ike-scope-tour", "pre-shared-key another")
    )
    return FILES[0], str(tmp_path / "R2.cfg")


def configs() -> list[RouterConfig]:
    """The examples."""
    return [load(Path(name).read_text(), name=name) for name in FILES]


def test_the_examples_come_up_and_stay_up(capsys: pytest.CaptureFixture[str]) -> None:
    """Status 0; each pair of tunnels with its time, what was agreed, the rekeys of the days and every ping answered."""
    status, said = rehearse(capsys, "--days", "1")
    assert status == 0, said
    assert "R1 Tunnel0 <-> R2 Tunnel0 (10.0.0.1 to 10.0.0.2): up after 0." in said
    assert "R1 Tunnel1 <-> R2 Tunnel1 (10.1.1.1 to 10.2.1.1): up after 0." in said
    assert "ESP: in 0x" in said
    assert "In 1 day: 1 IKE SA rekey, " in said
    assert "5760 of 5760 pings answered" in said


def test_a_seed_repeats_a_rehearsal(capsys: pytest.CaptureFixture[str]) -> None:
    """The same seed gives the same output, SPIs and all; another seed another."""
    first, second, other = (rehearse(capsys, "--days", "0", "--seed", seed)[1] for seed in ("a", "a", "b"))
    assert first == second != other


def test_a_wrong_key_is_told_with_its_ladder(capsys: pytest.CaptureFixture[str], changed: tuple[str, str]) -> None:
    """Status 1: not up, the verdict that `read` would give, and the messages; neither key is shown."""
    status, said = rehearse(capsys, files=changed)
    assert status == 1
    assert "Not up: the pre-shared keys differ" in said
    assert "NOTIFY(AUTHENTICATION_FAILED)" in said
    assert "ike-scope-tour" not in said
    assert "another" not in said


def test_a_lost_response_costs_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    """One response dropped is repeated: up, a little later; the line says that the fault struck."""
    status, said = rehearse(capsys, "--days", "0", "--impair", "drop response CREATE_CHILD_SA 1")
    assert status == 0, said
    assert "1 retransmission." in said
    assert "impairment `drop response CREATE_CHILD_SA 1`: struck 1 time" in said


def test_what_breaks_later_is_told_with_its_time(capsys: pytest.CaptureFixture[str]) -> None:
    """R1 --> CREATE_CHILD_SA (rekey), R2 ..x seven times: traffic stops, status 1, since when, for how long, ladder."""
    status, said = rehearse(capsys, "--days", "0.1", "--impair", "from R2 drop response CREATE_CHILD_SA 30")
    assert status == 1, said
    assert "no traffic from 00:0" in said
    assert "again 6" in said


def test_json_has_one_object_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    """`--as json`: tunnels, impairments, and what came of the rehearsal last, each with schema and type."""
    status, said = rehearse(capsys, "--days", "0", "--as", "json", "--impair", "duplicate any 2")
    lines = [json.loads(line) for line in said.splitlines()]
    assert status == 0
    assert [line["type"] for line in lines] == ["tunnel", "tunnel", "impairment", "rehearsal"]
    assert {line["schema"] for line in lines} == {"ikescope.rehearsal/1"}
    assert lines[-1]["up"] is True
    assert lines[2]["hits"] == 2


@pytest.mark.parametrize(
    ("arguments", "files", "said"),
    [
        ((), FILES[:1], "had 1 configuration, wanted at least 2"),
        (("--days", "-1"), FILES, "rehearse --days: had -1, wanted 0 to 366"),
        (("--impair", "lose it"), FILES, "no such impairment; one of: drop, delay,"),
        (("--impair", "from R7 drop"), FILES, "no router R7 here; routers: R1, R2"),
        ((), ("missing.cfg", FILES[0]), "missing.cfg: No such file or directory"),
    ],
)
def test_wrong_usage_is_one_line(
    capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], files: tuple[str, ...], said: str
) -> None:
    """Status 2, one line that says what was found and what is wanted."""
    status, told = rehearse(capsys, *arguments, files=files)
    assert status == 2
    assert said in told
    assert len(told.splitlines()) == 1


def test_files_that_do_not_belong_together_say_so(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """No tunnel has its other end: status 1, every tunnel's addresses listed; so does a file with errors."""
    status, said = rehearse(capsys, files=(FILES[0], FILES[0]))
    assert status == 1
    assert "no tunnel of one file has its other end in another" in said
    assert "R1-2 Tunnel0: from 198.51.100.1 to 198.51.100.2" in said
    broken = tmp_path / "broken.cfg"
    broken.write_text(Path(FILES[1]).read_text().replace("keyring local KR", "keyring local NOBODY"))
    status, said = rehearse(capsys, files=(FILES[0], str(broken)))
    assert status == 1
    assert "NOBODY is not configured" in said


def test_the_catalogue_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    """`--impair ?` lists every fault."""
    status, said = rehearse(capsys, "--impair", "?")
    assert status == 0
    assert "drop " in said
    assert "no-delete" in said


def test_tunnels_are_paired_by_their_addresses() -> None:
    """Two tunnels between the same addresses: GRE with GRE, a list with the list that mirrors it."""
    found = paths(configs())
    assert [(one.left_tunnel, one.right_tunnel) for one in found] == [("Tunnel0", "Tunnel0"), ("Tunnel1", "Tunnel1")]
    assert paths(configs()[:1]) == []


def test_the_failing_exchange_is_found() -> None:
    """Nothing failed: all records; a failure: those of its exchange."""
    calm = Rehearsal(configs())
    calm.run(0)
    assert calm.up
    assert calm.failing() == calm.records


def test_clock_is_for_people() -> None:
    """Seconds become days, hours, minutes and seconds."""
    assert clock(61.5) == "00:01:01.5"
    assert clock(90061.25) == "1 d 01:01:01.2"


def test_tunnels_of_two_kinds_are_a_finding(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A GRE end and an `ipsec ipv4` end agree by narrowing and carry nothing: status 1 and the line to write."""
    texts = [Path(name).read_text() for name in FILES]
    assert "tunnel mode ipsec ipv4" in texts[1]
    head, _, rest = texts[1].partition("interface Tunnel0")
    (tmp_path / "R2.cfg").write_text(f"{head}interface Tunnel0\n tunnel mode ipsec ipv4{rest}")
    files = (FILES[0], str(tmp_path / "R2.cfg"))
    status, said = rehearse(capsys, "--days", "0.01", files=files)
    assert status == 1
    wanted = (
        "R1 Tunnel0 has `tunnel mode gre ip`, R2 Tunnel0 `tunnel mode ipsec ipv4`: they may agree, and carry nothing"
    )
    assert wanted in said
    status, said = rehearse(capsys, "--days", "0.01", "--as", "json", files=files)
    assert status == 1
    assert any(json.loads(line)["type"] == "mismatch" for line in said.splitlines())
