"""The order of a text's messages, and the years of its stamps."""

from __future__ import annotations

import pytest

from ikescope.events import Record
from ikescope.ios import asa, debug_read
from ikescope.ios.debug_order import ordered

PREFIX = "IKEv2:(SESSION ID = 5,SA ID = 1):"
DAY_END, DAY_BEGIN = "*Dec 31 23:59:58.100", "*Jan  1 00:00:00.100"


def test_a_new_year_in_a_log() -> None:
    """Stamps that name no year fall back by one at its end: time goes on."""
    lines = [f"{at}: {PREFIX}Retransmitting packet" for at in (DAY_END, DAY_BEGIN)]
    found = [one.stamp.mono for one in debug_read.read(lines) if isinstance(one, Record)]
    assert found == pytest.approx([0.0, 2.0])


def test_a_new_year_in_a_log_of_an_asa() -> None:
    """Likewise there."""
    text = "IKEv2-PROTO-1: (5): Failed to receive the AUTH msg before the timer expired"
    lines = [f"Dec 31 2021 23:59:58: {text}", f"Jan 01 00:00:00: {text.replace('(5)', '(6)')}"]
    found = [one.stamp.mono for one in asa.read(lines, year=2021) if isinstance(one, Record)]
    assert found == pytest.approx([0.0, 2.0])


def test_messages_of_one_second_by_their_numbers() -> None:
    """A server that mixed the messages of a second did not mix their numbers; lines without a head stay with theirs."""
    lines = ["000002: *Nov 11 19:30:34.812: two", " more of two", "000001: *Nov 11 19:30:34.812: one"]
    assert list(ordered(enumerate(lines, 1))) == [(3, lines[2]), (1, lines[0]), (2, lines[1])]


def test_messages_of_one_second_by_their_stamps() -> None:
    """Without numbers the stamps tell."""
    lines = ["*Nov 11 19:30:34.900: two", "*Nov 11 19:30:34.100: one", "*Nov 11 19:30:39.100: three"]
    assert [text[-3:] for _, text in ordered(enumerate(lines, 1))] == ["one", "two", "ree"]


def test_a_text_in_order_is_left_alone() -> None:
    """Nothing is held back where nothing is out of order, a step back of hours included."""
    lines = ["*Nov 11 19:30:34.900: one", "*Nov 11 08:30:34.100: two", "*Nov 11 08:30:35.100: three"]
    assert [text for _, text in ordered(enumerate(lines, 1))] == lines
