"""What the tour claims, checked against its own capture and output: each a line that says yes or no."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

import msgspec

from ikescope.capture.frames import unframe
from ikescope.config.model import RouterConfig
from ikescope.demo.stage import Echoed, Frame

_IKE_SPI = re.compile(r"\b(?:0x)?([0-9A-F]{16})\b")
_ESP_SPI = re.compile(r"\b0x([0-9A-F]{8})\b")
_ICMP, _GRE = 1, 47
_ETHERNET, _RAW = 1, 101


class Check(msgspec.Struct, frozen=True):
    """One claim and whether it held."""

    held: bool
    claim: str

    @property
    def line(self) -> str:
        """For the screen."""
        return f"{'yes' if self.held else 'NO '}  {self.claim}"


def quiet_before(frames: Sequence[Frame]) -> Check:
    """No IKE before the first ping; `frames` are those until then."""
    count = sum(frame.ike for frame in frames)
    return Check(not count, f"before the first ping {count} IKE packets (UDP 500 and 4500) were on the wire")


def spis_on_the_wire(printed: Iterable[str], frames: Sequence[Frame], *, esp_too: bool = True) -> Check:
    """Every SPI printed stands in a captured packet: an IKE SPI in an IKE header, an ESP SPI before ESP.

    Without `esp_too` only the IKE SPIs: an ESP SPI that was offered in vain is on the wire in encrypted form alone.
    """
    text = "\n".join(printed)
    ike = set(_IKE_SPI.findall(text)) - {"0" * 16}
    esp = set(_ESP_SPI.findall(text)) if esp_too else set()
    seen: set[str] = set()
    for frame in frames:
        found = unframe(frame.link, frame.octets)
        if found is not None and found.ike and len(found.data) >= 28:
            seen |= {found.data[:8].hex().upper(), found.data[8:16].hex().upper()}
        elif found is not None:
            seen.add(found.data[:4].hex().upper())
    missing = sorted((ike | esp) - seen)
    both = f"{len(ike)} for IKE" + (f", {len(esp)} for ESP" if esp_too else "")
    claim = f"every {'SPI' if esp_too else 'IKE SPI'} printed above is in the capture too: {both}"
    return Check(not missing and bool(ike), claim + (f"; missing: {', '.join(missing)}" if missing else ""))


def nothing_in_clear(frames: Sequence[Frame]) -> Check:
    """No packet between the routers is ICMP or GRE: what the LANs sent went out as ESP only."""
    protocols = [_protocol(frame) for frame in frames]
    clear = sum(one in (_ICMP, _GRE) for one in protocols)
    esp = sum(_is_esp(frame) for frame in frames)
    return Check(not clear, f"between the routers {esp} packets were ESP, {clear} were packets of the LANs in clear")


def _protocol(frame: Frame) -> int | None:
    packet = frame.octets[14:] if frame.link == _ETHERNET and frame.octets[12:14] == b"\x08\x00" else frame.octets
    if frame.link == _ETHERNET and packet is frame.octets:
        return None
    return packet[9] if len(packet) >= 20 and packet[0] >> 4 == 4 else None


def _is_esp(frame: Frame) -> bool:
    found = unframe(frame.link, frame.octets)
    return found is not None and not found.ike


def none_lost(what: str, echoed: Sequence[Echoed]) -> Check:
    """Every echo request was answered."""
    lost = sum(one.milliseconds is None for one in echoed)
    return Check(bool(echoed) and not lost, f"{what}: {len(echoed)} echo requests, {lost} lost")


def in_order(parts: Sequence[int], wanted: Sequence[int]) -> Check:
    """The parts came, each after the one before."""
    return Check(list(parts) == list(wanted), f"the parts came in order: {' '.join(map(str, parts))}")


def secrets(configs: Iterable[RouterConfig]) -> set[bytes]:
    """Every pre-shared key of some configurations."""
    peers = [peer for config in configs for keyring in config.keyrings.values() for peer in keyring.peers]
    profiles = [profile for config in configs for profile in config.profiles.values()]
    pairs = [(peer.local_key, peer.remote_key) for peer in peers]
    pairs += [(profile.local_key, profile.remote_key) for profile in profiles]
    return {key.octets for pair in pairs for key in pair if key is not None}


def no_secret(keys: Iterable[bytes], printed: Iterable[str], written: Iterable[bytes]) -> Check:
    """No pre-shared key in what was printed or written."""
    octets = ["\n".join(printed).encode(), *written]
    found = sum(key in one for key in keys for one in octets)
    return Check(not found, "no pre-shared key was printed or written to a file")


def summed_up(checked: Sequence[Check]) -> tuple[str, ...]:
    """The answer of a whole tour, then each claim."""
    failed = sum(not check.held for check in checked)
    answer = (
        f"{failed} of {len(checked)} things that this tour claims did not hold."
        if failed
        else "The tunnel came up, was rekeyed in every way and lost no packet; then one wrong key kept it down."
    )
    return answer, *(f"{'Held' if check.held else 'DID NOT HOLD'}: {check.claim}." for check in checked)
