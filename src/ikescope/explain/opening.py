"""The walk's parts 1 to 3: the packet that starts it, the IKE_SA_INIT request, the response."""

from __future__ import annotations

from math import prod

from ikescope.events import Event, ProposalFact
from ikescope.events.message import (
    CookieAnswered,
    InvalidKeAnswered,
    MessageReceived,
    MessageSent,
    ResponseRefused,
    Retransmitting,
)
from ikescope.events.negotiation import (
    ExchangeCompleted,
    KeyExchangeComputed,
    KeyringSearched,
    KeysDerived,
    NatChecked,
    PolicySearched,
    ProposalChosen,
    ProposalSent,
)
from ikescope.events.router import TrafficMatched
from ikescope.explain import words
from ikescope.explain.scene import Scene, Teller, Telling, known, maybe, tell, when
from ikescope.wire.registry import ExchangeType, ProtocolId, TransformType

INIT = ExchangeType.IKE_SA_INIT
FAILURE = 8


def traffic(scene: Scene, event: TrafficMatched) -> list[Telling]:
    """Which packet matched which selector."""
    name = words.PROTOCOLS.get(event.packet_protocol, f"IP protocol {event.packet_protocol}")
    packet = f"{name} {event.packet_source} -> {event.packet_destination}"
    selector = words.pair(event.local, event.remote)
    standing = scene.ready()
    wrapped = not words.covers(event.local, event.packet_source, event.packet_protocol)

    def met() -> str:
        if wrapped:
            return f"{packet} is routed into {event.tunnel} and wrapped there: the outer packet is what IPsec looks at."
        return f"{packet} is routed into {event.tunnel}, and IPsec looks at it as it is."

    def matched() -> str:
        subject = "That outer packet" if wrapped else "It"
        return f"{subject} matches the selector {selector}: it must leave protected, and no Child SA covers it yet."

    def first() -> str:
        when(not scene.sent_before())
        return (
            "The packet waits while IKE starts. Until now not one IKE message has been sent (RFC 4301 section 4.4.1)."
        )

    def within() -> str:
        peer = words.host(known(known(standing).peer))
        return (
            f"The IKE SA with {peer} stands already: one CREATE_CHILD_SA exchange is enough, the packet waits for it."
        )

    if standing is not None:
        return tell(6, "A packet for another selector", met, matched, within)
    return tell(1, "The packet that starts it", met, matched, first)


def policy(scene: Scene, event: PolicySearched) -> list[Telling]:
    """Which policy and which key apply, before the first message only."""
    if scene.sent_before():
        return []

    def which() -> str:
        offers = words.listed(f"'{name}'" for name in event.proposals)
        if event.default_proposal:
            return (
                f"No policy is configured for {event.local}: the built-in one, '{event.policy}', offers "
                f"proposal {offers}."
            )
        return f"Policy '{known(event.policy)}' stands for {event.local} and offers proposal {offers}."

    def key() -> str:
        found = scene.latest(KeyringSearched)
        return (
            f"The pre-shared key for {found.peer} stands in keyring '{found.keyring}', peer '{known(found.block)}'. "
            "The key itself is never sent: IKE_AUTH proves that both ends hold it."
        )

    return tell(2, "Policy and key", which, key)


def offer(scene: Scene, event: ProposalSent) -> list[Telling]:
    """The transforms by kind, counted out of the event."""
    if event.protocol != ProtocolId.IKE or maybe(event, "response", False) or not maybe(event, "initial", True):
        return []
    kinds = words.by_kind(event.proposals)

    def counted() -> str:
        total = sum(len(fact.transforms or ()) for fact in event.proposals)
        told = ", ".join(f"{number} {kind} ({', '.join(names)})" for kind, names, number in kinds)
        return f"{words.plural(total, 'transform')}: {told}."

    def suites() -> str:
        (only,) = event.proposals if len(event.proposals) == 1 else (known(None),)
        numbers = [sum(one.type == kind for one in only.transforms or ()) for kind in _kinds_of(only)]
        times = " x ".join(map(str, numbers))
        if prod(numbers) == 1:
            return "There is one of each kind, so one suite is on offer: the peer takes it or refuses."
        return (
            f"The peer takes one of each kind, so {times} = {prod(numbers)} suites are on offer; within a kind the "
            "first is preferred."
        )

    def roles() -> str:
        present = {kind for kind, *_ in kinds}
        told = [text for kind, text in ROLES.items() if kind in present]
        return f"{words.listed(told)} (RFC 7296 section 3.3)."

    return tell(2, "The proposal", counted, suites, roles)


