"""The walk's parts 4 and 5: IKE_AUTH, who is who, and the first Child SA."""

from __future__ import annotations

from ikescope.events import UNSET, Event
from ikescope.events.life import ChildSaCreated, IkeSaCreated
from ikescope.events.message import MessageReceived, MessageSent
from ikescope.events.negotiation import AuthGenerated, AuthVerified, PeerIdentified, SelectorsChosen, SelectorsSent
from ikescope.explain import words
from ikescope.explain.scene import Scene, Teller, Telling, known, maybe, tell, when
from ikescope.wire.registry import AuthMethod, ExchangeType, TransformType

AUTH = ExchangeType.IKE_AUTH
GRE = 47


def proof(scene: Scene, event: AuthGenerated) -> list[Telling]:
    """What AUTH is made of."""
    if event.method != AuthMethod.SHARED_KEY_MIC:
        return []
    first, other = ("request", "responder") if scene.initiator else ("response", "initiator")
    return tell(
        4,
        "Our proof: AUTH",
        lambda: (
            f"AUTH is the PRF, keyed with the pre-shared key, over our IKE_SA_INIT {first}, the {other}'s "
            "nonce and our "
            f"identity {words.identity(event.identity)} (RFC 7296 section 2.15)."
        ),
        "So it proves that we hold the key without showing it, and that nobody changed IKE_SA_INIT on the way.",
    )


def offered_selectors(scene: Scene, event: SelectorsSent) -> list[Telling]:
    """Which source and destination the selectors cover."""
    if scene.sa.created is not None:
        return []

    def covers() -> str:
        return (
            f"TSi {words.selectors(event.local)}, TSr {words.selectors(event.remote)}: the first is what we send from, "
            "the second is where it goes; the way back is the same pair, reversed."
        )

    def gre() -> str:
        when({one.protocol for one in (*event.local, *event.remote)} == {GRE})
        return (
            "GRE between the two routers is all they cover: what is routed into the tunnel travels inside GRE, "
            "so no LAN needs a selector of its own."
        )

    def mode() -> str:
        if event.transport:
            return (
                "Transport mode is asked for (USE_TRANSPORT_MODE): ESP protects what follows the IP header, no "
                "second header."
            )
        return "Tunnel mode: ESP protects the whole packet and puts a new IP header in front."

    return tell(4, "What may pass: the traffic selectors", covers, gre, mode)


def sealed(scene: Scene, event: MessageSent | MessageReceived) -> list[Telling]:
    """Why only ENCR is printed, and what protects it."""
    if isinstance(event, MessageReceived) and event.response:
        return opened(scene, event)
    if event.repeat or "ENCR" not in event.payloads:
        return []
    ours = isinstance(event, MessageSent)

    def inside() -> str:
        names = known(event.inner)
        return f"On the wire there is one payload, ENCR. Inside it: {' '.join(names)} ({len(names)})."

    def keys() -> str:
        encryption, integrity = _protection(scene)
        side = "i" if scene.initiator == ours else "r"
        seal = f", integrity {integrity} under SK_a{side}" if integrity else ", which seals it too"
        return (
            f"{event.size} octets: header in the clear, the rest {encryption} under SK_e{side}{seal} (RFC 7296 "
            "section 3.14)."
        )

    def check() -> str:
        return "The receiver checks the integrity of the whole message, header included, before it decrypts anything."

    def number() -> str:
        message_id = known(scene.record.stamp.message_id)
        return f"Message ID {message_id}: the next request after IKE_SA_INIT's, which had 0."

    if event.response:
        return tell(4, "Our answer, sealed", inside, keys)
    return tell(4, "Why only ENCR", inside, keys, check, number)


def opened(scene: Scene, event: MessageReceived) -> list[Telling]:
    """The IKE_AUTH response, decrypted."""

    def inside() -> str:
        return f"The integrity value verifies, so ENCR was opened: {' '.join(known(event.inner))}."

    def worth() -> str:
        if "AUTH" not in known(event.inner):
            return "There is no AUTH in it: the peer does not authenticate itself."
        return (
            f"That proves only that the other end of IKE_SA_INIT sent it; whether that is {scene.peer}, AUTH must show."
        )

    part = 4 if "AUTH" in maybe(event, "inner", ()) or maybe(event, "inner", UNSET) is UNSET else 8
    return tell(part, "The answer, opened", inside, worth)


def _protection(scene: Scene) -> tuple[str, str]:
    chosen = {one.type: one for one in known(scene.sa.chosen).transforms}
    integrity = chosen.get(TransformType.INTEG)
    name = words.transform(integrity) if integrity is not None and integrity.id else ""
    return words.transform(known(chosen.get(TransformType.ENCR))), name


def claimed(scene: Scene, event: PeerIdentified) -> list[Telling]:
    """An identity is a claim until AUTH verifies."""
    return tell(
        4,
        "Who the peer says it is",
        lambda: (
            f"{event.kind}: {words.identity(event.identity)}. So far a claim; it chooses the profile and "
            "the key to check with."
        ),
        "The identity travels encrypted: someone who only listens does not learn it (RFC 7296 section 1.2).",
    )


