"""Events of a negotiation: policy, proposals, key exchange, NAT, identities, authentication."""

from __future__ import annotations

from typing import Literal

from ikescope.events.base import UNSET, AttributeFact, Event, IdentityFact, ProposalFact, SelectorFact, Tried, UnsetType


class KeyringSearched(Event, tag="keyring.searched"):
    """The key for a peer was looked up; `block` is the keyring's peer block that matched, None if none did.

    `tried` holds each block that was looked at, closest first.
    """

    profile: str
    keyring: str
    block: str | None
    peer: str
    tried: tuple[Tried, ...] = ()


class KeyNotFound(Event, tag="keyring.not_found", level="error"):
    """No key authenticates us (`local`) or the peer (`remote`); `tried` says of each block of the keyring why not.

    `keyring` is empty where the profile names none.
    """

    which: Literal["local", "remote"]
    profile: str
    keyring: str
    peer: str
    tried: tuple[Tried, ...]
    identity: IdentityFact | UnsetType = UNSET


class PolicySearched(Event, tag="policy.searched"):
    """The IKEv2 policy for a local address was looked up; `default_proposal` where no manual policy stands there.

    `policy` is None where none speaks for the address; `tried` holds each that was looked at.
    """

    local: str
    policy: str | None
    proposals: tuple[str, ...]
    default_proposal: bool
    tried: tuple[Tried, ...] = ()


class KeyExchangeComputed(Event, tag="key_exchange.computed", rfc="RFC 7296 section 2.8"):
    """Our public value, or the shared secret, of a key exchange; `octets` is its length.

    `exchange` is IKE_SA_INIT (34) where it is for the first keys of an IKE SA.
    """

    part: Literal["public", "secret"]
    group: int
    octets: int | UnsetType = UNSET
    exchange: int | UnsetType = UNSET


class ProposalSent(Event, tag="proposal.sent", rfc="RFC 7296 section 3.3"):
    """The proposals that our message carries: the offer of a request, the choice of a response."""

    protocol: int
    response: bool
    initial: bool
    proposals: tuple[ProposalFact, ...]


class ProposalChosen(Event, tag="proposal.chosen", rfc="RFC 7296 section 2.7"):
    """One transform of each type out of what was offered; `by` says whose choice it was.

    `order` names whose preference decided: a responder takes the first of its own list, or of the initiator's.
    """

    protocol: int
    by: Literal["local", "peer"]
    offered: tuple[ProposalFact, ...]
    chosen: ProposalFact
    why: str | UnsetType = UNSET


class ProposalRefused(Event, tag="proposal.refused", level="error", rfc="RFC 7296 section 2.7"):
    """Nothing offered is acceptable. `nearest` is the received proposal number that came closest, `ours` the name of
    the own proposal or transform-set that it came closest to, `axis` the first transform type that parts the two, with
    what was found and what was wanted. `axis` is absent where protocol or SPI differ. `tried` holds every pair.
    """

    protocol: int
    received: tuple[ProposalFact, ...]
    expected: tuple[ProposalFact, ...]
    nearest: int | UnsetType = UNSET
    axis: int | UnsetType = UNSET
    found: str | UnsetType = UNSET
    wanted: str | UnsetType = UNSET
    ours: str | UnsetType = UNSET
    tried: tuple[Tried, ...] = ()


class ChoiceRefused(Event, tag="proposal.choice_refused", level="error", rfc="RFC 7296 section 3.3.6"):
    """What the peer chose is not what we offered: `what` parts the two (a transform type, number, protocol, SPI),
    `axis` is its transform type where it is one.
    """

    protocol: int
    offered: tuple[ProposalFact, ...]
    chosen: tuple[ProposalFact, ...]
    what: str
    found: str
    wanted: str
    axis: int | UnsetType = UNSET


class GroupRefused(Event, tag="key_exchange.refused", level="notice", rfc="RFC 7296 section 1.3"):
    """A KE payload's group is not the one that was chosen (`by` local: we answer INVALID_KE_PAYLOAD), or the peer wants
    one that we cannot go along with (`by` peer). `found` is absent where there is no KE payload; `allowed` the groups
    that could be.
    """

    protocol: int
    by: Literal["local", "peer"]
    wanted: int
    allowed: tuple[int, ...]
    found: int | UnsetType = UNSET


