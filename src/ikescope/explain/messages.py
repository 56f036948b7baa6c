"""What every datagram says, payload by payload, and what the way it takes tells: fragments, repeats, silence."""

from __future__ import annotations

from ikescope.events import Event
from ikescope.events.life import PathChanged
from ikescope.events.message import (
    CookieChecked,
    DropTrigger,
    FragmentationAgreed,
    FragmentReceived,
    FragmentSent,
    FragmentsForgotten,
    FragmentSizeLowered,
    MessageDropped,
    MessageReceived,
    MessageSent,
    UnprotectedSent,
    UnverifiedCounted,
)
from ikescope.explain import notifies, words
from ikescope.explain.payloads import Said, said
from ikescope.explain.scene import Scene, Sentence, Teller, Telling, known, tell
from ikescope.timeline import Message
from ikescope.timeline.exchanges import DELETE, LIVENESS, NEW_CHILD, REKEY_CHILD, REKEY_IKE, message_of, purpose_of
from ikescope.wire.registry import ExchangeType, NotifyType

INIT, AUTH = ExchangeType.IKE_SA_INIT, ExchangeType.IKE_AUTH
CREATE, INFO = ExchangeType.CREATE_CHILD_SA, ExchangeType.INFORMATIONAL
#: Lines of one note at most.
MOST = 4

#: What a message is for, by exchange and direction; of CREATE_CHILD_SA requests their purpose says it.
FOR: dict[tuple[int, bool], str] = {
    (INIT, False): "it offers algorithms and brings the first half of a key exchange",
    (INIT, True): "it chooses among the algorithms and brings the second half of the key exchange",
    (AUTH, False): "the initiator says who it is, proves it and asks for the first Child SA",
    (AUTH, True): "the responder says who it is, proves it and makes the first Child SA",
    (CREATE, True): "it answers with the other half of what the new keys are made of",
    (INFO, False): "it tells something within the IKE SA",
    (INFO, True): "it says that the request has come",
}
PURPOSE = {
    REKEY_IKE: "it asks to replace the IKE SA",
    REKEY_CHILD: "it asks to replace a Child SA",
    NEW_CHILD: "it asks for one more Child SA",
    "authentication": "the initiator says who it is and proves it; no Child SA is asked for",
}
#: Answers to IKE_SA_INIT after which its request comes again.
AGAIN = frozenset({"NOTIFY(COOKIE)", "NOTIFY(INVALID_KE_PAYLOAD)"})
#: What is said of a message that cannot be opened, by whether it is a response.
SEALED = {
    False: "what it asks is encrypted",
    True: "whether it agrees or refuses is encrypted",
}
PARTS: dict[tuple[int, bool], int] = {(INIT, False): 2, (INIT, True): 3, (AUTH, False): 4, (AUTH, True): 4}


