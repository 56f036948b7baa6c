"""Open enumerations: the numbers of a registry, where a number nobody assigned yet survives and prints."""

from __future__ import annotations

from enum import IntEnum
from typing import Any, Self


class OpenEnum(IntEnum):
    """An IntEnum whose unknown numbers are members too, named PREFIX_number.

    `str()` gives `NAME (number)`; `label` gives NAME alone. Equality and hash are those of the number, so an unknown
    number read twice is equal, and a member equals its bare int. Unknown members are not kept anywhere: a peer cannot
    make the table grow.
    """

    def __init_subclass__(cls, *, prefix: str = "NUMBER", **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls._label_prefix = prefix  # type: ignore[attr-defined]  # an annotation here would declare a member

    @classmethod
    def of(cls, value: int) -> Self:
        """Return the member of a number that came off the wire; what `cls(value)` does, faster."""
        member = cls._value2member_map_.get(value)
        return cls._unassigned(value) if member is None else member  # type: ignore[return-value]

    @classmethod
    def _unassigned(cls, value: int) -> Self:
        member = int.__new__(cls, value)
        member._name_ = f"{cls._label_prefix}_{int(value)}"  # type: ignore[attr-defined]
        member._value_ = value
        return member

    @classmethod
    def _missing_(cls, value: object) -> Self | None:
        if isinstance(value, int) and value >= 0:
            return cls._unassigned(int(value))
        return None

    @property
    def label(self) -> str:
        """The name alone: COOKIE, or NOTIFY_40960 where the registry has none."""
        return self._name_

    @property
    def assigned(self) -> bool:
        """Whether the registry of this build holds the number."""
        return self._value_ in type(self)._value2member_map_

    def __str__(self) -> str:
        return f"{self._name_} ({self._value_})"

    def __format__(self, spec: str) -> str:
        return int.__format__(self, spec) if spec[-1:] in "bcdoxXeEfFgGn%" and spec else format(str(self), spec)

    __hash__ = int.__hash__