class ModeRefused(Event, tag="mode.refused", level="error", rfc="RFC 7296 section 1.3.1"):
    """Tunnel mode was agreed, and the transform-sets of `tunnel` take transport mode only."""

    tunnel: str
    found: Literal["tunnel", "transport"]
    wanted: Literal["tunnel", "transport"]


class KeysDerived(Event, tag="keys.derived", rfc="RFC 7296 section 2.14"):
    """SKEYSEED and the SK_ keys of an IKE SA; `lengths` in octets by key name, never the keys."""

    rekey: bool
    prf: int
    lengths: dict[str, int]


class NatChecked(Event, tag="nat.checked", rfc="RFC 7296 section 2.23"):
    """What the NAT detection hashes say: whether we, or the peer, stand behind a NAT; `forced` if encapsulation is
    configured; `floated` where the ports move to 4500.
    """

    supported: bool
    local_behind: bool
    remote_behind: bool
    forced: bool
    floated: bool


class ConfigSent(Event, tag="config.sent", rfc="RFC 7296 section 3.15"):
    """A configuration payload of ours."""

    kind: int
    attributes: tuple[AttributeFact, ...]


class ConfigReceived(Event, tag="config.received", rfc="RFC 7296 section 3.15"):
    """A configuration payload of the peer's, as in ConfigSent."""

    kind: int
    attributes: tuple[AttributeFact, ...]


class AuthGenerated(Event, tag="auth.generated", rfc="RFC 7296 section 2.15"):
    """Our AUTH value was computed: method (IANA number), our identity, the key's length in characters.

    `peer` is the identity whose key it is, where it is known by then (to a responder).
    """

    method: int
    identity: IdentityFact
    key_length: int
    keyring_block: str | UnsetType = UNSET
    peer: IdentityFact | UnsetType = UNSET


class IdentitySent(Event, tag="identity.sent", rfc="RFC 7296 section 3.5"):
    """Our IDi or IDr."""

    kind: Literal["IDi", "IDr"]
    identity: IdentityFact


class AuthWaiting(Event, tag="auth.waiting"):
    """The responder waits `seconds` for the IKE_AUTH request."""

    seconds: float


class ChildlessAuth(Event, tag="auth.childless", level="detail", rfc="RFC 6023 section 3"):
    """IKE_AUTH makes the IKE SA alone, its Child SAs follow in exchanges of their own; `by`: which end wants it so."""

    by: str


class AuthArrived(Event, tag="auth.arrived"):
    """The IKE_AUTH request came in time; who stands behind a NAT, as the hashes of IKE_SA_INIT said, and whether
    all goes over port 4500 therefore.
    """

    local_behind: bool | UnsetType = UNSET
    remote_behind: bool | UnsetType = UNSET
    floated: bool | UnsetType = UNSET


class PeerIdentified(Event, tag="peer.identified", rfc="RFC 7296 section 3.5"):
    """The peer's IDr or IDi, as it claims it."""

    kind: Literal["IDi", "IDr"]
    identity: IdentityFact


class ProfileMatched(Event, tag="profile.matched"):
    """The IKEv2 profile that speaks to this peer, and each one that was tried."""

    profile: str
    tried: tuple[Tried, ...]


class ProfileNotFound(Event, tag="profile.not_found", level="error"):
    """No IKEv2 profile matches the peer's identity; `tried` says for each one why not."""

    identity: IdentityFact
    tried: tuple[Tried, ...]


class PolicyVerified(Event, tag="policy.verified"):
    """The policy found again for the identified peer admits what was negotiated."""


class AuthVerified(Event, tag="auth.verified", rfc="RFC 7296 section 2.15"):
    """The peer's AUTH value verifies: it holds the key and saw the same IKE_SA_INIT messages."""

    method: int
    identity: IdentityFact
    key_length: int


