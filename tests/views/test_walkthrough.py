"""The walkthrough as Markdown and as one HTML page."""

from __future__ import annotations

from html.parser import HTMLParser

import msgspec
import pytest
from tests.support_records import Made

from ikescope.events import Record
from ikescope.events.negotiation import KeyringSearched
from ikescope.explain.walk import PARTS
from ikescope.views.walkthrough import document, html, markdown

VOID = {"meta", "br", "input", "link"}


def rendering(record: Record) -> list[str]:
    """Stand-in debug lines: one an event, with what has to be escaped."""
    return [f"IKEv2:({record.stamp.router}) <{type(record.event).tag}> & more"]


class Page(HTMLParser):
    """What a page holds: headings, links out, whether every tag is closed."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.headings: list[str] = []
        self.out: list[str] = []
        self.counts: dict[str, int] = {}
        self.handlers: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Count it; note what leads out of the page."""
        self.counts[tag] = self.counts.get(tag, 0) + 1
        self.out += [value for name, value in attrs if name in ("src", "href") and value and not value.startswith("#")]
        self.handlers += [name for name, _ in attrs if name.startswith("on") or name == "style"]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        """Every tag is closed in its turn."""
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        """Headings of the second level."""
        if self.open and self.open[-1] == "h2":
            self.headings.append(data)


@pytest.fixture(scope="module")
def page() -> tuple[str, Page]:
    """The page of the whole tour, with the failing session as part 8."""
    found = document(Made().whole().records, rendering, failure=Made().wrong_key().records)
    text = html(found)
    parser = Page()
    parser.feed(text)
    return text, parser


def test_the_headings_are_the_parts(page: tuple[str, Page]) -> None:
    """Ladder and SAs, then parts 1 to 8 in order, each once, then the table."""
    parts = [f"{part}. {title}" for part, title in PARTS.items()]
    assert page[1].headings == ["The ladder", "Security associations", *parts, "What it took"]


def test_the_page_is_whole_and_asks_for_nothing(page: tuple[str, Page]) -> None:
    """All tags closed, no link or source out of the page, no script but its own; dark and light as wished."""
    text, parser = page
    assert not parser.open and not parser.out and not parser.handlers and parser.counts["script"] == 2
    assert "prefers-color-scheme: dark" in text and "default-src 'none'" in text and "url(" not in text


def test_debug_lines_are_escaped_and_complete(page: tuple[str, Page]) -> None:
    """Every line of the router's debug is in the page, escaped."""
    text, _ = page
    assert "&lt;message.sent&gt; &amp; more" in text and "<message.sent>" not in text
    told = [one for one in Made().whole().records if one.stamp.router == "R1"]
    failed = [one for one in Made().wrong_key().records if one.stamp.router == "R1"]
    assert text.count("IKEv2:(R1)") == len(told) + len(failed) and "IKEv2:(R2)" not in text


def test_notes_stand_in_their_part(page: tuple[str, Page]) -> None:
    """Notes are asides; the trees are those of the ladder, one a message."""
    assert page[1].counts["aside"] > 25 and "details" not in page[1].counts


def test_a_hostile_name_stays_text() -> None:
    """A name from a configuration cannot become markup."""
    records = [
        Record(one.stamp, msgspec.structs.replace(one.event, block="<script>alert(1)</script>"))
        if isinstance(one.event, KeyringSearched)
        else one
        for one in Made().up().records
    ]
    found = document(records, rendering)
    assert "<script>alert" not in html(found) and "<script>" not in markdown(found)


def test_markdown_has_the_same_parts() -> None:
    """walkthrough.md has the headings, the notes as quotes, the debug as code, the table."""
    text = markdown(document(Made().whole().records, rendering, failure=Made().wrong_key().records))
    headings = [line for line in text.splitlines() if line.startswith("## ")]
    assert headings[:8] == [f"## {part}. {title}" for part, title in PARTS.items()]
    assert "> **The proposal**" in text and "| IKE_SA_INIT | key exchange |" in text
    assert text.count("```") % 2 == 0
