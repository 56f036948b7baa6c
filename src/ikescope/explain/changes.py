"""What becomes of SAs: which replaced which, by what keys; crossings, retries, reauthentication, ends and reasons."""

from __future__ import annotations

from ikescope.crypto import suites
from ikescope.events import Event
from ikescope.events.life import (
    ChildRefused,
    ChildSaClosed,
    ChildSaCreated,
    ChildSaRekeyed,
    CloseReason,
    DeleteQueued,
    DuplicateSettled,
    IkeSaRekeyed,
    KeepaliveStarted,
    Reauthenticated,
    ReauthenticationFailed,
    ReauthenticationStarted,
    RetryScheduled,
)
from ikescope.events.negotiation import ChildlessAuth, GroupRefused, InitialContactReceived, KeysDerived
from ikescope.explain import words
from ikescope.explain.opening import uses
from ikescope.explain.payloads import nonce
from ikescope.explain.scene import Scene, Teller, Telling, known, tell, when
from ikescope.timeline import Exchange, IkeSa
from ikescope.timeline.exchanges import REKEY_CHILD, REKEY_IKE
from ikescope.wire.registry import ExchangeType, NotifyType

CREATE = ExchangeType.CREATE_CHILD_SA


def keymat(scene: Scene, event: ChildSaCreated) -> list[Telling]:
    """Which octets of KEYMAT go where, by the lengths that the algorithms take."""
    encryption = suites.encryption(event.encryption, event.key_length)
    integrity = suites.INTEGRITIES.get(event.integrity or 0)
    if encryption is None or (event.integrity and integrity is None):
        return []
    name = words.encryption(event.encryption, event.key_length)
    keys = [f"{encryption.keymat_octets} octets for {name}{_salt(encryption)}"]
    one_way = encryption.keymat_octets
    if integrity is not None:
        keys.append(f"{integrity.key_octets} for {words.integrity(event.integrity)}")
        one_way += integrity.key_octets
    secret = "the new shared secret, " if event.exchange == CREATE and event.group else ""
    return tell(
        6 if event.exchange == CREATE else 5,
        "The keys of the Child SA",
        f"KEYMAT is prf+ of SK_d over {secret}Ni and Nr: {2 * one_way} octets here, half of them for each way "
        "(RFC 7296 section 2.17).",
        f"Each way takes {words.listed(keys)}; the first half is for what the initiator of this exchange sends, the "
        "second for what it receives.",
    )


def _salt(encryption: suites.Encryption) -> str:
    return f" ({encryption.salt_octets} of them its salt)" if encryption.salt_octets else ""


def rekeyed_keys(scene: Scene, event: KeysDerived) -> list[Telling]:
    """The keys of an IKE SA that replaces another."""
    if not event.rekey:
        return []
    lengths = {name: octets for name, octets in event.lengths.items() if octets}
    return tell(
        6,
        "The keys of the new IKE SA",
        f"SKEYSEED = prf(old SK_d, the new shared secret | Ni | Nr); PRF {words.prf(event.prf)} stretches it to "
        f"{words.count(len(lengths))} keys (RFC 7296 section 2.18).",
        lambda: f"{uses(lengths)}.",
    )


def child_crossing(scene: Scene, event: ChildSaRekeyed) -> list[Telling]:
    """Both ends rekeyed one Child SA at once: which of the two new ones stays, and why."""
    return _crossing(scene, scene.sa, REKEY_CHILD, event.initiator, "Child SA")


def ike_crossing(scene: Scene, event: IkeSaRekeyed) -> list[Telling]:
    """Both ends rekeyed the IKE SA at once."""
    old = scene.timeline.ike.get((scene.router, event.old_spi_i.lower()))
    return _crossing(scene, known(old), REKEY_IKE, event.initiator, "IKE SA")