def payloads(scene: Scene, event: MessageSent | MessageReceived) -> list[Telling]:
    """Every payload of a message with its values in words, no more than four lines a note."""
    message = message_of(scene.record, scene.record.event)  # type: ignore[arg-type]
    if message.repeat or not isinstance(message.exchange, int) or not isinstance(message.response, bool):
        return []
    if message.exchange == INFO and not _worth(message):
        return []
    told = said(message)
    if not told:
        return []
    first: list[Sentence] = [Said(_headline(message))]
    sentences = first + list(told)
    notes = -(-len(sentences) // MOST)
    title = f"What the {words.exchange(message.exchange)} {'response' if message.response else 'request'} says"
    found, at = [], 0
    for number in range(notes):
        size = -(-(len(sentences) - at) // (notes - number))
        some = f", {number + 1} of {notes}" if notes > 1 else ""
        found.append(Telling(_part(message), f"{title}{some}", tuple(sentences[at : at + size])))
        at += size
    return found


def _worth(message: Message) -> bool:
    """Whether an INFORMATIONAL message holds more than its own event tells: not where it is empty, or a DELETE."""
    return isinstance(message.inner, tuple) and bool(set(message.inner) - {"DELETE", "ENCR"})


def _part(message: Message) -> int:
    if message.exchange == INIT and isinstance(message.payloads, tuple) and AGAIN & set(message.payloads):
        return 2
    return PARTS.get((message.exchange, message.response), 6 if message.exchange == CREATE else 7)


def _headline(message: Message) -> str:
    way = f"to {message.remote}" if message.sent else f"from {message.remote}"
    verb = "Sent" if message.sent else "Received"
    number = f", message ID {message.message_id}" if isinstance(message.message_id, int) else ""
    size = f", {words.plural(message.size, 'octet')}" if isinstance(message.size, int) else ""
    if message.fragments:
        size += f" in {words.plural(len(message.fragments), 'fragment')}"
    return f"{verb} {way if message.remote else ''}".rstrip() + f"{number}{size}: {_purpose(message)}."


def _purpose(message: Message) -> str:
    names = [name for group in (message.payloads, message.inner) if isinstance(group, tuple) for name in group]
    errors = [kind for kind in _errors(names) if kind.is_error]
    if message.response and errors and "SA" not in names:
        return f"it refuses, with {words.notify(errors[0])}"
    if message.response and names == ["NOTIFY(COOKIE)"]:
        return "it keeps nothing and wants its cookie back first"
    if "ENCR" in names and not isinstance(message.inner, tuple):
        return SEALED[message.response is True]
    purpose = purpose_of(message)
    if purpose in (DELETE, LIVENESS) or purpose not in PURPOSE:
        return FOR.get((message.exchange, message.response), "it belongs to an exchange that we do not know")
    return PURPOSE[purpose]


def _errors(names: list[str]) -> list[NotifyType]:
    found = (NotifyType.__members__.get(name.removeprefix("NOTIFY(").removesuffix(")")) for name in names)
    return [kind for kind in found if kind is not None]


def fragmentation(scene: Scene, event: FragmentationAgreed) -> list[Telling]:
    """Both take fragments."""
    return tell(
        3,
        "Fragments are agreed",
        f"Both ends said IKEV2_FRAGMENTATION_SUPPORTED: an IKE message above {event.size} octets leaves in several.",
        "Each fragment is encrypted and sealed by itself, so a forged one is dropped alone, and no router on the way "
        "has to fragment IP (RFC 7383 section 1).",
    )


def fragment(scene: Scene, event: FragmentSent | FragmentReceived) -> list[Telling]:
    """The first fragment of a message."""
    if event.number != 1 or event.repeat:
        return []
    verb = "leaves" if isinstance(event, FragmentSent) else "comes"
    return tell(
        _exchange_part(event.exchange, event.response),
        "A message in fragments",
        f"{words.exchange(event.exchange)} {verb} in {words.plural(event.total, 'datagram')}; this first one has "
        f"{event.size} octets, with its own number in the clear and its own seal.",
        "All bear one message ID: if one is lost, all are sent again (RFC 7383 section 2.6).",
    )


def smaller(scene: Scene, event: FragmentSizeLowered) -> list[Telling]:
    """No answer to large datagrams."""
    return tell(
        7,
        "Smaller fragments",
        f"No answer to datagrams of up to {event.before} octets: something on the way may drop large ones.",
        f"From now on none of this IKE SA is above {event.after} octets (RFC 7383 section 2.5.2).",
    )


def forgotten(scene: Scene, event: FragmentsForgotten) -> list[Telling]:
    """A message that never became whole."""
    of_all = f" of {event.total}" if isinstance(event.total, int) else ""
    return tell(
        7,
        "Fragments that never became a message",
        f"{event.held}{of_all} fragments of {words.exchange(event.exchange)} came: {event.why}.",
        "Without the others nothing can be opened: what was held is dropped, and the sender has to begin again.",
    )


def _exchange_part(exchange: int, response: bool) -> int:
    return PARTS.get((exchange, response), 6 if exchange == CREATE else 7)


def path(scene: Scene, event: PathChanged) -> list[Telling]:
    """The peer moved, or a NAT changed its mind."""

    def then() -> str:
        if event.followed:
            return "It was verified by the keys of the IKE SA, so all goes there from now on (RFC 7296 section 2.23)."
        return f"It is not followed: {event.why}." if event.why else "It is not followed."

    return tell(
        7,
        "The other end has another address",
        f"A message came from {event.remote}; before, the peer was at {event.remote_before}.",
        then,
    )


def repeated(scene: Scene, event: MessageReceived) -> list[Telling]:
    """The peer asks again: our answer, or its question, was lost."""
    if not event.repeat or event.response:
        return []
    return tell(
        _exchange_part(event.exchange, event.response),
        "The peer asks again",
        lambda: (
            f"The same request once more, message ID {known(scene.record.stamp.message_id)}: our response did not "
            f"reach {scene.peer} in time."
        ),
        "It is not processed again: the response that is stored goes out once more, octet for octet "
        "(RFC 7296 section 2.1).",
    )


def dropped(scene: Scene, event: MessageDropped) -> list[Telling]:
    """A datagram that changes nothing."""
    if event.trigger == DropTrigger.KEEPALIVE:
        return []

    def what() -> str:
        size = f" of {event.size} octets" if isinstance(event.size, int) else ""
        whence = f" from {event.remote}" if isinstance(event.remote, str) else ""
        return f"A datagram{size}{whence} is dropped: {event.trigger}."

    def compared() -> str:
        return f"Had {known(event.found)}, wanted {known(event.wanted)}."

    return tell(
        7,
        f"Dropped: {event.trigger}",
        what,
        compared,
        "No state changed by it (RFC 7296 section 2.21).",
    )


def unprotected(scene: Scene, event: UnprotectedSent) -> list[Telling]:
    """An answer without keys to a message for no IKE SA."""
    return tell(
        7,
        "An answer that no key protects",
        f"{words.host(event.remote)} speaks of an IKE SA that is not here; it gets {words.notify(event.notify)}: "
        f"{notifies.means(NotifyType.of(event.notify))}.",
        "There is no key to protect it with: the other end may take it as a hint, never as proof (RFC 7296 section "
        "2.21.4).",
    )


def unverified(scene: Scene, event: UnverifiedCounted) -> list[Telling]:
    """A flood, or what looks like one."""
    return tell(
        2,
        "Senders that have proven nothing",
        f"{words.plural(event.cookies, 'request')} got a COOKIE and {event.silent} no answer at all; "
        f"{words.plural(event.half_open, 'IKE SA')} waiting for IKE_AUTH now.",
        "Who returns the cookie receives where it says it is; nothing is kept of the others (RFC 7296 section 2.6).",
    )


def returned(scene: Scene, event: CookieChecked) -> list[Telling]:
    """The responder's view of a cookie."""
    return tell(
        2,
        "The cookie comes back",
        f"The request returns a cookie of {event.octets} octets, and it is "
        f"{'the one that was given for this address' if event.valid else 'none of ours: it counts as none'}.",
        "Only now is anything kept of this sender (RFC 7296 section 2.6)."
        if event.valid
        else "The sender is asked for one anew, and nothing is kept of it (RFC 7296 section 2.6).",
    )


TELLERS: dict[type[Event], Teller] = {
    FragmentationAgreed: fragmentation,
    FragmentSent: fragment,
    FragmentReceived: fragment,
    FragmentSizeLowered: smaller,
    FragmentsForgotten: forgotten,
    PathChanged: path,
    MessageReceived: repeated,
    MessageDropped: dropped,
    UnprotectedSent: unprotected,
    UnverifiedCounted: unverified,
    CookieChecked: returned,
}
