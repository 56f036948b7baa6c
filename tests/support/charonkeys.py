"""Key tables for tshark out of the log of a charon that was started with `log_keys`."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.tshark import write_tables

ENCRYPTION = {
    "AES_CBC_128": "AES-CBC-128 [RFC3602]",
    "AES_CBC_256": "AES-CBC-256 [RFC3602]",
    "AES_GCM_16_128": "AES-GCM-128 with 16 octet ICV [RFC5282]",
    "AES_GCM_16_256": "AES-GCM-256 with 16 octet ICV [RFC5282]",
}
INTEGRITY = {
    "HMAC_SHA1_96": "HMAC_SHA1_96 [RFC2404]",
    "HMAC_SHA2_256_128": "HMAC_SHA2_256_128 [RFC4868]",
    "HMAC_SHA2_384_192": "HMAC_SHA2_384_192 [RFC4868]",
    "HMAC_SHA2_512_256": "HMAC_SHA2_512_256 [RFC4868]",
}
ESP_ENCRYPTION = {"AES_CBC": "AES-CBC [RFC3602]", "AES_GCM_16": "AES-GCM with 16 octet ICV [RFC4106]"}
ESP_INTEGRITY = {
    "HMAC_SHA1_96": "HMAC-SHA-1-96 [RFC2404]",
    "HMAC_SHA2_256_128": "HMAC-SHA-256-128 [RFC4868]",
    "HMAC_SHA2_384_192": "HMAC-SHA-384-192 [RFC4868]",
    "HMAC_SHA2_512_256": "HMAC-SHA-512-256 [RFC4868]",
}
"""strongSwan's name of an algorithm -> Wireshark's."""

LINE = re.compile(r"^\S+ \d+\[(?P<group>\w+)\] (?P<text>.*)$")
DUMP = re.compile(r"^(?P<name>.+?) => \d+ bytes @ ")
ROW = re.compile(r"^ *\d+: (?P<octets>(?:[0-9A-F]{2} )+)")


@dataclass(slots=True)
class _State:
    """What the log has said up to a line."""

    keys: dict[str, str] = field(default_factory=dict)
    suite: tuple[str, str] = ("", "")
    esp: dict[str, str] = field(default_factory=dict)
    initiator: bool = False
    inbound: bool = False


def entries(log: str) -> Iterator[tuple[str, str]]:
    """The log's lines without stamp; a dump of octets is one entry: its name and its hex digits."""
    name = digits = ""
    for line in log.splitlines():
        match = LINE.match(line)
        text = match["text"] if match else ""
        if row := ROW.match(text):
            digits += row["octets"].replace(" ", "").lower()
            continue
        if name:
            yield name, digits
        dump = DUMP.match(text)
        name, digits = (dump["name"], "") if dump else ("", "")
        if not dump:
            yield text, ""
    if name:
        yield name, digits


def tables(log: str, ike_spis: Sequence[tuple[str, str]], directory: Path) -> Path:
    """Write the key tables that the log holds into `directory`.

    `ike_spis` are the SPIs (initiator's, responder's; hex) of the IKE SAs in the order they were made: the log does not
    tell them, `Strongswan.sas` does.
    """
    state = _State()
    ike: list[str] = []
    esp: list[str] = []
    for text, digits in entries(log):
        if digits:
            state.keys[text] = digits
            if text == "Sk_er secret":
                ike.append(_ike_line(ike_spis[len(ike)], state))
        elif match := re.search(r"selected proposal: IKE:([^/]+)/([^/]+)/", text):
            state.suite = (match[1], match[2])
        elif match := re.match(r"(generating|parsed) (?:IKE_AUTH|CREATE_CHILD_SA) request", text):
            state.initiator = match[1] == "generating"
        elif match := re.match(r" *using (\w+) for (encryption|integrity)", text):
            state.esp = {**(state.esp if match[2] == "integrity" else {}), match[2]: match[1]}
        elif match := re.match(r"(?:adding|registering) (inbound|outbound) ESP SA", text):
            state.inbound = match[1] == "inbound"
        elif match := re.match(r" *SPI (0x[0-9a-f]{8}), src (\S+) dst (\S+)", text):
            esp.append(_esp_line(match[1], match[2], match[3], state))
    return write_tables(directory, ike=ike, esp=esp)


def _ike_line(spis: tuple[str, str], state: _State) -> str:
    encryption, integrity = state.suite
    keys = [state.keys.get(f"Sk_{name} secret", "") for name in ("ei", "er", "ai", "ar")]
    if integrity not in INTEGRITY:
        keys[2:] = ["", ""]
    check = INTEGRITY.get(integrity, "NONE [RFC4306]")
    return f'{spis[0]},{spis[1]},{keys[0]},{keys[1]},"{ENCRYPTION[encryption]}",{keys[2]},{keys[3]},"{check}"'


def _esp_line(spi: str, source: str, destination: str, state: _State) -> str:
    # RFC 7296 section 2.17: the initiator's keys protect what the initiator of the exchange sends.
    sender = "initiator" if state.initiator != state.inbound else "responder"
    integrity = state.esp.get("integrity", "")
    check = ESP_INTEGRITY.get(integrity, "NULL")
    key = state.keys.get(f"integrity {sender} key", "") if check != "NULL" else ""
    secret = state.keys[f"encryption {sender} key"]
    encryption = ESP_ENCRYPTION[state.esp["encryption"]]
    return f'"IPv4","{source}","{destination}","{spi}","{encryption}","0x{secret}","{check}","0x{key}"'
