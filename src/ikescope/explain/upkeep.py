"""The walk's parts 6 and 7: rekeys and new Child SAs, then what INFORMATIONAL carries."""

from __future__ import annotations

from ikescope.events import Event
from ikescope.events.life import (
    ChildSaCreated,
    ChildSaRekeyed,
    ChildStarted,
    DeleteReceived,
    DeleteSent,
    IkeSaClosed,
    IkeSaRekeyed,
    LifetimeChanged,
    LivenessAnswered,
    LivenessReceived,
    LivenessSent,
    RekeyReceived,
    RekeyStarted,
)
from ikescope.events.message import MessageReceived, MessageSent
from ikescope.events.negotiation import KeysDerived
from ikescope.explain import words
from ikescope.explain.scene import Scene, Teller, Telling, known, tell, when
from ikescope.explain.trust import limits, protection
from ikescope.timeline import ChildSa
from ikescope.timeline.exchanges import NEW_CHILD, REKEY_CHILD, REKEY_IKE, message_of, purpose_of
from ikescope.wire.registry import ExchangeType

CREATE = ExchangeType.CREATE_CHILD_SA


def lowered(scene: Scene, event: LifetimeChanged) -> list[Telling]:
    """A changed lifetime acts on the SA that runs."""
    what = "IKE SA" if event.kind == "ike" else "Child SA"
    return tell(
        6,
        "Another lifetime",
        f"The {what}'s lifetime goes from {words.duration(event.before)} to {words.duration(event.after)}; "
        f"this acts on the running SA: rekey {_soon(event.rekey_in)}.",
        "The peer is neither asked nor told: each end keeps its own lifetimes. It learns of this by our rekey "
        "(RFC 7296 section 2.8).",
    )


def _soon(seconds: float) -> str:
    return "at once" if seconds < 1 else f"in {seconds:.0f} s"


def rekey_begins(scene: Scene, event: RekeyStarted) -> list[Telling]:
    """What is to be replaced, and within what."""
    if event.kind == "ike":
        return tell(
            6,
            "The IKE SA is to be replaced",
            lambda: f"IKE SA {_pair(event.spi_a, event.spi_b)} is to be replaced (trigger: {event.trigger}).",
            "CREATE_CHILD_SA does it inside the old SA: new SPIs, nonces and public values, but no identities and no "
            "AUTH: to speak under the old keys is proof enough (RFC 7296 section 1.3.2).",
        )
    return tell(
        6,
        "The Child SA is to be replaced",
        lambda: (
            f"The Child SA with {words.spi(event.spi_a)} in, {words.spi(event.spi_b)} out is to be replaced "
            f"(trigger: {event.trigger})."
        ),
        "Old and new stand side by side until traffic has moved, so nothing is lost (RFC 7296 section 1.3.3).",
    )


def rekey_asked(scene: Scene, event: RekeyReceived) -> list[Telling]:
    """The peer begins."""
    what = {
        "ike": "to replace the IKE SA",
        "child": "to replace a Child SA",
        "new": "for one more Child SA",
    }[event.kind]

    def old() -> str:
        return f"The old one: {_pair(known(event.spi_a), known(event.spi_b))}."

    return tell(
        6,
        "The peer asks",
        lambda: f"{scene.peer} asks {what}.",
        old,
        "Who begins an exchange does not depend on who began the IKE SA: each end has message IDs of its own.",
    )


def child_begins(scene: Scene, event: ChildStarted) -> list[Telling]:
    """One more Child SA within the IKE SA."""
    return tell(
        6,
        "One more Child SA",
        lambda: (
            f"{event.tunnel} asks for one more Child SA (trigger: {event.trigger}) within IKE SA {_sa_pair(scene)}."
        ),
        "The IKE SA and its keys stay; what is already protected runs on untouched (RFC 7296 section 1.3.1).",
    )


def create_request(scene: Scene, event: MessageSent | MessageReceived) -> list[Telling]:
    """How a CREATE_CHILD_SA request tells which of its three jobs it is."""
    if event.repeat or event.response:
        return []
    purpose = purpose_of(message_of(scene.record, scene.record.event))  # type: ignore[arg-type]
    if purpose not in TELLING_SIGNS:
        return []

    def inside() -> str:
        return f"Inside ENCR: {' '.join(known(event.inner))}. {TELLING_SIGNS[purpose]}"

    def pfs() -> str:
        when(purpose != REKEY_IKE)
        if "KE" in known(event.inner):
            return "KE is there: the new keys rest on a fresh key exchange too (PFS)."
        return "No KE: the new keys come from SK_d and the two new nonces alone (no PFS)."

    def number() -> str:
        message_id = known(scene.record.stamp.message_id)
        return f"Message ID {message_id} of IKE SA {_sa_pair(scene)}, {event.size} octets, under its keys."

    return tell(6, f"CREATE_CHILD_SA: {purpose}", inside, pfs, number)


TELLING_SIGNS = {
    REKEY_IKE: "No traffic selectors: so this makes an IKE SA.",
    REKEY_CHILD: "REKEY_SA names the Child SA to replace, by the SPI that the sender receives on.",
    NEW_CHILD: "Traffic selectors and no REKEY_SA: so this makes one more Child SA.",
}


