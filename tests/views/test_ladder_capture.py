"""The ladder of one capture: the lines that the timeline's ladder has."""

from collections.abc import Iterator

import pytest
from tests.support_records import Made

from ikescope.bench.read import capture
from ikescope.capture import from_records, source
from ikescope.capture.conversation import Reading
from ikescope.capture.keyfiles import KeyRing
from ikescope.events import Record
from ikescope.views import ladder_capture
from ikescope.views.ladder import ladder

SESSIONS = ("up", "whole", "wrong_key", "no_proposal", "unmatched_selectors", "silence")


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, KeyRing]:
    """A capture of sessions between several pairs, and its keys."""
    path, keys, _ = capture(tmp_path_factory.mktemp("ladder"), 500)
    return path.read_bytes(), KeyRing().add((keys / "ikev2_decryption_table").read_text(), "table")


def _by_timeline(records: list[Record], width: int, patch: pytest.MonkeyPatch) -> Iterator[str]:
    with patch.context() as inside:
        inside.setattr(ladder_capture, "is_alone", lambda records: False)
        return iter(list(ladder(records, width=width)))


@pytest.mark.parametrize("keys", [True, False])
def test_many_conversations(many: tuple[bytes, KeyRing], monkeypatch: pytest.MonkeyPatch, *, keys: bool) -> None:
    """With keys and without, each conversation has its block."""
    records = source.read(many[0], "a.pcapng", Reading(ring=many[1] if keys else KeyRing()))
    assert ladder_capture.is_alone(records)
    for width in (80, 60):
        assert list(ladder(records, width=width)) == list(_by_timeline(records, width, monkeypatch))


@pytest.mark.parametrize("name", SESSIONS)
def test_each_session(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """However a session goes."""
    records = source.read(from_records(getattr(Made(), name)().records), "a.pcapng", Reading())
    assert ladder_capture.is_alone(records)
    assert list(ladder(records)) == list(_by_timeline(records, 80, monkeypatch))


def test_other_sources_are_not_alone() -> None:
    """What a router told of itself, and two captures, are set against each other."""
    made = Made().up().records
    captures = [source.read(from_records(made), name, Reading()) for name in ("a", "b")]
    assert not ladder_capture.is_alone(made)
    assert not ladder_capture.is_alone([*captures[0], *captures[1]])
    assert not ladder_capture.is_alone([])
