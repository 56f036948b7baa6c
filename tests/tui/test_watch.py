"""`ikescope watch` in a terminal of 80 columns and 24 lines: what is on the screen, and what each key does."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator

import pytest
from tests.support_facts import restamped
from tests.support_records import Made
from textual.pilot import Pilot
from textual.widgets.tree import TreeNode

from ikescope.events import Record
from ikescope.events.message import MessageReceived, MessageSent
from ikescope.timeline import Timeline, rungs
from ikescope.tui.watch_app import HelpScreen, WatchApp
from ikescope.tui.watch_ladder import LadderView
from ikescope.tui.watch_source import Recorded
from ikescope.views import tree
from ikescope.wire.tree import Node

Act = Callable[[WatchApp, Pilot[None]], Awaitable[None]]


class Growing(Recorded):
    """A source that a test adds to, as a running router does."""

    def tell(self, records: list[Record]) -> None:
        """More happened."""
        self._records = [*self._records, *records]


def watching(records: list[Record], act: Act, *, source: Recorded | None = None) -> None:
    """Open the viewer, let `act` press keys and look."""

    async def run() -> None:
        app = WatchApp(source or Recorded(records), "R1")
        async with app.run_test(size=(80, 24)) as pilot:
            await pilot.pause()
            await act(app, pilot)

    asyncio.run(run())


def screen(app: WatchApp) -> list[str]:
    """The 24 lines as the reader sees them."""
    strips = app.screen._compositor.render_strips()
    return ["".join(segment.text for segment in strip).rstrip() for strip in strips]


def labels(app: WatchApp) -> list[str]:
    """The fields of the tree, those too that are folded."""
    return [str(node.label) for node in everything(app.fields.root)][1:]


def everything(node: TreeNode[Node]) -> Iterator[TreeNode[Node]]:
    """A node of the tree with all below it."""
    yield node
    for child in node.children:
        yield from everything(child)


def field(node: TreeNode[Node]) -> Node:
    """The field that a node of the tree shows."""
    assert node.data is not None
    return node.data


@pytest.mark.parametrize("session", ["whole", "wrong_key", "no_proposal", "unmatched_selectors", "silence"])
def test_every_message_is_on_the_ladder(session: str) -> None:
    """Each datagram of a recording is a line with its exchange and its message ID, none twice; nothing is too wide."""
    records = getattr(Made(), session)().records

    async def act(app: WatchApp, pilot: Pilot[None]) -> None:
        shown = [row for row in app.model.rows if row.kind == "message"]
        assert len(shown) == len(rungs(Timeline().extend(records)))
        arrows = [text for text in app.ladder.text() if text[10:12] in ("--", "..", "<-", "<.", "x-")]
        assert len(arrows) == len(shown)
        assert all(row.exchange in text for row, text in zip(shown, arrows, strict=True))
        assert all(len(line) <= 80 for line in screen(app)) and len(screen(app)) == 24

    watching(records, act)


def test_enter_opens_the_message_with_its_nine_transforms() -> None:
    """The tree of IKE_SA_INIT names each transform in words with its octets; the line below says octets and section."""

    async def act(app: WatchApp, pilot: Pilot[None]) -> None:
        await pilot.press("home", "down", "down", "enter")
        await pilot.pause()
        assert app.fields.has_focus
        shown = "\n".join(labels(app))
        assert "SA: 1 proposal" in shown and "Proposal 1: IKE (1), 9 transforms" in shown
        (proposal,) = [node for node in everything(app.fields.root) if "Proposal 1" in str(node.label)]
        transforms = [node for node in proposal.children if node.children]
        assert len(transforms) == 9 and all("RFC 7296 section 3.3.2" in tree.place(field(one)) for one in transforms)
        assert "[40-51]  ENCR: ENCR_AES_CBC (12), 256 bits" in shown
        assert any("octets 0 to 27 of the message, RFC 7296 section 3.1" in line for line in screen(app))
        await pilot.press("escape")
        await pilot.pause()
        assert app.ladder.has_focus and not app.panel.has_class("open")

    watching(Made().whole().records, act)


def test_what_was_encrypted_opens_too() -> None:
    """The tree of a sealed message holds what was inside, its octets counted within."""

    async def act(app: WatchApp, pilot: Pilot[None]) -> None:
        await pilot.press("home", *["down"] * 4, "enter")
        await pilot.pause()
        shown = labels(app)
        assert any(label.endswith("AUTH: 68 octets") or "AUTH:" in label for label in shown)
        assert sum("Traffic Selector: protocol 47" in label for label in shown) == 2

    watching(Made().whole().records, act)


def test_a_row_that_is_no_message_opens_as_its_facts() -> None:
    """Enter on what happened between the messages shows every fact of the record."""

    async def act(app: WatchApp, pilot: Pilot[None]) -> None:
        app.model.search("AUTH does not verify")
        await pilot.press("enter")
        await pilot.pause()
        assert any(label.startswith("identity: ") for label in labels(app))

    watching(Made().wrong_key().records, act)


def test_a_failure_is_red_where_it_happened() -> None:
    """The line of a failure is drawn in red, with an exclamation mark for those who see no colour."""

    async def act(app: WatchApp, pilot: Pilot[None]) -> None:
        await pilot.press("home")
        await pilot.pause()
        (number,) = [n for n, text in enumerate(app.ladder.text()) if "AUTH does not verify" in text]
        (segment,) = app.ladder.render_line(number - int(app.ladder.scroll_offset.y))
        assert segment.style is not None and segment.style.color is not None and segment.style.color.name == "red"
        assert segment.text.rstrip().endswith("!|")

    watching(Made().wrong_key().records, act)


def test_filters_by_exchange_sa_and_peer() -> None:
    """x, i and p show what belongs to the row at the cursor, an IKE SA with what replaced it; once more shows all."""

    async def act(app: WatchApp, pilot: Pilot[None]) -> None:
        whole = len(app.model.rows)
        await pilot.press("home", "down", "down", "x")
        assert {row.exchange for row in app.model.rows if row.kind == "message"} == {"IKE_SA_INIT"}
        assert any("only IKE_SA_INIT" in line for line in screen(app))
        await pilot.press("x")
        assert len(app.model.rows) == whole
        await pilot.press("i")
        spis = {row.spi_i for row in app.model.rows}
        assert spis == {"a1a2a3a4a5a6a7a8", "e1e2e3e4e5e6e7e8"}
        await pilot.press("p", "c")
        assert len(app.model.rows) == whole and not app.model.filters

    watching(Made().whole().records, act)


def elsewhere(records: list[Record], address: str) -> list[Record]:
    """The same session with another peer, later on; only R1 tells of it."""
    moved = []
    for record in (one for one in records if one.stamp.router == "R1"):
        changes: dict[str, object] = {"seq": record.stamp.seq + 1000, "wall": record.stamp.wall + 60}
        if isinstance(record.stamp.spi_i, str):
            changes |= {"spi_i": f"99{record.stamp.spi_i[2:]}", "peer": f"{address}:500"}
        if isinstance(record.event, MessageSent | MessageReceived):
            changes["remote"] = f"{address}:500"
        moved.append(restamped(record, **changes))
    return moved


def test_many_peers_and_one_of_them() -> None:
    """With several peers each run of messages names its columns; p leaves those of one, above its own columns."""
    records = [record for record in Made().whole().records if record.stamp.router == "R1"]

    async def act(app: WatchApp, pilot: Pilot[None]) -> None:
        headings = [text for text in app.ladder.text() if "IKE SA 99" in text]
        assert all("R1" in text and "192.0.2.77" in text for text in headings) and headings
        await pilot.press("slash", *"192.0.2.77", "enter", "p")
        assert {row.right for row in app.model.rows if row.right} == {"192.0.2.77"}
        assert app.model.pair == ("R1", "192.0.2.77")
        assert any("only R1 - 192.0.2.77" in line for line in screen(app))

    watching([*records, *elsewhere(records, "192.0.2.77")], act)


def test_a_step_sends_two_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where only the cursor moves, only the line that it left and the one where it is are drawn again."""
    drawn: list[int] = []

    async def act(app: WatchApp, pilot: Pilot[None]) -> None:
        await pilot.press("home", "down")
        await pilot.pause()
        monkeypatch.setattr(
            LadderView, "refresh", lambda _, *regions, **__: drawn.append(sum(r.height for r in regions))
        )
        await pilot.press("down")
        assert drawn == [1, 1]

    watching(Made().up().records, act)


