"""The words of ASA 8.4 to 9.1 for what later releases print otherwise, turned into the later ones.

Unsourced here: no transcript of that age was to be had. The manner is that of Cisco's own examples: `Tx [L a/R b/VRF
i0:f0] m_id: 0x0`, `HDR[i:... - r: ...]`, a header over three lines, each line of a proposal with a prefix.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

SYNONYMS = {
    "Sending initial message": "Generating IKE_SA_INIT message",
    "Processing initial message": "Processing IKE_SA_INIT message",
    "Complete SA init exchange": "Completed SA init exchange",
    "Sending auth message": "Generating IKE_AUTH message",
    "Processing auth message": "Processing IKE_AUTH message",
    "Get peer authentication method": "Get peer's authentication method",
    "Verify authentication data": "Verify peer's authentication data",
    "Verification of peer's authentication data PASSED": "Verification of peer's authenctication data PASSED",
    "Starting timer to wait for auth message (30 sec)": "Starting timer (30 sec) to wait for auth message",
    "SA created; inserting SA into database": (
        "IKEV2 SA created; inserting SA into database. SA lifetime timer (0 sec) started"
    ),
}
"""A line's text -> that of later releases. A lifetime of 0 stands for one that is not told."""

_PACKET = re.compile(
    r"(?P<way>Tx|Rx) \[L (?P<local>\S{1,60})/R (?P<remote>\S{1,60})/VRF \S{1,20}\]"
    r"\s*(?:m_id: 0x(?P<id>[0-9A-Fa-f]{1,8}))?"
)
_SPIS = re.compile(r"HDR\[i:\s?(?P<i>[0-9A-Fa-f]{16}) - r:\s?(?P<r>[0-9A-Fa-f]{16})\]")
_FIRST = re.compile(r"Next payload: (?P<first>\S{1,40}), version: \d{1,2}\.\d{1,2}")
_EXCHANGE = re.compile(r"Exchange type: (?P<exchange>\w{1,40}), flags: (?P<flags>[\w -]{1,60})")
_LENGTH = re.compile(r"Message id: (?:0x)?(?P<id>[0-9A-Fa-f]{1,8}), length: (?P<length>\d{1,9})")
_DUMP = re.compile(
    r"last (?:proposal|transform): |type: \d|Proposal: \d{1,3}, Protocol id|\S{1,80}\s+Next payload: \S{1,40}, reserved"
)

Later = tuple[str, str, str]
"""Kind (`PROTO`, or empty for a line without prefix), initiator's SPI where it is told (else empty), text."""


@dataclass(slots=True)
class Old:
    """What the lines of one header have told so far."""

    packet: re.Match[str] | None = None
    first: str = ""
    exchange: re.Match[str] | None = None

    def later(self, kind: str, text: str) -> list[Later] | None:
        """A line as later releases write it, which may be none or several; None where they write it so themselves."""
        if kind != "PROTO":
            return None
        if text in SYNONYMS:
            return [(kind, "", SYNONYMS[text])]
        if found := _PACKET.fullmatch(text):
            self.packet = found
            return []
        if self.packet is not None and (found := _SPIS.fullmatch(text)):
            return self._headed(self.packet, found)
        if text.startswith("IKEV2 HDR ispi:"):
            return []
        if found := _FIRST.fullmatch(text):
            self.first = found["first"]
            return []
        if found := _EXCHANGE.fullmatch(text):
            self.exchange = found
            way = "RESPONSE" if "RESPONSE" in found["flags"] else "REQUEST"
            return [("", "", f"IKEv2 {found['exchange']} Exchange {way}")]
        if self.exchange is not None and (found := _LENGTH.fullmatch(text)):
            return self._whole(self.exchange, found)
        return [("", "", text)] if _DUMP.match(text) else None

    def _headed(self, packet: re.Match[str], spis: re.Match[str]) -> list[Later]:
        self.packet = None
        sent = packet["way"] == "Tx"
        ends = (
            f"To {packet['remote']}/From {packet['local']}" if sent else f"From {packet['remote']}/To {packet['local']}"
        )
        number = int(packet["id"] or "0", 16)
        return [
            ("PROTO", spis["i"].lower(), f"{'Sending' if sent else 'Received'} Packet [{ends}/VRF i0:f0]"),
            ("", "", f"Initiator SPI : {spis['i']} - Responder SPI : {spis['r']} Message id: {number}"),
        ]

    def _whole(self, exchange: re.Match[str], found: re.Match[str]) -> list[Later]:
        self.exchange = None
        text = f"Next payload: {self.first or 'NONE'}, version: 2.0 Exchange type: {exchange['exchange']}, "
        text += f"flags: {exchange['flags'].strip()} Message id: {int(found['id'], 16)}, length: {found['length']}"
        return [("PROTO", "", text)]