class AuthRefused(Event, tag="auth.refused", level="error", rfc="RFC 7296 section 2.15"):
    """The peer's AUTH value does not verify, or its method is not the one configured (`wanted`).

    `key_length` of the key that it was compared with, out of `keyring_block`; without one there is no key.
    """

    method: int
    identity: IdentityFact
    key_length: int | UnsetType = UNSET
    wanted: int | UnsetType = UNSET
    profile: str | UnsetType = UNSET
    keyring_block: str | UnsetType = UNSET


class AuthNearMiss(Event, tag="auth.near_miss", level="warning", rfc="RFC 7296 section 2.15"):
    """The AUTH value that did not verify does so with a key near to ours: the peer's differs by this slip.

    `by` has what the other has not (a blank, quotes, a line end). `keyring_block` is the peer block of the key that
    fits: another one where `kind` is other_peer. `hex_as_text`: ours are characters where the peer has the octets that
    they name as hexadecimal digits; `text_as_hex` the other way round.
    """

    kind: Literal["trailing_blank", "quotes", "line_end", "hex_as_text", "text_as_hex", "case", "swapped", "other_peer"]
    by: Literal["local", "peer"] | UnsetType = UNSET
    keyring_block: str | UnsetType = UNSET


class InitialContactReceived(Event, tag="peer.initial_contact", rfc="RFC 7296 section 2.4"):
    """The peer holds no other IKE SA with us; `closed` older ones of this identity were dropped."""

    closed: int


class ExchangeCompleted(Event, tag="exchange.completed"):
    """An exchange ended well on this side."""

    exchange: int


class ExchangeFailed(Event, tag="exchange.failed", level="error"):
    """An exchange ended without its result."""

    exchange: int
    why: str


class SelectorsChosen(Event, tag="selectors.chosen", rfc="RFC 7296 section 2.9"):
    """The traffic selectors of a Child SA: proposed and agreed, local and remote as this router sees them.

    `additional`: the responder would agree to a part of the rest in another Child SA (ADDITIONAL_TS_POSSIBLE).
    """

    proposed_local: tuple[SelectorFact, ...]
    proposed_remote: tuple[SelectorFact, ...]
    local: tuple[SelectorFact, ...]
    remote: tuple[SelectorFact, ...]
    tunnel: str | UnsetType = UNSET
    by: Literal["local", "peer"] = "local"
    additional: bool | UnsetType = UNSET
    exchange: int | UnsetType = UNSET


class SelectorsSent(Event, tag="selectors.sent", rfc="RFC 7296 section 3.13"):
    """TSi and TSr of our request, local and remote as this router sees them."""

    local: tuple[SelectorFact, ...]
    remote: tuple[SelectorFact, ...]
    transport: bool


class SelectorsRefused(Event, tag="selectors.refused", level="error", rfc="RFC 7296 section 2.9"):
    """No configured tunnel covers what the peer proposed; `axis`: the side that is empty for the nearest.

    `part` is what has nothing in common there, between `found` (the peer's closest selector) and `wanted` (ours);
    `tried` holds each selector pair of ours.
    """

    proposed_local: tuple[SelectorFact, ...]
    proposed_remote: tuple[SelectorFact, ...]
    expected_local: tuple[SelectorFact, ...]
    expected_remote: tuple[SelectorFact, ...]
    tunnel: str | UnsetType = UNSET
    axis: str | UnsetType = UNSET
    part: Literal["address family", "addresses", "protocol", "ports"] | UnsetType = UNSET
    found: SelectorFact | UnsetType = UNSET
    wanted: SelectorFact | UnsetType = UNSET
    tried: tuple[Tried, ...] = ()


class SelectorsExceeded(Event, tag="selectors.exceeded", level="error", rfc="RFC 7296 section 2.9"):
    """The peer's answer holds traffic selectors that we did not propose; `axis` is the side, `found` the first of them.

    Absent where the answer holds no selector at all on that side.
    """

    proposed_local: tuple[SelectorFact, ...]
    proposed_remote: tuple[SelectorFact, ...]
    local: tuple[SelectorFact, ...]
    remote: tuple[SelectorFact, ...]
    axis: Literal["local", "remote"]
    found: SelectorFact | UnsetType = UNSET
