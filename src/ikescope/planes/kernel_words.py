"""The kernel's counters of IPsec (/proc/net/xfrm_stat) in words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

WORDS: dict[str, str] = {
    "XfrmInError": "the kernel could not take the packet in",
    "XfrmInBufferError": "the kernel had no buffer for the packet",
    "XfrmInHdrError": "the ESP header is malformed",
    "XfrmInNoStates": "no SA has this SPI",
    "XfrmInStateProtoError": "integrity check failed",
    "XfrmInStateModeError": "the packet inside does not fit the SA's mode",
    "XfrmInStateSeqError": "sequence number replayed or outside the window",
    "XfrmInStateExpired": "the SA reached its limit by traffic",
    "XfrmInStateMismatch": "inner packet does not match the SA's selectors, or came with or without UDP as not agreed",
    "XfrmInStateInvalid": "the SA was being taken out",
    "XfrmInTmplMismatch": "inner packet does not match the SA's selectors",
    "XfrmInNoPols": "no policy covers the packet that came protected",
    "XfrmInPolBlock": "a policy of this host blocks the packet",
    "XfrmInPolError": "a policy of this host failed",
    "XfrmOutError": "the kernel could not send the packet",
    "XfrmOutBundleGenError": "no way to the peer for the packet",
    "XfrmOutBundleCheckError": "the way to the peer changed",
    "XfrmOutStateProtoError": "the packet could not be encrypted",
    "XfrmOutStateModeError": "the packet does not fit the SA's mode",
    "XfrmOutStateSeqError": "the SA has no sequence number left",
    "XfrmOutStateExpired": "the SA reached its limit by traffic",
    "XfrmOutPolBlock": "a policy of this host blocks the packet",
    "XfrmOutPolDead": "the policy was being taken out",
    "XfrmOutPolError": "a policy of this host failed",
    "XfrmFwdHdrError": "the packet to forward is malformed",
    "XfrmOutStateInvalid": "the SA was being taken out",
    "XfrmAcquireError": "nobody was asked for an SA",
    "XfrmOutStateDirError": "the SA is for the other direction",
    "XfrmInStateDirError": "the SA is for the other direction",
}
"""What each counter counts, in the words of `esp.dropped`; XfrmOutNoStates is told as `traffic.held`."""

NO_STATES = "XfrmOutNoStates"
"""Packets that met a policy whose SA was not there (yet)."""
UNKNOWN = "XfrmInNoStates"
"""ESP packets whose SPI nobody here has."""


def read(text: str) -> dict[str, int]:
    """The counters by name; a line that is none is passed over."""
    found = {}
    for line in text.splitlines():
        name, _, number = line.partition("\t")
        if number.isdigit():
            found[name.strip()] = int(number)
    return found


def risen(before: Mapping[str, int], after: Mapping[str, int], tied: Mapping[str, int]) -> Iterator[tuple[str, int]]:
    """What was dropped since, in words, and how often; `tied`: what of it was told of an SA, by the counter's name."""
    found: dict[str, int] = {}
    for name, number in after.items():
        rose = number - before.get(name, 0) - tied.get(name, 0)
        if rose > 0 and name != NO_STATES:
            word = WORDS.get(name, f"the kernel counts {name}")
            found[word] = found.get(word, 0) + rose
    return iter(found.items())
