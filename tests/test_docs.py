"""What docs/ says is drawn from the tables and declarations of the code, and is as they are now."""

from xml.etree import ElementTree

import pytest
from tools import events_doc, ios_compatibility_doc, state_diagrams

from ikescope.engine.collisions import TABLE
from ikescope.engine.states import CHILD_CAUSES, IKE_CAUSES
from ikescope.events import REGISTRY


@pytest.mark.parametrize("name", sorted(state_diagrams.files()))
def test_the_state_diagrams_are_not_stale(name: str) -> None:
    """The diagrams and the collision table are those of engine/states.py and collisions.py."""
    written = (state_diagrams.DOCS / name).read_text(encoding="utf-8")
    assert written == state_diagrams.files()[name], "stale: run `python -m tools.state_diagrams`"


def test_the_events_document_is_not_stale() -> None:
    """The document of events is that of the declarations in events/."""
    assert events_doc.TARGET.read_text(encoding="utf-8") == events_doc.document(), (
        "stale: run `python -m tools.events_doc`"
    )


def test_the_document_of_ios_is_not_stale() -> None:
    """The list of commands is that of the grammar; each note about one is about one there is, and what is absent is."""
    assert ios_compatibility_doc.unknown_notes() == []
    assert ios_compatibility_doc.absent() == list(ios_compatibility_doc.EXEC_ABSENT)
    assert ios_compatibility_doc.TARGET.read_text(encoding="utf-8") == ios_compatibility_doc.document(), (
        "stale: run `python -m tools.ios_compatibility_doc`"
    )


def test_every_transition_and_every_crossing_is_drawn() -> None:
    """Each transition is an arrow in both drawings and a row with its cause; each row of the collision table a cell."""
    files = state_diagrams.files()
    text = files["states.md"]
    for name, causes in (("ike-states.svg", IKE_CAUSES), ("child-states.svg", CHILD_CAUSES)):
        root = ElementTree.fromstring(files[name])
        arrows = [one for one in root.iter("{http://www.w3.org/2000/svg}path") if one.get("marker-end")]
        assert len(arrows) == len(causes)
        for (before, after), cause in causes.items():
            assert f"{before.name} --> {after.name} : " in text
            assert f"| {before.value} | {after.value} | {cause} |" in text
    grid = text[text.index("## Crossings") :]
    for answer in set(TABLE.values()):
        wanted = 0 if answer.value == "as usual" else sum(one is answer for one in TABLE.values())
        assert grid.count(f" {answer.value} |") == wanted


def test_every_event_is_described() -> None:
    """Each event there is has its heading."""
    text = events_doc.document()
    assert [tag for tag in REGISTRY if f"### `{tag}`\n" not in text] == []
