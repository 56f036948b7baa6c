"""Messages as trees: from a capture at once, and from its records."""

import io
import json
from pathlib import Path

import pytest

from ikescope.bench.read import capture
from ikescope.capture import source
from ikescope.capture.conversation import Reading
from ikescope.capture.keyfiles import KeyRing
from ikescope.cli import main
from ikescope.errors import LocalError
from ikescope.tui import trees
from ikescope.views.trees import lines


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, KeyRing]:
    """A capture of some sessions and its keys."""
    path, keys, _ = capture(tmp_path_factory.mktemp("trees"), 300)
    return path, KeyRing().add((keys / "ikev2_decryption_table").read_text(), "table")


def _at_once(path: Path, ring: KeyRing, notes: list[str]) -> list[bytes]:
    with path.open("rb") as stream:
        told = trees.lines(stream, str(path), Reading(ring=ring, note=notes.append))
        return [] if told is None else list(told)


def test_trees_are_those_of_the_records(made: tuple[Path, KeyRing]) -> None:
    """What a capture's records hold and what is dissected without them is the same."""
    path, ring = made
    wanted = [f"{line}\n".encode() for line in lines(source.read(path.read_bytes(), str(path), Reading(ring=ring)))]
    assert len(wanted) >= 300
    assert _at_once(path, ring, []) == wanted


def test_opened_payloads_are_in_the_tree(made: tuple[Path, KeyRing]) -> None:
    """Each line says where its packet stands, and its tree holds what the Encrypted payload held, with the keys."""
    path, ring = made
    found = [json.loads(line) for line in _at_once(path, ring, [])]
    assert [one["line"] for one in found] == sorted(one["line"] for one in found)
    names = [node["name"] for node in found[2]["tree"][1]["children"]]
    assert {"IDi", "AUTH", "SA", "TSi", "TSr"} <= set(names), names
    closed = [json.loads(line) for line in _at_once(path, KeyRing(), [])]
    assert [node["name"] for node in closed[2]["tree"][1]["children"]][-1] == "IV, ciphertext and ICV"


def test_a_cut_capture_is_dissected_up_to_there(made: tuple[Path, KeyRing], tmp_path: Path) -> None:
    """What stands before the damage is shown, and a note says so, once."""
    path, ring = made
    cut = tmp_path / "cut.pcapng"
    cut.write_bytes(path.read_bytes()[:-5])
    notes: list[str] = []
    assert len(_at_once(cut, ring, notes)) == len(_at_once(path, ring, [])) - 1
    assert [note for note in notes if "cut short" in note] == notes
    assert len(notes) == 1


def test_what_is_no_capture_is_left_to_others(tmp_path: Path) -> None:
    """A recording's trees come from its records; a capture without a message is refused."""
    assert trees.lines(io.BytesIO(b"{}"), "x", Reading()) is None
    with pytest.raises(LocalError, match="without an IKE message"):
        list(trees.lines(io.BytesIO(bytes.fromhex("d4c3b2a1") + bytes(20)), "x", Reading()) or ())


def test_the_command_writes_a_line_a_message(made: tuple[Path, KeyRing], tmp_path: Path) -> None:
    """`ikescope read CAPTURE --as trees --output FILE`."""
    path, _ = made
    out = tmp_path / "out.jsonl"
    assert main(["read", str(path), "--as", "trees", "--output", str(out)]) == 0
    told = [json.loads(line) for line in out.read_bytes().splitlines()]
    assert {one["type"] for one in told} == {"message"}
    assert {one["schema"] for one in told} == {"ikescope.message/1"}
