"""Rows of the catalogue that are read and never printed: other words of the same, and lines that pages changed."""

from __future__ import annotations

from ikescope.events import life, message, negotiation
from ikescope.ios.catalogue import Line, Row, error
from ikescope.wire.registry import ExchangeType

AUTH = int(ExchangeType.IKE_AUTH)
_NO_ITEM = ": Failed to locate an item in the database"

READ: tuple[Row, ...] = (
    *(
        Row(
            message.ResponseRefused,
            error(f": Received {words} notify"),
            "unsourced",
            "in the manner of `Received no proposal chosen notify`",
            when={"notify": number, "exchange": AUTH},
        )
        for words, number in (("authentication failure", 24), ("TS unacceptable", 38))
    ),
    Row(
        negotiation.KeyringSearched,
        (
            Line("bare", "% Getting preshared key from profile keyring {keyring}"),
            Line("bare", "% Matched peer block {block}"),
        ),
        "seen",
        "pages lose the quotes",
        principal=1,
    ),
    Row(
        negotiation.ProfileNotFound,
        (Line("error-bare", "% IKEv2 profile not found"), *error(_NO_ITEM)),
        "seen",
        "both tails of 33, one after the other",
    ),
    Row(
        negotiation.NatChecked,
        (Line("sa", "NAT detected float to init port 4500, resp port 4500"),),
        "seen",
        "without the line before it",
        when={"floated": True},
    ),
    Row(
        life.ConnectDecided,
        (Line("sa", "SA is already in negotiation, hence not negotiating again"),),
        "seen",
        "as Cisco's bug notes have it",
        when={"decision": "pending"},
    ),
)
"""Beside the rows that are printed; the reader takes whichever has the lines."""
