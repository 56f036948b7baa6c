"""Reading of the vectors; each file under `vectors/` names its source."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

_FOLDER = Path(__file__).parent / "vectors"


def load(name: str) -> dict[str, Any]:
    """One vector file."""
    content: dict[str, Any] = json.loads((_FOLDER / f"{name}.json").read_text(encoding="ascii"))
    return content


def names(vectors: list[dict[str, Any]]) -> list[str]:
    """Their names, as test IDs."""
    return [vector["name"] for vector in vectors]


def octets(text: str) -> bytes:
    """Hex to octets."""
    return bytes.fromhex(text)
