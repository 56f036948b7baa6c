"""A key near to ours would have fitted: in words, never with a key."""

from __future__ import annotations

from ikescope.events.negotiation import AuthNearMiss

_SLIPS: dict[tuple[object, object], str] = {
    ("trailing_blank", "peer"): "the key of {peer} ends with a blank that the one of {router} has not",
    ("trailing_blank", "local"): "the key of {router} ends with a blank that the one of {peer} has not",
    ("quotes", "peer"): "the key of {peer} has quotes around it that are part of the key there",
    ("quotes", "local"): "the key of {router} has quotes around it that are part of the key there",
    ("line_end", "peer"): "the key of {peer} ends with a line end (CR or LF), which belongs to a file and not to a key",
    (
        "line_end",
        "local",
    ): "the key of {router} ends with a line end (CR or LF), which belongs to a file and not to a key",
}
_SAME: dict[object, str] = {
    "trailing_blank": "one of the keys ends with a blank",
    "quotes": "one of the keys has quotes around it that are part of it",
    "line_end": "one of the keys ends with a line end",
    "hex_as_text": "{router} has as characters what {peer} has as hexadecimal digits: the same key, read in two ways",
    "text_as_hex": "{router} has as hexadecimal digits what {peer} has as characters: the same key, read in two ways",
    "case": "the keys differ in upper and lower case and in nothing else",
    "swapped": "local and remote key are swapped at one of the two ends",
    "other_peer": "{peer} uses the key that {router} has for {block}",
}


def slip(event: AuthNearMiss, router: str, peer: str) -> str:
    """By which slip of the hand the keys differ, without a full stop; empty for a kind that is not known."""
    block = event.keyring_block if isinstance(event.keyring_block, str) else "another peer"
    text = _SLIPS.get((event.kind, event.by)) or _SAME.get(event.kind, "")
    return text.format(router=router or "this router", peer=peer or "the peer", block=block)