def test_search_goes_round() -> None:
    """/ goes to the next row that holds the words, n and N to the others; what is nowhere is said."""

    async def act(app: WatchApp, pilot: Pilot[None]) -> None:
        await pilot.press("home", "slash", *"create", "enter")
        assert app.model.selected is not None and "CREATE_CHILD_SA 2 " in app.model.selected.text
        first = app.model.cursor
        await pilot.press("n", "N")
        assert app.model.cursor == first
        await pilot.press("slash", *"zebra", "enter")
        assert app.model.cursor == first and any("no 'zebra'" in line for line in screen(app))

    watching(Made().whole().records, act)


def test_steps_through_time() -> None:
    """] and [ go along what happened and show all SAs as they were then: both generations of a rekey, each once."""

    async def act(app: WatchApp, pilot: Pilot[None]) -> None:
        await pilot.press("home", "right_square_bracket")
        await pilot.pause()
        assert any("IKE SA A1A2A3A4A5A6A7A8 / 0000000000000000, IN-NEG" in line for line in screen(app))
        while "supersedes" not in (app.model.selected.text if app.model.selected else "supersedes"):
            await pilot.press("right_square_bracket")
        told = [state for state in app.model.states() if state.router == "R2" and state.depth == 0]
        assert ["superseded by 0xE1E2E3E4E5E6E7E8" in told[0].text, "supersedes 0xA1" in told[1].text] == [True, True]
        await pilot.press(*["left_square_bracket"] * 3)
        assert len([state for state in app.model.states() if state.depth == 0]) == 2
        await pilot.press("end")
        assert all("DELETED" in state.text for state in app.model.states() if state.depth == 0)

    watching(Made().whole().records, act)