ROLES = {
    "encryption": "Encryption hides a message",
    "integrity": "integrity seals it",
    "PRF": "the PRF makes all keys",
    "key exchange": "the key exchange gives both ends one secret that was never sent",
}


def _kinds_of(fact: ProposalFact) -> list[int]:
    return sorted({one.type for one in fact.transforms or ()})


def init_request(scene: Scene, event: MessageSent | MessageReceived) -> list[Telling]:
    """The first message: its header, its payloads, what protects it."""
    return [] if event.repeat else [_header(scene, event), _payloads(scene, event)]


def _header(scene: Scene, event: MessageSent | MessageReceived) -> Telling:
    def spis() -> str:
        spi, who = words.spi(scene.sa.spi_i), words.host(event.remote)
        if isinstance(event, MessageSent):
            return f"Initiator SPI {spi} is ours; the responder SPI is zero: {who} has not chosen its own yet."
        return f"Initiator SPI {spi} is the choice of {who}; the responder SPI is zero: we have not chosen ours yet."

    def message_id() -> str:
        number = known(scene.record.stamp.message_id)
        return f"Message ID {number}: each side numbers its requests, and a response bears the number of its request."

    return Telling(
        2,
        "The header: SPIs and message ID",
        (
            spis,
            "The two SPIs name the IKE SA in every message, whatever address it comes from (RFC 7296 section 2.6).",
            "They live as long as the SA: a rekey makes a new IKE SA with two new SPIs (section 2.8).",
            message_id,
        ),
    )


def _payloads(scene: Scene, event: MessageSent | MessageReceived) -> Telling:
    def exchange_value() -> str:
        when({"SA", "KE", "N"} <= set(event.payloads))
        if isinstance(event, MessageReceived):
            return (
                "SA is the offer, KE the peer's public value, N its nonce: fresh random octets that make each SA's "
                "keys new."
            )
        public = scene.latest(KeyExchangeComputed)
        size = f", {public.octets} octets" if isinstance(public.octets, int) else ""
        return (
            f"SA is the offer above; KE our public value for {words.group(public.group)}{size}: a guess that the peer "
            "will take this group; N our nonce, random octets that make the keys new."
        )

    def vendor() -> str:
        number = event.payloads.count("VID")
        when(number > 0)
        return f"{words.plural(number, 'VID')}: what the sender implements beyond the RFC; others skip it."

    def nat() -> str:
        when(sum("NAT_DETECTION" in name for name in event.payloads) >= 2)
        return (
            "The two NAT_DETECTION notifies hash the SPIs with source and with destination address and port: a NAT "
            "changes those, and the hash no longer matches (RFC 7296 section 2.23)."
        )

    def bare() -> str:
        when("ENCR" not in event.payloads)
        return (
            f"This message ({event.size} octets) and its answer are neither encrypted nor authenticated: there are no "
            "keys yet. AUTH will cover both later, so a change made to them now is found out then."
        )

    return Telling(2, "The payloads", (exchange_value, vendor, nat, bare))


def init_response(scene: Scene, event: MessageReceived | MessageSent) -> list[Telling]:
    """The responder's SPI, and what it sends back."""
    if event.repeat or "SA" not in event.payloads:
        return []
    ours = isinstance(event, MessageSent)

    def spi() -> str:
        spis = f"0x{scene.sa.spi_i.upper()} / 0x{known(scene.sa.spi_r).upper()}"
        who = "We answer with our" if ours else f"{words.host(event.remote)} answers with its"
        return f"{who} own SPI, 0x{known(scene.sa.spi_r).upper()}: from now on the pair {spis} names this IKE SA."

    def mirror() -> str:
        names = [name for name in ("SA", "KE", "N") if name in event.payloads]
        means = {"SA": "SA is the choice out of the offer", "KE": "KE its public value", "N": "N its nonce"}
        return f"{'; '.join(means[name] for name in names)}. Still in the clear, {event.size} octets."

    return tell(3, "The answer", spi, mirror)