def ike_rekeyed(scene: Scene, event: IkeSaRekeyed) -> list[Telling]:
    """Old SPIs to new SPIs, and who deletes the old."""

    def spis() -> str:
        return (
            f"IKE SPIs {_pair(event.old_spi_i, event.old_spi_r)} become "
            f"{_pair(event.new_spi_i, event.new_spi_r)}, by CREATE_CHILD_SA."
        )

    def keys() -> str:
        derived = scene.last.get(KeysDerived)
        if isinstance(derived, KeysDerived) and derived.rekey is True:
            return "Its keys are those of the note above, and it counts message IDs from 0 again."
        return (
            "The new SKEYSEED comes from the old SK_d, the new secret and the new nonces (RFC 7296 section 2.18); "
            "the new SA counts message IDs from 0 again."
        )

    def children() -> str:
        which = [words.spi(child.inbound) for child in _moved(scene, event)]
        told = f" (inbound {words.listed(which)})" if which else ""
        noun = "Child SA moves over as it is" if event.children == 1 else "Child SAs move over as they are"
        return f"{event.children} {noun}{told}: ESP keeps its SPIs and keys. Lifetime {words.duration(event.lifetime)}."

    def deleter() -> str:
        return (
            f"{_who(scene, event.initiator)} began the rekey, so {_who(scene, event.initiator, 'delete')} the "
            "old IKE SA."
        )

    return tell(6, "The new IKE SA", spis, keys, children, deleter)


def _moved(scene: Scene, event: IkeSaRekeyed) -> list[ChildSa]:
    new = scene.timeline.ike.get((scene.router, event.new_spi_i.lower()))
    children = scene.timeline.children_of(new) if new is not None else ()
    return [child for child in children if child.up and child.told]


def _who(scene: Scene, ours: bool, verb: str = "") -> str:
    if not verb:
        return "We" if ours else "The peer"
    return f"we {verb}" if ours else f"the peer {verb}s"


def child_made(scene: Scene, event: ChildSaCreated) -> list[Telling]:
    """A Child SA of CREATE_CHILD_SA: for a rekey its protection is told, for a new one its SPIs too."""
    if event.exchange != CREATE:
        return []

    def spis() -> str:
        return (
            f"Its own pair of ESP SPIs: {words.spi(event.inbound)} in (our choice), "
            f"{words.spi(event.outbound)} out ({scene.peer}'s)."
        )

    if isinstance(event.rekeys, str):
        return tell(6, "The replacement", spis, lambda: protection(event), lambda: limits(event))
    return tell(6, "The new Child SA", spis, lambda: protection(event), lambda: limits(event))


def child_rekeyed(scene: Scene, event: ChildSaRekeyed) -> list[Telling]:
    """Old ESP SPIs to new ones, and who deletes."""

    def spis() -> str:
        return (
            f"In {words.spi(event.old_inbound)} becomes {words.spi(event.new_inbound)}, "
            f"out {words.spi(event.old_outbound)} becomes {words.spi(event.new_outbound)}; the IKE SPIs stay."
        )

    def deleter() -> str:
        who, then = _who(scene, event.initiator), _who(scene, event.initiator, "delete")
        return (
            f"{who} began the rekey, so {then} the old pair, once traffic runs on the new one (RFC 7296 section 2.8)."
        )

    return tell(6, "Traffic has moved", spis, deleter)


def delete_sent(scene: Scene, event: DeleteSent) -> list[Telling]:
    """A delete, of what was replaced (part 6) or for good (part 7)."""
    if _redundant(scene, event):
        return tell(
            6,
            "The redundant one goes",
            lambda: (
                f"INFORMATIONAL with DELETE for {_named(scene, event)}: two rekeys crossed, and one new SA is enough."
            ),
            "Who made it deletes it (RFC 7296 section 2.8.1).",
        )
    if _replaced(scene, event):
        return tell(
            6,
            "The old one goes",
            lambda: f"INFORMATIONAL with DELETE for {_named(scene, event)}: it is replaced, and ours to delete.",
            IKE_DELETE if event.kind == "ike" else CHILD_DELETE,
        )
    return tell(
        7,
        "INFORMATIONAL with DELETE",
        lambda: f"DELETE for {_named(scene, event)}.",
        IKE_DELETE if event.kind == "ike" else CHILD_DELETE,
        lambda: _children_end(scene, event),
    )


def delete_received(scene: Scene, event: DeleteReceived) -> list[Telling]:
    """The peer's delete."""
    return tell(
        6 if _replaced(scene, event) or _redundant(scene, event) else 7,
        "The peer deletes",
        lambda: f"{scene.peer} sends DELETE for {_named(scene, event)}; the answer is an INFORMATIONAL response.",
        lambda: (
            "For an IKE SA the answer is empty, and nothing is left of it."
            if event.kind == "ike"
            else "The SPIs are those it receives on; the answer names ours for the other way (RFC 7296 section 1.4.1)."
        ),
        lambda: _children_end(scene, event),
    )


