"""The terminal application of `ikescope watch`: columns, the ladder, a panel for a message or the SAs, a status."""

from __future__ import annotations

import time
from textwrap import wrap
from typing import ClassVar

from rich.text import Text
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.events import Key
from textual.screen import ModalScreen
from textual.widgets import Input, Static, Tree
from textual.widgets.tree import TreeNode

from ikescope.tui.watch_ladder import STYLES, LadderView
from ikescope.tui.watch_model import FilterBy, WatchModel
from ikescope.tui.watch_source import Source
from ikescope.views import tree
from ikescope.views.ladder import Row, columns
from ikescope.wire.tree import Node

POLL = 0.1
"""Seconds between looks at the source; longer where drawing takes longer."""

HELP = """\
Up Down PgUp PgDn Home   move
End f   follow what happens
Enter   the message at the cursor as a tree: every field,
        its octets, the section of the RFC; Enter opens and closes
Esc     back to the ladder
[ ]     step back and forth in time: all SAs at that moment
s       the SAs at the moment of the cursor, on and off
p i x   only this peer, this IKE SA and what replaced it, this
        exchange; once more: all
c       no filter
/ n N   search, next, previous
q       leave

--->  a request   ...>  a response   --x  did not arrive
*  was made   -  changed or ended   !  failed
ENCR{...} was encrypted: what it held, where that is known

Any key closes this."""


class HelpScreen(ModalScreen[None]):
    """The keys, until any key."""

    CSS = """
    HelpScreen { align: center middle; background: transparent; }
    #help { width: auto; height: auto; border: round $primary; padding: 0 1; }
    """

    def compose(self) -> ComposeResult:
        """One box."""
        yield Static(HELP, id="help", markup=False)

    def on_key(self, event: Key) -> None:
        """Close, and nothing else."""
        event.stop()
        self.dismiss()


