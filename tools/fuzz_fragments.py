"""Fragments of IKE messages in any order, number and disagreement, for the fuzzing of reassembly (RFC 7383)."""

import random
from collections.abc import Callable

from tools.fuzz_inputs import Source

from ikescope.engine.fragments import HELD_OCTETS, HELD_UNPROVEN, Reassembly, Rejected, Whole, parts
from ikescope.wire.encrypted import EncryptedFragmentPayload
from ikescope.wire.registry import PayloadType

EXCHANGES = (35, 36, 37)
KEYS = [(response, number) for response in (False, True) for number in range(3)]
HEADER_OCTETS = 28 + 8


class Fragments:
    """One IKE SA's reassembly. Only fragments whose ICV was right come here: what a hostile peer itself sends."""

    def __init__(self, timed: Callable[[Callable[[], object]], float]) -> None:
        self.timed = timed
        self.reassembly = Reassembly()
        self.sent: dict[tuple[bool, int], set[bytes]] = {}

    def __call__(self, data: bytes) -> float:
        """Send what is made of a datagram in fragments; AssertionError when more is held, or other octets come out."""
        source = random.Random(data)
        key, exchange = source.choice(KEYS), source.choice(EXCHANGES)
        if source.random() < 0.02:
            self.reassembly.clear()
            self.sent.clear()
        limit = source.choice((HELD_OCTETS, HELD_UNPROVEN))
        pieces = list(parts(data or b"\0", source.choice((1, 8, 64, 100, 400))))
        source.shuffle(pieces)
        return max([self._one(key, exchange, *self._mutated(piece, source), limit) for piece in pieces[:20]])

    def _mutated(self, piece: tuple[int, int, bytes], source: Source) -> tuple[int, int, bytes]:
        number, total, octets = piece
        chance = source.random()
        if chance < 0.03:
            total = source.choice((1, 2, total + 1, 128, 129, 0xFFFF))
        if chance < 0.02:
            number = source.choice((1, total, min(number, total)))
        if 0.03 < chance < 0.06:
            octets = source.randbytes(source.choice((0, 1, 9000, 60000)))
        return min(number, total), total, octets

    def _one(self, key: tuple[bool, int], exchange: int, number: int, total: int, octets: bytes, limit: int) -> float:
        first = PayloadType.of(41 if number == 1 else 0)
        fragment = EncryptedFragmentPayload(first, number, total, octets)
        datagram = bytes(HEADER_OCTETS) + octets
        outcome: list[object] = []

        def take() -> None:
            refused = self.reassembly.judge(key, exchange, fragment)
            if refused is None:
                outcome.append(self.reassembly.take(key, exchange, fragment, datagram, octets, limit))
            else:
                outcome.append(refused)

        seconds = self.timed(take)
        self._check(key, outcome[0], octets, limit)
        return seconds

    def _check(self, key: tuple[bool, int], outcome: object, octets: bytes, limit: int) -> None:
        sent = self.sent.setdefault(key, set())
        if not isinstance(outcome, Rejected):
            sent.add(octets)
        if isinstance(outcome, Whole):
            rest = outcome.opened.inner
            assert len(outcome.opened.sizes) <= 128
            assert sum(outcome.opened.sizes) == len(rest) + HEADER_OCTETS * len(outcome.opened.sizes)
            assert octets in rest
            sent.clear()
        for response in (False, True):
            held = sum(one.octets for (way, _), one in self.reassembly.messages.items() if way is response)
            assert held <= HELD_OCTETS, held
        assert len(self.reassembly.messages) <= len(KEYS)
        assert limit <= HELD_OCTETS