def test_follows_what_happens() -> None:
    """New rows move the cursor while it follows; one step back ends that, and the row under the cursor stays."""
    records = Made().whole().records
    source = Growing(records[:20])

    async def grow(app: WatchApp, pilot: Pilot[None], more: list[Record]) -> None:
        source.tell(more)
        before = len(app.model.records)
        while len(app.model.records) == before:
            await pilot.pause(0.05)

    async def act(app: WatchApp, pilot: Pilot[None]) -> None:
        await grow(app, pilot, records[20:40])
        assert app.model.cursor == len(app.model.rows) - 1
        await pilot.press("up")
        chosen = app.model.selected
        await grow(app, pilot, records[40:])
        now = app.model.selected
        assert chosen is not None and now is not None and (now.router, now.seq) == (chosen.router, chosen.seq)
        await pilot.press("f")
        assert app.model.cursor == len(app.model.rows) - 1

    watching([], act, source=source)


def test_help_tells_the_keys_and_closes() -> None:
    """? lays the keys over the ladder, within 80 columns; any key takes them away."""

    async def act(app: WatchApp, pilot: Pilot[None]) -> None:
        await pilot.press("question_mark")
        await pilot.pause()
        assert isinstance(app.screen, HelpScreen)
        assert any("step back and forth in time" in line for line in screen(app))
        await pilot.press("x")
        await pilot.pause()
        assert not isinstance(app.screen, HelpScreen) and not app.model.filters

    watching(Made().whole().records, act)


def test_without_colour_everything_can_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """NO_COLOR draws the same lines without any colour; the signs are there."""
    monkeypatch.setenv("NO_COLOR", "1")

    async def act(app: WatchApp, pilot: Pilot[None]) -> None:
        assert app.no_color
        lines = screen(app)
        assert any(line.endswith("AUTH does not verify: of 192.0.2.1, had pre-shared key !|") for line in lines)

    watching(Made().wrong_key().records, act)