class WatchApp(App[None]):
    """Shows what a source tells; the model holds what is shown, this only draws it and hears the keys."""

    ENABLE_COMMAND_PALETTE = False
    CSS = """
    Screen { layout: vertical; }
    #columns { height: auto; text-style: bold; }
    LadderView { height: 1fr; scrollbar-size: 0 1; scrollbar-gutter: stable; }
    #panel { height: 60%; border-top: solid $primary; display: none; }
    #panel.open { display: block; }
    #tree { height: 1fr; scrollbar-size: 0 1; }
    #field { height: 1; }
    #sas { height: 1fr; overflow-y: auto; }
    #search { height: 1; border: none; padding: 0; display: none; }
    #search.open { display: block; }
    #status { height: 1; text-style: reverse; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left_square_bracket", "step(-1)", show=False),
        Binding("right_square_bracket", "step(1)", show=False),
        Binding("s", "states", show=False),
        Binding("f", "follow", show=False),
        Binding("p", "only('peer')", show=False),
        Binding("i", "only('sa')", show=False),
        Binding("x", "only('exchange')", show=False),
        Binding("c", "clear", show=False),
        Binding("slash", "search", show=False),
        Binding("n", "again(1)", show=False),
        Binding("N", "again(-1)", show=False),
        Binding("question_mark", "help", show=False),
        Binding("escape", "close", show=False),
        Binding("q,ctrl+c", "quit", show=False),
    ]

    def __init__(self, source: Source, title: str) -> None:
        super().__init__()
        self.source, self.name_shown = source, title
        self.model = WatchModel(source.limit)
        self.wanted = ""
        self.told = ""
        self.ladder = LadderView(self.model)
        self.columns, self.status = Static(id="columns", markup=False), Static(id="status", markup=False)
        self.panel, self.asked = Vertical(id="panel"), Input(id="search", placeholder="search")
        self.fields: Tree[Node] = Tree("", id="tree")
        self.field, self.sas = Static(id="field", markup=False), Static(id="sas", markup=False)
        self._said: dict[Static, str] = {}
        self._panel = ""
        self._shown: tuple[str, object] = ("", None)

    def compose(self) -> ComposeResult:
        """Columns, ladder, panel, search line, status line."""
        yield self.columns
        yield self.ladder
        self.fields.show_root = False
        self.fields.guide_depth = 2
        with self.panel:
            yield from (self.fields, self.field, self.sas)
        yield self.asked
        yield self.status

    def on_mount(self) -> None:
        """Begin to listen, in the terminal's own colours."""
        for name in ("ansi-dark", "textual-ansi"):
            if name in self.available_themes:
                self.theme = name
                break
        self.ladder.focus()
        self.source.start()
        self.poll()

    def on_unmount(self) -> None:
        """Hang up."""
        self.source.close()

    def poll(self) -> None:
        """Take in what was heard; the next look leaves room for the keys, however much there is."""
        begun = time.monotonic()
        records = self.source.take()
        if records:
            self.model.add(records)
            self.model.refresh()
            self.show()
        else:
            self._status()
        self.set_timer(max(POLL, 3 * (time.monotonic() - begun)), self.poll)

    def show(self) -> None:
        """Draw all that the model changed."""
        left, right = self.model.pair
        heads = columns(left, right, self.model.ladder.addresses, self.size.width - 1)
        self._say(self.columns, "\n".join(heads) if left else f"{self.name_shown}: nothing happened yet")
        self.ladder.show()
        self._fill()
        self._status()

    def on_resize(self) -> None:
        """Another width, other lines."""
        self.show()

    def _status(self) -> None:
        model = self.model
        shown = sum(row.kind == "message" for row in model.rows)
        told = [f" {self.name_shown}: {self.source.said}", f"{shown} messages"]
        told += [f"only {value}" for value in model.filters.values()]
        told += [f"{model.forgotten} old records left out"] if model.forgotten else []
        told += ["following"] if model.follow else []
        told += [self.told] if self.told else []
        text, keys = ", ".join(told), "? help  q quit "
        room = self.size.width - len(keys) - 1
        self._say(self.status, f"{text[:room]:<{room}} {keys}")

    def _say(self, where: Static, text: str) -> None:
        """Change a line, where it is another one: what does not change is not sent."""
        if self._said.get(where) != text:
            self._said[where] = text
            where.update(text)

    def action_move(self, by: int) -> None:
        """Move the cursor."""
        self.model.move(by)
        self.show()

    def action_page(self, by: int) -> None:
        """Move by most of a screen."""
        self.action_move(by * max(self.ladder.size.height - 2, 1))

    def action_step(self, by: int) -> None:
        """Step in time and show the SAs at that moment."""
        self._open("sas")
        self.model.step(by)
        self.ladder.focus()
        self.show()

    def action_states(self) -> None:
        """The SAs at the moment of the cursor, on and off."""
        self._open("" if self._panel == "sas" else "sas")
        self.show()

    def action_follow(self, on: bool | None = None) -> None:
        """Follow what happens, on and off."""
        self.model.follow = not self.model.follow if on is None else on
        self.model.refresh()
        self.show()

    def action_only(self, what: FilterBy) -> None:
        """Filter by the row at the cursor, or show all again."""
        self.model.filter_by(what)
        self.show()

    def action_clear(self) -> None:
        """No filter."""
        self.model.clear()
        self.show()

    def action_search(self) -> None:
        """Ask what to look for."""
        self.asked.add_class("open")
        self.asked.value = ""
        self.asked.focus()

    def on_input_submitted(self, message: Input.Submitted) -> None:
        """Look for it."""
        self.wanted = message.value or self.wanted
        self._end_search()
        self.action_again(1)

    def action_again(self, step: int) -> None:
        """The next or previous place."""
        found = bool(self.wanted) and self.model.search(self.wanted, step)
        self.told = "" if found or not self.wanted else f"no {self.wanted!r}"
        self.show()

    def _end_search(self) -> None:
        self.asked.remove_class("open")
        self.ladder.focus()

    def action_help(self) -> None:
        """The keys."""
        self.push_screen(HelpScreen())

    def action_expand(self) -> None:
        """The tree of the row at the cursor; the cursor goes there."""
        if self.model.selected is None:
            return
        self.model.follow = False
        self._open("tree")
        self.show()
        self.fields.focus()

    def action_close(self) -> None:
        """Back to the ladder."""
        if self.asked.has_class("open"):
            self._end_search()
            return
        self._open("")
        self.ladder.focus()
        self.show()

    def _open(self, panel: str) -> None:
        self._panel = panel
        self.panel.set_class(bool(panel), "open")
        self.fields.display = self.field.display = panel == "tree"
        self.sas.display = panel == "sas"

    def _fill(self) -> None:
        row = self.model.selected
        if row is None or not self._panel:
            return
        what = (self._panel, (row.router, row.seq, row.kind, row.index))
        if what == self._shown and self._panel == "tree":
            return
        self._shown = what
        if self._panel == "tree":
            self._fill_tree(row)
        else:
            self.sas.update(self._states())

    def _fill_tree(self, row: Row) -> None:
        found = self.fields
        found.clear()
        message = row.message
        nodes = tree.nodes(message, self.model.chosen(row)) if message is not None else self.model.facts(row)
        if not nodes:
            nodes = (Node("this source holds no octets of this message", "", 0, 0),)
        for node in nodes:
            _grow(found.root, node)
        found.root.expand()
        found.move_cursor_to_line(0)

    def _states(self) -> Text:
        told = Text()
        router = ""
        for state in self.model.states():
            if state.router != router:
                router = state.router
                told.append(f"{router}\n", "bold")
            lead = "  " * (state.depth + 1)
            for line in wrap(state.text, self.size.width - 2, initial_indent=lead, subsequent_indent=lead + "    "):
                told.append(f"{line}\n", STYLES[state.severity])
        return told if told else Text("no IKE SA at this moment")

    def on_tree_node_highlighted(self, message: Tree.NodeHighlighted[Node]) -> None:
        """Where the field stands and which section describes it."""
        node = message.node.data
        self.field.update(tree.place(node) if node is not None else "")


def _grow(parent: TreeNode[Node], node: Node) -> None:
    label = Text(tree.label(node))
    if not node.children:
        parent.add_leaf(label, node)
        return
    made = parent.add(label, node, expand=tree.opens(node))
    for child in node.children:
        _grow(made, child)
