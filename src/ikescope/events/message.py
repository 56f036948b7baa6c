"""Events of datagrams: what was built, sent, received, repeated, dropped."""

from __future__ import annotations

from enum import StrEnum

from ikescope.events.base import UNSET, DumpedFact, Event, UnsetType


class DropTrigger(StrEnum):
    """Every reason for which a datagram is discarded on the receive path."""

    NOT_IKE = "not an IKE message"
    MALFORMED = "malformed"
    MAJOR_VERSION = "unknown major version"
    UNKNOWN_SPI = "no such IKE SA"
    ZERO_SPI = "initiator SPI is zero"
    NOT_FIRST = "an IKE_SA_INIT request with a message ID other than 0"
    ICV = "integrity check failed"
    UNPROTECTED = "unprotected message for an established IKE SA"
    OLD_REQUEST = "request below the window, its response no longer kept"
    BEYOND_WINDOW = "request beyond the window"
    UNEXPECTED_RESPONSE = "response to no request in flight"
    UNTRUSTED_NOTIFY = "unauthenticated error notify"
    WRONG_DIRECTION = "initiator flag contradicts the SA"
    BEING_ANSWERED = "request again while its first arrival is being answered"
    DIFFERENT_REPEAT = "message ID seen before with other content"
    HALF_OPEN_LIMIT = "too many half-open IKE SAs"
    SA_LIMIT = "as many IKE SAs as are allowed"
    REPEATED_TOO_OFTEN = "request repeated too often"
    WRONG_EXCHANGE = "exchange type not possible in this state"
    NOT_CONFIGURED = "no policy for this peer"
    COOKIE = "cookie does not verify"
    FRAGMENT_UNASKED = "fragment, and fragmentation was not agreed"
    FRAGMENT_REPEATED = "fragment of a message that is answered, or that is held already"
    FRAGMENT_CONTRADICTS = "fragment contradicts those held of its message"
    FRAGMENT_LIMIT = "fragment beyond what is held"
    KEEPALIVE = "NAT keepalive"


class MessageBuilding(Event, tag="message.building"):
    """A message is being put together; nothing is sent yet."""

    exchange: int
    response: bool


class MessageSealing(Event, tag="message.sealing", rfc="RFC 7296 section 3.14"):
    """The payloads named go into the Encrypted payload, in this order."""

    exchange: int
    response: bool
    payloads: tuple[str, ...]


class WindowChecked(Event, tag="message.window", level="detail", rfc="RFC 7296 section 2.3"):
    """Whether the peer's window has room for one more request."""

    in_flight: int
    window: int
    fits: bool


class DatagramEvent(Event):
    """What is told of an IKE message, sent or received.

    `payloads` are those in the clear (ENCR for the Encrypted payload), `inner` those inside it; `octets` is the IKE
    message without the non-ESP marker, `opened` the plaintext of its Encrypted payload, whose first payload is of type
    `opened_first`. `dumped` are header and payloads as a text spells them out that has no octets of them (ASA's).
    """

    exchange: int
    response: bool
    local: str
    remote: str
    payloads: tuple[str, ...]
    size: int
    inner: tuple[str, ...] | UnsetType = UNSET
    octets: bytes | UnsetType = UNSET
    opened: bytes | UnsetType = UNSET
    opened_first: int | UnsetType = UNSET
    repeat: int = 0
    fragments: tuple[int, ...] = ()
    dumped: tuple[DumpedFact, ...] | UnsetType = UNSET


class MessageSent(DatagramEvent, tag="message.sent"):
    """A datagram left. `payloads` are those in the clear (ENCR for the Encrypted payload), `inner` those inside it.

    `octets` is the IKE message without the non-ESP marker; `opened` the plaintext of its Encrypted payload, whose first
    payload is of type `opened_first`. `repeat` counts retransmissions: 0 is the first time.
    `fragments` are the sizes of the datagrams that a fragmented message leaves in (RFC 7383): `size` is their sum, each
    of them is told by its own FragmentSent, and `octets` is UNSET.
    """


class MessageReceived(DatagramEvent, tag="message.received"):
    """A datagram arrived, was verified where it is protected, and is about to be processed; fields as in MessageSent.

    `repeat` is not 0 where the peer retransmitted a request and the stored response answers it. A message that came in
    `fragments` is told when its last one is here.
    """


class FragmentSent(Event, tag="message.fragment_sent", level="detail", rfc="RFC 7383 section 2.5"):
    """One datagram of a fragmented message left: fragment `number` of `total`, `size` octets in all."""

    exchange: int
    response: bool
    local: str
    remote: str
    number: int
    total: int
    size: int
    octets: bytes | UnsetType = UNSET
    repeat: int = 0


