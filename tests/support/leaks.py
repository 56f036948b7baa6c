"""Searches outputs for secrets: raw, in hexadecimal however it is spaced, in base64 wherever it begins."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Mapping

SURE = 6
"""Octets from which on a find is no chance."""


def in_base64(octets: bytes) -> list[str]:
    """What stands in a base64 text that holds these octets, whatever stands before and after them."""
    found = []
    for before in range(3):
        coded = base64.b64encode(bytes(before) + octets).decode().rstrip("=")
        found.append(coded[(before * 8 + 5) // 6 : (before + len(octets)) * 8 // 6])
    return found


def leaks(outputs: Mapping[str, bytes], secrets: Mapping[str, bytes]) -> list[str]:
    """`secret in output (form)` for each that is found; a secret of fewer than `SURE` octets is refused."""
    assert all(len(octets) >= SURE for octets in secrets.values()), "too short to be sure of"
    found = []
    for name, output in outputs.items():
        text = output.decode("latin-1")
        dense = re.sub(r"[^0-9a-f]", "", text.lower())
        for what, octets in secrets.items():
            forms = {
                "raw": octets in output,
                "hexadecimal": octets.hex() in dense,
                "base64": any(part in text for part in in_base64(octets)),
                "repr": repr(octets)[2:-1] in text,
            }
            found += [f"{what} in {name} ({form})" for form, there in forms.items() if there]
    return found


def named(kind: str, values: Iterable[bytes]) -> dict[str, bytes]:
    """Secrets of one kind, numbered, each once, the empty ones (an AEAD's integrity keys) left out."""
    return {f"{kind} {number}": value for number, value in enumerate(sorted(set(values)), 1) if value}
