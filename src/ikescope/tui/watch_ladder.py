"""The widget that shows a ladder: only the lines on the screen are drawn, however long it is."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from textual.binding import Binding, BindingType
from textual.geometry import Size
from textual.scroll_view import ScrollView
from textual.strip import Strip

from ikescope.tui.watch_model import Line, WatchModel
from ikescope.views.marks import Severity

STYLES: dict[Severity, Style] = {
    "info": Style(),
    "good": Style(color="green"),
    "notice": Style(color="yellow"),
    "error": Style(color="red", bold=True),
}
_PLAIN, _HEADING, _CURSOR = Style(), Style(bold=True), Style(reverse=True)


def _row(line: Line) -> int:
    return line.row


class LadderView(ScrollView, can_focus=True):
    """The rows of a model with its cursor."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "app.move(-1)", show=False),
        Binding("down,j", "app.move(1)", show=False),
        Binding("pageup", "app.page(-1)", show=False),
        Binding("pagedown,space", "app.page(1)", show=False),
        Binding("home,g", "app.move(-1000000000)", show=False),
        Binding("end,G", "app.follow(True)", show=False),
        Binding("enter", "app.expand", show=False),
    ]

    def __init__(self, model: WatchModel) -> None:
        super().__init__()
        self.model = model
        self.lines: list[Line] = []
        self._marked = range(0)

    def show(self) -> None:
        """Draw the model anew and keep the cursor on the screen."""
        width = max(self.scrollable_content_region.width, 40)
        before, top = self.lines, self.scroll_offset.y
        self.lines = self.model.lines(width)
        if self.virtual_size != (width, len(self.lines)):
            self.virtual_size = Size(width, len(self.lines))
        marked, self._marked = self._marked, self._cursor_lines()
        self._into_view()
        if self.lines == before and self.scroll_offset.y == top:
            # Over a slow line only what the cursor left and where it is now goes out again.
            for lines in (marked, self._marked):
                if lines:
                    self.refresh_lines(lines.start - top, len(lines))
        else:
            self.refresh()

    def _cursor_lines(self) -> range:
        first = bisect_left(self.lines, self.model.cursor, key=_row)
        return range(first, bisect_right(self.lines, self.model.cursor, key=_row))

    def _into_view(self) -> None:
        if not self._marked:
            return
        top, height = self.scroll_offset.y, max(self.scrollable_content_region.height, 1)
        if self._marked.stop > top + height:
            self.scroll_to(y=self._marked.stop - height, animate=False, immediate=True)
        elif self._marked.start < top:
            self.scroll_to(y=max(self._marked.start - 1, 0), animate=False, immediate=True)

    def on_resize(self) -> None:
        """Another size: other lines, and the cursor may be off the screen."""
        self.show()

    def render_line(self, y: int) -> Strip:
        """One line of the screen."""
        number = self.scroll_offset.y + y
        width = self.scrollable_content_region.width
        if number >= len(self.lines):
            return Strip.blank(width, _PLAIN)
        line = self.lines[number]
        row = self.model.rows[line.row]
        style = _HEADING if row.kind == "sa" else STYLES[row.severity]
        if line.row == self.model.cursor:
            style += _CURSOR
        return Strip([Segment(line.text.ljust(width)[:width], style)])

    def text(self) -> list[str]:
        """The lines, as a reader sees them when he scrolls through all."""
        return [line.text for line in self.lines]
