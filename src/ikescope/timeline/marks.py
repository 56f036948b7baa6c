"""What findings rest on: the records that part one cause from another, the first and the latest of each kind."""

from __future__ import annotations

from collections import deque

from ikescope.events import Event, Record, life, message, negotiation, router

#: Whose a mark is: (router, initiator's SPI); outside of any SA (router, `#` and IOS's number) or (router, "").
MarkKey = tuple[str, str]
EACH = 16
EACH_BOUNDED = 2
"""How many records of a kind are kept of each end: the first and the latest."""

MARKS: frozenset[type[Event]] = frozenset(
    {
        *(message.CookieAnswered, message.FragmentationAgreed, message.FragmentsForgotten, message.FragmentSizeLowered),
        *(message.InvalidKeAnswered, message.MessageDropped, message.RequestRefused, message.ResponseRefused),
        *(message.RetransmissionsExhausted, message.Retransmitting, message.UnverifiedCounted),
        *(negotiation.AuthGenerated, negotiation.AuthNearMiss, negotiation.AuthRefused, negotiation.AuthVerified),
        negotiation.AuthWaiting,
        *(negotiation.ChoiceRefused, negotiation.ExchangeFailed, negotiation.GroupRefused, negotiation.IdentitySent),
        *(negotiation.InitialContactReceived, negotiation.KeyNotFound, negotiation.ModeRefused),
        *(negotiation.KeyringSearched, negotiation.NatChecked, negotiation.PolicySearched, negotiation.ProfileMatched),
        *(negotiation.AuthArrived, negotiation.PeerIdentified, negotiation.ProfileNotFound, negotiation.ProposalChosen),
        *(negotiation.ProposalRefused, negotiation.ProposalSent, negotiation.SelectorsExceeded),
        *(negotiation.SelectorsRefused, negotiation.SelectorsSent),
        *(
            life.ChildRefused,
            life.ChildSaClosed,
            life.ChildSaCreated,
            life.ChildTraffic,
            life.ConnectDecided,
            life.DeleteQueued,
        ),
        *(life.DeleteReceived, life.DeleteSent, life.DuplicateSettled, life.IkeSaClosed, life.IkeSaCreated),
        *(life.LivenessReceived, life.LivenessSent, life.PathChanged, life.ReauthenticationFailed, life.RekeyReceived),
        *(life.RekeyStarted, life.SessionDown, life.SessionUp),
        *(router.CommandEntered, router.EspDropped, router.PacketsHeld, router.PlaneFailed, router.RouterStarted),
    }
)


class Marks:
    """Records by whom they belong to, bounded for each kind; in constant time a record.

    `loose` bounds how many numbers without an IKE SA have some, those that came last (None: all).
    """

    def __init__(self, each: int = EACH, loose: int | None = None) -> None:
        self._each, self._loose, self._count = each, loose, 0
        self._numbers: dict[MarkKey, None] = {}
        self._held: dict[MarkKey, dict[type[Event], tuple[list[tuple[int, Record]], deque[tuple[int, Record]]]]] = {}

    def add(self, key: MarkKey, record: Record) -> None:
        """Keep a record of a kind in MARKS."""
        self._count += 1
        kinds = self._held.get(key)
        if kinds is None:
            kinds = self._held[key] = {}
            if self._loose is not None and key[1].startswith("#"):
                self._numbers[key] = None
                if len(self._numbers) > self._loose:
                    oldest = next(iter(self._numbers))
                    del self._numbers[oldest], self._held[oldest]
        held = kinds.get(type(record.event))
        if held is None:
            held = kinds[type(record.event)] = ([], deque(maxlen=self._each))
        first, latest = held
        (first if len(first) < self._each else latest).append((self._count, record))

    def of(self, key: MarkKey) -> tuple[Record, ...]:
        """What is kept, in the order in which it came."""
        kinds = self._held.get(key, {})
        return tuple(
            record for _, record in sorted((one for two in kinds.values() for half in two for one in half), key=_count)
        )

    def loose(self) -> tuple[MarkKey, ...]:
        """Whom records outside of any IKE SA belong to."""
        return tuple(key for key in self._held if not key[1] or key[1].startswith("#"))

    def forget(self, key: MarkKey) -> None:
        """Let go of what belongs to an IKE SA."""
        self._held.pop(key, None)


def _count(one: tuple[int, Record]) -> int:
    return one[0]