def agreed(scene: Scene, event: ProposalChosen) -> list[Telling]:
    """What was agreed out of what was offered, and why."""
    if event.protocol != ProtocolId.IKE or scene.sa.rekeyed_from or scene.sa.created is not None:
        return []

    def what() -> str:
        offered = sum(len(fact.transforms or ()) for fact in event.offered)
        taken = len(event.chosen.transforms)
        return f"Agreed: {words.suite(event.chosen)}: {taken} of the {offered} transforms offered, one of each kind."

    def rank() -> str:
        later = _later_choices(event)
        if not later:
            return "Each of them stands first of its kind in the offer."
        told = words.listed(f"{name} stands at place {place} of {of}" for name, place, of in later)
        return f"Not all first choices: {told}; the order of an offer is a wish, the responder chooses by its own."

    def chooser() -> str:
        who = "We, the responder, choose" if event.by == "local" else f"The responder, {scene.peer}, chooses"
        return f"{who}: one of each kind as offered, or NO_PROPOSAL_CHOSEN (RFC 7296 section 2.7)."

    def why() -> str:
        return f"Why: {known(event.why)}."

    return tell(3, "What was agreed", what, rank, chooser, why)


def _later_choices(event: ProposalChosen) -> list[tuple[str, int, int]]:
    """The chosen transforms that were not first of their kind: (what, place, of how many)."""
    offered = next((fact for fact in event.offered if fact.number == event.chosen.number), None)
    if offered is None:
        return []
    later = []
    for one in event.chosen.transforms:
        same = [other for other in offered.transforms if other.type == one.type]
        if one in same and same.index(one):
            kind = words.KINDS.get(TransformType.of(one.type), "")
            later.append((f"{kind} {words.transform(one)}", same.index(one) + 1, len(same)))
    return later


def nat_result(scene: Scene, event: NatChecked) -> list[Telling]:
    """What the hashes say."""
    result = {
        (False, False): "Both NAT detection hashes match the addresses seen here: no NAT in between.",
        (True, False): "The hash over our own address does not match: we stand behind a NAT.",
        (False, True): "The hash over the peer's address does not match: the peer stands behind a NAT.",
        (True, True): "Neither NAT detection hash matches: both of us stand behind a NAT.",
    }[event.local_behind, event.remote_behind]
    if not event.supported:
        result = "The peer sent no NAT detection notifies, so nothing is known of a NAT."
    if event.forced:
        result += " Encapsulation is configured all the same (nat force-encap)."

    def then() -> str:
        if event.floated:
            return (
                "IKE moves to UDP port 4500 and ESP travels inside UDP 4500 with it (RFC 7296 section 2.23, RFC 3948)."
            )
        return "IKE stays on its port, and ESP travels bare, as IP protocol 50."

    return tell(3, "NAT detection", result, then)


def keys(scene: Scene, event: KeysDerived) -> list[Telling]:
    """What comes from SKEYSEED, by the lengths in the event."""
    if event.rekey:
        return []
    lengths = {name: octets for name, octets in event.lengths.items() if octets}

    def secret() -> str:
        computed = scene.latest(KeyExchangeComputed)
        when(computed.part == "secret")
        return (
            f"Each end made the same secret of {words.group(computed.group)} from its private and the other's public "
            "value; a listener has both public values and still not the secret."
        )

    def made() -> str:
        return (
            f"The secret and the two nonces give SKEYSEED; PRF {words.prf(event.prf)} stretches it to "
            f"{words.count(len(lengths))} keys (RFC 7296 section 2.14):"
        )

    def told() -> str:
        return f"{uses(lengths)}."

    def direction() -> str:
        when(any(name.endswith("i") for name in lengths))
        return "i is for what the initiator sends, r for what the responder sends: no key serves both ways."

    return tell(3, "What comes from SKEYSEED", secret, made, told, direction)


