"""Algorithms and proposals in the words of an operator."""

from __future__ import annotations

from collections.abc import Iterable

from ikescope.crypto.suites import ENCRYPTIONS, INTEGRITIES, PRFS
from ikescope.events.base import ProposalFact, TransformFact
from ikescope.wire import Proposal, Transform
from ikescope.wire.registry import TRANSFORM_IDS, OtherTransformId, TransformType

AXIS_NAMES: dict[int, str] = {1: "encryption", 2: "PRF", 3: "integrity", 4: "key exchange", 5: "ESN"}
"""A transform type as an operator calls it."""

_ROW_NAMES: dict[tuple[int, int, int], str] = {
    **{(1, id, bits): row.name for (id, bits), row in ENCRYPTIONS.items()},
    **{(2, id, 0): row.name for id, row in PRFS.items()},
    **{(3, id, 0): row.name for id, row in INTEGRITIES.items()},
    (3, 0, 0): "no integrity",
    (4, 0, 0): "no key exchange",
    (5, 0, 0): "no ESN",
    (5, 1, 0): "ESN",
}


def axis_text(type: int) -> str:
    """The transform type in words: `encryption`, or `transform type ADDKE1 (6)` for one that has none here."""
    return AXIS_NAMES.get(type) or f"transform type {TransformType.of(type)}"


def transform_text(type: int, id: int, key_length: int | None = None) -> str:
    """A transform in IOS's words: `AES-CBC-256`, `SHA512`, `group 19`; the registry's name where IOS has none.

    `key_length` is in bits, None where the transform has no Key Length attribute.
    """
    name = _ROW_NAMES.get((type, id, key_length or 0))
    if name is not None:
        return name
    if type == TransformType.KE:
        return f"group {id}"
    label = TRANSFORM_IDS.get(type, OtherTransformId).of(id).label.removeprefix("ENCR_").replace("_", "-")
    return f"{label}-{key_length}" if isinstance(key_length, int) else label


def transforms_text(transforms: Iterable[Transform]) -> str:
    """Several transforms, a comma between them; `none` for none."""
    return ", ".join(transform_text(int(one.type), int(one.id), one.key_length) for one in transforms) or "none"


def facts(proposals: Iterable[Proposal]) -> tuple[ProposalFact, ...]:
    """Proposals as events carry them."""
    return tuple(
        ProposalFact(
            number=one.number,
            protocol=int(one.protocol),
            spi=one.spi.hex(),
            transforms=tuple(TransformFact(int(each.type), int(each.id), each.key_length) for each in one.transforms),
        )
        for one in proposals
    )