def _crossing(scene: Scene, sa: IkeSa, purpose: str, ours_stays: bool, what: str) -> list[Telling]:
    ours, theirs = _crossed(scene, sa, purpose)

    def both() -> str:
        return (
            f"Both ends asked at once, we with message ID {known(ours.message_id)} and {scene.peer} with "
            f"{known(theirs.message_id)}: for one {what} there are two new ones now."
        )

    def decided() -> str:
        mine, its = _nonces(ours), _nonces(theirs)
        lowest, who = min((*((one, "ours") for one in mine), *((one, "the peer's") for one in its)))
        when((who == "ours") != ours_stays)
        return (
            f"The lowest of the four nonces, the one that begins {lowest[:4].hex()}, was in "
            f"{'our' if who == 'ours' else who} exchange: what that made has to go (RFC 7296 section 2.8.1)."
        )

    goes, stays = ("the peer's", "ours") if ours_stays else ("ours", "the peer's")
    return tell(
        6,
        "Two rekeys crossed",
        both,
        decided,
        f"So {stays} stays and {goes} is deleted by the end that made it; whose rekey stays deletes the old {what}.",
    )


def _crossed(scene: Scene, sa: IkeSa, purpose: str) -> tuple[Exchange, Exchange]:
    """The latest rekeys of both ends, where each was asked for before the other was answered; else Unsaid."""
    found = [one for one in scene.timeline.exchanges_of(sa) if one.purpose == purpose]
    ours = known(next((one for one in reversed(found) if one.ours), None))
    theirs = known(next((one for one in reversed(found) if not one.ours), None))
    mine, its = known(ours.request), known(theirs.request)
    when(mine.seq < known(theirs.response).seq and its.seq < known(ours.response).seq)
    return ours, theirs


def _nonces(exchange: Exchange) -> tuple[bytes, bytes]:
    return known(nonce(known(exchange.request))), known(nonce(known(exchange.response)))


def generations(scene: Scene, event: IkeSaRekeyed) -> list[Telling]:
    """The line of IKE SAs that replaced each other."""
    new = known(scene.timeline.ike.get((scene.router, event.new_spi_i.lower())))
    members = known(scene.timeline.family(new.family)).members
    when(len(members) > 1)

    def line() -> str:
        return f"Generation {len(members)} of this IKE SA: {' -> '.join(words.spi(one) for one in members[-3:])}."

    def following() -> str:
        return f"We begin to replace it in turn after {words.duration(round(known(event.rekey_in)))}."

    own = "Each generation has SPIs, keys and message IDs of its own; the Child SAs go from one to the next."
    return tell(6, "Which replaced which", line, own, following)


def child_generations(scene: Scene, event: ChildSaRekeyed) -> list[Telling]:
    """The line of Child SAs that replaced each other."""
    line = [event.new_inbound]
    while (child := scene.timeline.children.get((scene.router, line[0]))) is not None and child.replaces:
        if child.replaces in line:
            break
        line.insert(0, child.replaces)
    when(len(line) > 1)
    return tell(
        6,
        "Which replaced which",
        f"Generation {len(line)} of this Child SA, by the SPIs that we receive on: "
        f"{' -> '.join(words.spi(one) for one in line[-3:])}.",
        "What still comes under an old SPI is taken until that one is deleted (RFC 7296 section 2.8).",
    )


def retry(scene: Scene, event: RetryScheduled) -> list[Telling]:
    """What the peer cannot do now."""
    return tell(
        6,
        "Not now, but soon",
        f"{event.what}: tried again in {words.duration(round(event.seconds, 1))}.",
        "TEMPORARY_FAILURE is no verdict: both ends were busy with exchanges that collide, and the one that is told so "
        "waits and asks anew (RFC 7296 section 2.25).",
    )


def busy(scene: Scene, event: ChildRefused) -> list[Telling]:
    """A Child SA that was refused for the time being."""
    if event.notify not in (NotifyType.TEMPORARY_FAILURE, NotifyType.CHILD_SA_NOT_FOUND) or event.by != "local":
        return []
    return tell(
        6,
        "We are busy",
        lambda: f"{scene.peer} asks for what collides with our own exchange: {words.notify(event.notify)} from us.",
        "What collides with what is a table (RFC 7296 section 2.25); both ends come to the same end by it.",
    )