def uses(lengths: dict[str, int]) -> str:
    """What each key is for, with its octets."""
    return "; ".join(use for names, text in USES if (use := _use(names, text, lengths)))


USES = (
    (("SK_d",), "for the keys of every Child SA"),
    (("SK_ai", "SK_ar"), "for integrity"),
    (("SK_ei", "SK_er"), "for encryption"),
    (("SK_pi", "SK_pr"), "for AUTH"),
)


def _use(names: tuple[str, ...], text: str, lengths: dict[str, int]) -> str:
    present = [name for name in names if name in lengths]
    if not present:
        return ""
    each = " each" if len(present) > 1 else ""
    return f"{' and '.join(present)} ({lengths[present[0]]} octets{each}) {text}"


def init_done(scene: Scene, event: ExchangeCompleted) -> list[Telling]:
    """What follows is encrypted."""
    if event.exchange != INIT:
        return []

    def sealed() -> str:
        chosen = {one.type: one for one in known(scene.sa.chosen).transforms}
        encryption = words.transform(known(chosen.get(TransformType.ENCR)))
        integrity = chosen.get(TransformType.INTEG)
        seal = f", sealed by {words.transform(integrity)}" if integrity and integrity.id else ", sealed by its own ICV"
        return f"From here on everything behind the header is encrypted with {encryption}{seal}, in both directions."

    return tell(
        3,
        "IKE_SA_INIT is done",
        sealed,
        "But with whom? Anyone could have answered so far. Who is there is settled by IKE_AUTH.",
    )


def retransmission(scene: Scene, event: Retransmitting) -> list[Telling]:
    """Why the same octets go out again, said at the first time."""
    if event.attempt != 1:
        return []
    part = {INIT: 2, ExchangeType.IKE_AUTH: 4, ExchangeType.CREATE_CHILD_SA: 6}.get(ExchangeType.of(event.exchange), 7)
    if any(isinstance(one.event, ResponseRefused) for one in scene.sa.failures):
        return tell(
            FAILURE,
            "Refused, but by whom?",
            f"The refusal was not protected, so anyone could have sent it: {scene.router} asks again, "
            f"{event.attempt} of "
            f"{event.limit}, and waits {event.wait:g} s more.",
            "One forged notify must not keep two routers apart (RFC 7296 section 2.21.1).",
        )
    return tell(
        part,
        "No answer yet",
        f"No response: the same octets with the same message ID go out again, {event.attempt} of {event.limit}; "
        f"then {event.wait:g} s of waiting.",
        "Only who asks repeats itself; a responder that sees a request twice sends its stored response "
        "(RFC 7296 section 2.1).",
    )


def cookie(scene: Scene, event: CookieAnswered) -> list[Telling]:
    """What the cookie is for."""
    return tell(
        2,
        "A cookie",
        lambda: f"{scene.peer} keeps no state yet and asks for its cookie ({event.octets} octets) back first.",
        "The same request goes out again with the cookie in front: that shows that we receive at the address we send "
        "from, and costs a flood of forged requests nothing to refuse (RFC 7296 section 2.6).",
    )


def invalid_ke(scene: Scene, event: InvalidKeAnswered) -> list[Telling]:
    """Why the request is repeated with another group."""
    return tell(
        2,
        "Another group",
        lambda: (
            f"Our guess was {words.group(event.offered)}; {scene.peer} picks {words.group(event.wanted)} "
            "out of the offer."
        ),
        f"INVALID_KE_PAYLOAD costs one more round: the request again, KE now for group {event.wanted} "
        "(RFC 7296 section 1.2).",
    )


TELLERS: dict[type[Event], Teller] = {
    TrafficMatched: traffic,
    PolicySearched: policy,
    ProposalSent: offer,
    ProposalChosen: agreed,
    NatChecked: nat_result,
    KeysDerived: keys,
    ExchangeCompleted: init_done,
    Retransmitting: retransmission,
    CookieAnswered: cookie,
    InvalidKeAnswered: invalid_ke,
}