def who(scene: Scene, event: AuthVerified) -> list[Telling]:
    """With AUTH verified the peers are authenticated."""
    how = words.method(event.method)

    def verified() -> str:
        return (
            f"AUTH verifies with the {how} of {words.identity(event.identity)}: the peer holds it, and it saw the same "
            "IKE_SA_INIT messages as we did. Nobody sits in the middle."
        )

    def both() -> str:
        if not scene.initiator:
            return "The initiator is authenticated; our own identity and AUTH go out with the answer."
        me = words.identity(known(scene.sa.local_id))
        return (
            f"Both ends are authenticated: we are {me}, and had ours not verified there, no AUTH would have come back."
        )

    return tell(4, "Who is who", verified, both)


def created(scene: Scene, event: IkeSaCreated) -> list[Telling]:
    """The lifetime, and that it is nobody's business but ours."""
    if scene.sa.rekeyed_from:
        return []
    return tell(
        4,
        "The IKE SA stands",
        lambda: (
            f"IKE SA {_pair(scene)} is up and may live {words.duration(event.lifetime)}; it is rekeyed before that."
        ),
        lambda: (
            f"We begin to replace it after {words.duration(round(known(event.rekey_in)))}: a random time before the "
            "end, so that two ends with one lifetime seldom begin at once."
        ),
        "IKEv2 does not negotiate lifetimes: each end keeps its own, and the shorter one rekeys first (RFC "
        "7296 section 2.8).",
    )


def _pair(scene: Scene) -> str:
    return f"0x{scene.sa.spi_i.upper()} / 0x{known(scene.sa.spi_r).upper()}"


def narrowed(scene: Scene, event: SelectorsChosen) -> list[Telling]:
    """What remains where the responder took less than was proposed."""
    proposed = event.proposed_local, event.proposed_remote
    # The first of several is the packet's own, for the responder to choose by (RFC 7296 section 2.9).
    if (event.local, event.remote) in (proposed, (proposed[0][1:], proposed[1][1:])):
        return []
    message = scene.latest(MessageReceived)
    return tell(
        4 if message.exchange == AUTH else 6,
        "Narrowed selectors",
        lambda: (
            f"Proposed {words.pair(event.proposed_local, event.proposed_remote)}; "
            f"agreed {words.pair(event.local, event.remote)}."
        ),
        "The responder may take a part of what is proposed, never more (RFC 7296 section 2.9).",
    )


def first_child(scene: Scene, event: ChildSaCreated) -> list[Telling]:
    """The ESP SPIs of IKE_AUTH's Child SA, and how they differ from the IKE SPIs."""
    if event.exchange != AUTH:
        return []

    def spis() -> str:
        return (
            f"Two ESP SAs, one each way: packets to us carry {words.spi(event.inbound)}, which we chose; packets to "
            f"{scene.peer} carry {words.spi(event.outbound)}, which it chose: the receiver finds its key by "
            "that number."
        )

    def differ() -> str:
        return (
            f"They stand in each ESP packet, {len(event.inbound) // 2} octets each; the IKE SPIs {_pair(scene)} "
            f"({len(scene.sa.spi_i) // 2} octets each) stand in IKE messages, both in every one. Other "
            "numbers, other SAs."
        )

    return tell(5, "The ESP SPIs", spis, differ, lambda: protection(event), lambda: limits(event))


def protection(event: ChildSaCreated) -> str:
    """What a Child SA does to which traffic."""
    mode = "transport" if event.transport else "tunnel"
    integrity = f" with {words.integrity(event.integrity)}" if event.integrity else ""
    wrapped = ", inside UDP" if event.udp else ""
    return (
        f"{words.pair(event.local, event.remote)} and back: "
        f"{words.encryption(event.encryption, event.key_length)}{integrity}, "
        f"{mode} mode{wrapped}."
    )


def limits(event: ChildSaCreated) -> str:
    """Where a Child SA's keys come from and how long they serve."""
    source = (
        f"SK_d, new nonces and a fresh exchange of {words.group(event.group)}"
        if event.group and event.exchange != AUTH
        else "SK_d and the nonces of IKE_SA_INIT"
        if event.exchange == AUTH
        else "SK_d and new nonces, no new key exchange"
    )
    volume = f" or {event.kilobytes} KB" if event.kilobytes is not None else ""
    return (
        f"Their keys come from {source} (RFC 7296 section 2.17) and serve "
        f"{words.duration(event.lifetime)}{volume} at most{_replaced_after(event)}."
    )


def _replaced_after(event: ChildSaCreated) -> str:
    rekey_in = event.rekey_in
    return f"; we begin to replace them after {rekey_in:.0f} s" if isinstance(rekey_in, int | float) else ""


TELLERS: dict[type[Event], Teller] = {
    AuthGenerated: proof,
    SelectorsSent: offered_selectors,
    PeerIdentified: claimed,
    AuthVerified: who,
    IkeSaCreated: created,
    SelectorsChosen: narrowed,
    ChildSaCreated: first_child,
}