def _redundant(scene: Scene, event: DeleteSent | DeleteReceived) -> bool:
    """Whether it is of two that were made at once the one that has to go."""
    timeline, router = scene.timeline, scene.router
    if event.kind == "ike":
        return scene.sa.created is None and not scene.sa.failures and len(_members(scene)) > 1
    for (name, _), child in timeline.children.items():
        if name == router and child.replaces and {child.inbound, child.outbound} & set(event.spis):
            old = timeline.children.get((router, child.replaces))
            return old is not None and old.replaced_by not in (None, child.inbound)
    return False


def _members(scene: Scene) -> tuple[str, ...]:
    family = scene.timeline.family(scene.sa.family)
    return family.members if family is not None else ()


def _replaced(scene: Scene, event: DeleteSent | DeleteReceived) -> bool:
    timeline, router = scene.timeline, scene.router
    if event.kind == "ike":
        spi_i = scene.record.stamp.spi_i
        sa = timeline.ike.get((router, spi_i.lower())) if isinstance(spi_i, str) else None
        return sa is not None and sa.superseded_by is not None
    moved = scene.last.get(ChildSaRekeyed)
    if isinstance(moved, ChildSaRekeyed) and {moved.old_inbound, moved.old_outbound} & set(event.spis):
        return True
    children = (child for (name, _), child in timeline.children.items() if name == router)
    return any(child.replaced_by and {child.inbound, child.outbound} & set(event.spis) for child in children)


IKE_DELETE = (
    "The payload names no SPI: it means the IKE SA whose keys protect this very message (RFC 7296 section 1.4.1)."
)
CHILD_DELETE = (
    "It names the SPIs that we receive on; the answer names the other way's, so both directions end together."
)


def _children_end(scene: Scene, event: DeleteSent | DeleteReceived) -> str:
    when(event.kind == "ike")
    children = scene.timeline.children_of(scene.sa)
    inbound = [words.spi(child.inbound) for child in children if child.up and child.told and child.sa == scene.sa.key]
    when(bool(inbound))
    return f"Its Child SAs end with it, without a DELETE of their own: inbound {words.listed(inbound)}."


def _named(scene: Scene, event: DeleteSent | DeleteReceived) -> str:
    if event.kind == "ike":
        return f"IKE SA {_sa_pair(scene)}"
    return f"ESP {words.listed(words.spi(spi) for spi in event.spis)}"


def probe(scene: Scene, event: LivenessSent) -> list[Telling]:
    """An empty INFORMATIONAL asks for a sign of life."""
    return tell(
        7,
        "Empty INFORMATIONAL: is the peer alive?",
        lambda: (
            f"{scene.peer} was last heard {event.silent:.0f} s ago: an INFORMATIONAL request with nothing "
            "in it asks it to answer."
        ),
        "Empty still means ENCR: encrypted and sealed, so no one else can answer it (RFC 7296 sections 1.4 and 2.4).",
    )


def alive(scene: Scene, event: LivenessAnswered) -> list[Telling]:
    """It is."""
    return tell(
        7,
        "The peer is alive",
        lambda: (
            f"The empty response came after {event.milliseconds:.1f} ms, under the keys of IKE SA {_sa_pair(scene)}."
        ),
        "Had it not come, the request would go out again some times; then the IKE SA and its Child SAs were given up.",
    )


def probed(scene: Scene, event: LivenessReceived) -> list[Telling]:
    """The peer asks us."""
    return tell(
        7,
        "Empty INFORMATIONAL: the peer asks whether we live",
        lambda: f"{scene.peer} sent an INFORMATIONAL request with nothing in it.",
        "The answer is as empty, encrypted and sealed (RFC 7296 section 1.4).",
    )


def closed(scene: Scene, event: IkeSaClosed) -> list[Telling]:
    """The end of an IKE SA that nothing replaced and nothing refused."""
    if scene.sa.superseded_by is not None or scene.sa.created is None:
        return []
    return tell(
        7,
        "The IKE SA is gone",
        lambda: f"IKE SA {_sa_pair(scene)} ended after {event.seconds:.0f} s: {event.reason}.",
        "Nothing of it remains, no key and no SPI. The next packet that must be protected begins with "
        "IKE_SA_INIT again.",
    )


def _pair(spi_a: str, spi_b: str) -> str:
    return f"{words.spi(spi_a)} / {words.spi(spi_b)}"


def _sa_pair(scene: Scene) -> str:
    return _pair(scene.sa.spi_i, known(scene.sa.spi_r))


TELLERS: dict[type[Event], Teller] = {
    LifetimeChanged: lowered,
    RekeyStarted: rekey_begins,
    RekeyReceived: rekey_asked,
    ChildStarted: child_begins,
    IkeSaRekeyed: ike_rekeyed,
    ChildSaCreated: child_made,
    ChildSaRekeyed: child_rekeyed,
    DeleteSent: delete_sent,
    DeleteReceived: delete_received,
    LivenessSent: probe,
    LivenessAnswered: alive,
    LivenessReceived: probed,
    IkeSaClosed: closed,
}