class FragmentReceived(Event, tag="message.fragment_received", level="detail", rfc="RFC 7383 section 2.6"):
    """A verified fragment is kept until its message is whole; `held` of `total` are here now.

    `repeat` is not 0 where it belongs to a request that is answered: the stored response goes out once more.
    """

    exchange: int
    response: bool
    local: str
    remote: str
    number: int
    total: int
    held: int
    size: int
    octets: bytes | UnsetType = UNSET
    repeat: int = 0


class FragmentsForgotten(Event, tag="message.fragments_forgotten", level="notice", rfc="RFC 7383 section 2.6"):
    """What was held of a message that never became whole is dropped: `held` of `total` fragments, and why."""

    exchange: int
    response: bool
    held: int
    total: int
    why: str


class FragmentationAgreed(Event, tag="message.fragmentation", rfc="RFC 7383 section 2.3"):
    """Both ends said that they take fragments: an IKE message of ours above `size` octets is sent in several."""

    size: int


class FragmentSizeLowered(Event, tag="message.fragment_size", level="notice", rfc="RFC 7383 section 2.5.2"):
    """No answer to so large a datagram: from now on none of this IKE SA is above `after` octets."""

    before: int
    after: int


class MessageProcessing(Event, tag="message.processing"):
    """The payloads of a verified message are handed to their exchange."""

    exchange: int
    response: bool


class MessageDropped(Event, tag="message.dropped", level="error", rfc="RFC 7296 section 2.21"):
    """A datagram was discarded; no state changed."""

    trigger: DropTrigger
    local: str | UnsetType = UNSET
    remote: str | UnsetType = UNSET
    size: int | UnsetType = UNSET
    found: str | UnsetType = UNSET
    wanted: str | UnsetType = UNSET
    octets: bytes | UnsetType = UNSET


class Retransmitting(Event, tag="message.retransmitting", level="notice", rfc="RFC 7296 section 2.4"):
    """No response in time: the same octets go out again, for the `attempt`-th time of `limit`; next wait in seconds."""

    exchange: int
    attempt: int
    limit: int
    wait: float


class RetransmissionsExhausted(Event, tag="message.exhausted", level="error", rfc="RFC 7296 section 2.4"):
    """The peer never answered: `sends` times sent over `seconds` seconds."""

    exchange: int
    sends: int
    seconds: float


class RequestRefused(Event, tag="message.refused", level="error", rfc="RFC 7296 section 2.21"):
    """We answered a request with an error notify; `why` says what was compared."""

    exchange: int
    notify: int
    why: str
    section: str = ""


class ResponseRefused(Event, tag="message.refusal_received", level="error", rfc="RFC 7296 section 3.10.1"):
    """The peer answered our request with an error notify."""

    exchange: int
    notify: int
    data: str | UnsetType = UNSET


class InvalidKeAnswered(Event, tag="message.invalid_ke", level="notice", rfc="RFC 7296 section 1.3"):
    """The peer wants another key exchange method than the one guessed; the request is repeated with it."""

    exchange: int
    offered: int
    wanted: int


class CookieChecked(Event, tag="message.cookie_checked", level="detail", rfc="RFC 7296 section 2.6"):
    """A request returned a cookie; one that is not ours counts as none."""

    valid: bool
    octets: int


class UnprotectedSent(Event, tag="message.unprotected_sent", level="notice", rfc="RFC 7296 section 1.5"):
    """A request for no IKE SA of ours is answered with an error notify that no key protects."""

    exchange: int
    notify: int
    local: str
    remote: str
    size: int


class UnprotectedWithheld(Event, tag="message.unprotected_withheld", level="detail", rfc="RFC 7296 section 2.21.4"):
    """The error notify that such a request could be answered with is not sent, and why not."""

    exchange: int
    notify: int
    why: str


class CookieAnswered(Event, tag="message.cookie", level="notice", rfc="RFC 7296 section 2.6"):
    """The peer asks for its cookie back before it keeps any state (`octets` long)."""

    octets: int


class UnverifiedCounted(Event, tag="message.unverified", level="notice", rfc="RFC 7296 section 2.6"):
    """Datagrams of senders who have proven nothing, since the last such event: nothing was kept of them.

    `cookies` were answered with a COOKIE, `silent` not at all; `half_open` IKE SAs wait for IKE_AUTH now.
    """

    cookies: int
    silent: int
    half_open: int
