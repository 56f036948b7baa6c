"""Trees as JSON by what was seen before: the JSON of the trees."""

from __future__ import annotations

from functools import cache

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from ikescope.bench.read import session
from ikescope.events.message import MessageReceived, MessageSent
from ikescope.wire.message import encode_chain
from ikescope.wire.notify import NotifyPayload
from ikescope.wire.registry import NotifyType, PayloadType
from ikescope.wire.tree import inner, tree
from ikescope.wire.tree_json import TreeWriter

_Told = tuple[bytes, bytes | None, PayloadType | None]


@cache
def told() -> list[_Told]:
    """Messages of two sessions, with what their Encrypted payloads held."""
    found: list[_Told] = []
    for record in [one for seed in (1, 2) for one in session(seed).records]:
        event = record.event
        if isinstance(event, MessageSent | MessageReceived) and isinstance(event.octets, bytes):
            opened = event.opened if isinstance(event.opened, bytes) else None
            first = PayloadType.of(event.opened_first) if isinstance(event.opened_first, int) else None
            found.append((event.octets, opened, first))
    return found


def test_the_json_of_a_message_is_that_of_its_tree() -> None:
    """Whatever was written before, a message is written as its tree is encoded."""
    writer = TreeWriter()
    for data, opened, first in told() * 2:
        assert writer.write(data, opened, first) == msgspec.json.encode(tree(data, opened, first))
        assert writer.write(data) == msgspec.json.encode(tree(data))
        if opened is not None and first is not None:
            assert writer.inner(opened, first) == msgspec.json.encode(inner(opened, first))


@given(st.data())
def test_damaged_messages_are_written_as_their_trees(data: st.DataObject) -> None:
    """Octets changed anywhere, cut or added: still the JSON of the tree, with a writer that saw the message whole."""
    octets, opened, first = data.draw(st.sampled_from(told()))
    writer = TreeWriter()
    writer.write(octets, opened, first)
    for held in (octets, opened or b""):
        changed = bytearray(held)
        for place in data.draw(st.lists(st.integers(0, max(len(held) - 1, 0)), max_size=4)):
            changed[place : place + 1] = data.draw(st.binary(min_size=1, max_size=1))
        made = bytes(changed[: data.draw(st.integers(0, len(changed)))]) + data.draw(st.binary(max_size=4))
        assert writer.write(made, opened, first) == msgspec.json.encode(tree(made, opened, first))
        assert writer.write(octets, made, first) == msgspec.json.encode(tree(octets, made, first))


@given(st.binary(max_size=40), st.binary(max_size=255), st.sampled_from(list(NotifyType)))
def test_notifies_are_written_as_their_trees(data: bytes, spi: bytes, kind: NotifyType) -> None:
    """The data of a notify and its SPI may be anything, what stands in for them in a form too."""
    writer = TreeWriter()
    for held, about in ((bytes(len(data)), bytes(len(spi))), (data, spi), (bytes.fromhex("d73ea951"), spi)):
        first, chain = encode_chain([NotifyPayload(kind, held, spi=about)] * 2)
        assert writer.inner(chain, first) == msgspec.json.encode(inner(chain, first))


def test_what_is_remembered_is_bounded() -> None:
    """Payloads that never come again push out others, nothing grows."""
    writer = TreeWriter()
    for number in range(5000):
        first, chain = encode_chain([NotifyPayload(NotifyType.AUTH_LIFETIME, number.to_bytes(4, "big"))])
        writer.inner(chain, first)
    assert len(vars(writer)["_seen"]) <= 4096