def other_group(scene: Scene, event: GroupRefused) -> list[Telling]:
    """Our view where the peer's guess of a group was not the one."""
    if event.by != "local":
        return []

    def had() -> str:
        return f"The peer's KE is for {words.group(known(event.found))}; the choice is {words.group(event.wanted)}."

    return tell(
        2,
        "Another group than the peer's guess",
        had,
        f"We answer INVALID_KE_PAYLOAD with the number {event.wanted}: the same request comes again with KE for it "
        "(RFC 7296 section 1.3).",
    )


def childless(scene: Scene, event: ChildlessAuth) -> list[Telling]:
    """IKE_AUTH without a Child SA."""
    return tell(
        4,
        "An IKE SA without a Child SA",
        f"IKE_AUTH makes the IKE SA alone ({event.by}): no SA, TSi and TSr in it.",
        "Each Child SA follows in a CREATE_CHILD_SA of its own, with a key exchange of its own where PFS is wanted "
        "(RFC 6023 section 3).",
    )


def reauthentication(scene: Scene, event: ReauthenticationStarted) -> list[Telling]:
    """A whole new IKE SA beside the old one."""
    return tell(
        6,
        "Both ends authenticate anew",
        f"A whole new IKE SA is made beside this one, IKE_SA_INIT and IKE_AUTH again, for its "
        f"{words.plural(event.children, 'Child SA')}.",
        "A rekey makes new keys but does not ask who is there; this does, and the old IKE SA is deleted only when the "
        "new one stands (RFC 7296 section 2.8.3).",
    )


def reauthenticated(scene: Scene, event: Reauthenticated) -> list[Telling]:
    """The new one has taken over."""
    return tell(
        6,
        "Authenticated anew",
        f"IKE SA {words.spi(event.old_spi_i)} / {words.spi(event.old_spi_r)} has done its work: the new one has "
        f"{words.plural(event.children, 'Child SA')} of its own and their traffic.",
        "The old one is deleted, with its Child SAs; nothing was without protection in between.",
    )


def not_reauthenticated(scene: Scene, event: ReauthenticationFailed) -> list[Telling]:
    """The old one carries on for now."""
    return tell(
        8,
        "Not authenticated anew",
        f"No new IKE SA took this one's place: {event.why}.",
        f"It carries on until its lifetime ends, {words.duration(round(event.ends_in))} from now; the next attempt is "
        f"in {words.duration(round(event.again_in))}.",
    )


def settled(scene: Scene, event: DuplicateSettled) -> list[Telling]:
    """Two IKE SAs to one identity."""

    def gone() -> str:
        return f"{words.spi(event.kept)} stays, and we delete {words.spi(known(event.closed))}: {event.why}."

    def both() -> str:
        when(not isinstance(event.closed, str))
        return f"Both stay, {words.spi(event.kept)} among them: {event.why}."

    return tell(
        6,
        "Two IKE SAs to one peer",
        "Both ends began at the same moment, so there are two IKE SAs where one is enough.",
        gone,
        both,
    )


def contact(scene: Scene, event: InitialContactReceived) -> list[Telling]:
    """The peer has no other IKE SA: ours to it are of a former life."""
    if not event.closed:
        return []
    return tell(
        4,
        "The peer begins anew",
        "INITIAL_CONTACT: it holds no other IKE SA with this identity, so what we still hold of it is dead.",
        f"{words.plural(event.closed, 'older IKE SA')} dropped without a DELETE: nobody is there to read one "
        "(RFC 7296 section 2.4).",
    )


def keepalive(scene: Scene, event: KeepaliveStarted) -> list[Telling]:
    """One octet against forgetful NATs."""
    return tell(
        5,
        "The NAT must not forget",
        f"Every {words.duration(event.seconds)} without other packets one octet, 0xFF, goes to UDP 4500: it keeps the "
        "NAT's table entry alive.",
        "The receiver throws it away; it is no sign of life of the peer (RFC 3948 section 2.3).",
    )


def child_closed(scene: Scene, event: ChildSaClosed) -> list[Telling]:
    """The end of a Child SA that came neither by a rekey nor with its IKE SA."""
    if event.cause in (CloseReason.REKEYED, CloseReason.WITH_IKE_SA):
        return []

    def why() -> str:
        return f"Child SA {words.spi(event.inbound)} in, {words.spi(event.outbound)} out: {event.reason}."

    def carried() -> str:
        return (
            f"It took {words.plural(known(event.packets_in), 'packet')} ({known(event.octets_in)} octets) in and sent "
            f"{words.plural(known(event.packets_out), 'packet')} ({known(event.octets_out)} octets)."
        )

    return tell(
        6 if event.cause == CloseReason.REDUNDANT else 7, "A Child SA is gone", why, carried, lambda: _left(scene)
    )


def _left(scene: Scene) -> str:
    up = [child for child in scene.timeline.children_of(scene.sa) if child.up]
    if not up:
        return "The IKE SA stands without a Child SA: nothing is protected until another one is made."
    return f"{words.plural(len(up), 'Child SA')} left in this IKE SA."


def queued(scene: Scene, event: DeleteQueued) -> list[Telling]:
    """Why an IKE SA is to end."""
    return tell(
        7,
        "Why the IKE SA is to end",
        f"We delete it: {event.reason}.",
        lambda: MEANING[CloseReason(event.cause)],
    )


MEANING: dict[CloseReason, str] = {
    CloseReason.CLEARED: "Traffic that needs the tunnel brings another one up.",
    CloseReason.STOPPED: "The peer is told, so that it does not have to find out by silence.",
    CloseReason.SHUT_DOWN: "It comes back with `no shutdown`, at this end.",
    CloseReason.LIFETIME: "It was not replaced in time; a new negotiation makes the next one.",
    CloseReason.IDLE: "`set security-association idle-time` asks for it; the next packet makes another one.",
    CloseReason.REDUNDANT: "One is enough, and the other stays.",
    CloseReason.NOT_AUTHENTICATED: "Who is there could not be shown: nothing of it may be used.",
    CloseReason.NOT_AGREED: "Without an agreement there is nothing to protect with.",
    CloseReason.SILENCE: "Whether the peer or the way to it is down cannot be told from here.",
    CloseReason.CONFIGURATION: "What runs must be what is configured.",
    CloseReason.REKEYED: "Its successor holds all that it held.",
    CloseReason.REAUTHENTICATED: "The new one holds Child SAs of its own, and their traffic.",
    CloseReason.ORPHANED: "Who began the rekey should have deleted it; it must not stay for ever.",
    CloseReason.WITH_IKE_SA: "A Child SA does not outlive its IKE SA.",
    CloseReason.PEER_DELETED: "The peer decides on its own ends; its log says why.",
    CloseReason.PEER_REFUSED: "An IKE SA without a Child SA protects nothing, so it need not stay.",
    CloseReason.PEER_RESTARTED: "What we still held is unknown to it now.",
    CloseReason.PEER_FORGOT: "It said so itself; a new negotiation makes the next one.",
    CloseReason.NEVER_CAME: "Room is kept for who goes on in time.",
    CloseReason.NO_SENSE: "After such a message nothing can be relied upon.",
    CloseReason.OUT_OF_STEP: "The two ends no longer number their messages alike; only a new IKE SA mends that.",
    CloseReason.PLANE: "Without ESP SAs in the data plane nothing can be protected.",
    CloseReason.DEFECT: "A new negotiation begins with clean state.",
}
TELLERS: dict[type[Event], Teller] = {
    ChildSaCreated: keymat,
    KeysDerived: rekeyed_keys,
    RetryScheduled: retry,
    ChildRefused: busy,
    GroupRefused: other_group,
    ChildlessAuth: childless,
    ReauthenticationStarted: reauthentication,
    Reauthenticated: reauthenticated,
    ReauthenticationFailed: not_reauthenticated,
    DuplicateSettled: settled,
    InitialContactReceived: contact,
    KeepaliveStarted: keepalive,
    ChildSaClosed: child_closed,
    DeleteQueued: queued,
}
#: Told beside those, of the same events.
FURTHER: dict[type[Event], tuple[Teller, ...]] = {
    ChildSaRekeyed: (child_crossing, child_generations),
    IkeSaRekeyed: (ike_crossing, generations),
}
