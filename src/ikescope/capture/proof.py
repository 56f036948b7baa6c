"""AUTH of both ends checked with pre-shared keys, once the keys of the IKE SA are known (RFC 7296 section 2.15)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ikescope.capture import facts
from ikescope.capture.keyed import KeyedSa
from ikescope.events import Event, IdentityFact
from ikescope.events.negotiation import AuthRefused, AuthVerified
from ikescope.wire import AuthPayload, IdPayload, Payload, find
from ikescope.wire.registry import AuthMethod, PayloadType

#: Identity that a key is for (empty: any) and the key.
Psk = tuple[str, bytes]


def proved(sa: KeyedSa, payloads: Sequence[Payload], response: bool, psks: Sequence[Psk]) -> Iterator[Event]:
    """Whether the AUTH of an IKE_AUTH message verifies with one of the keys; nothing where that cannot be told.

    `payloads` are those inside; a key that names the sender's identity or nobody is tried.
    """
    auth = find(payloads, AuthPayload)
    kind = PayloadType.IDR if response else PayloadType.IDI
    sender = find(payloads, IdPayload, kind)
    who = facts.identity(payloads, kind)
    message, nonce = (sa.response, sa.nonce_i) if response else (sa.request, sa.nonce_r)
    sk_p = b"" if sa.keys is None else sa.keys.sk_pr if response else sa.keys.sk_pi
    if (
        not psks
        or auth is None
        or sender is None
        or who is None
        or sa.suite is None
        or not (message and nonce and sk_p)
    ):
        return
    if auth.method != AuthMethod.SHARED_KEY_MIC:
        yield AuthRefused(method=int(auth.method), identity=who, wanted=int(AuthMethod.SHARED_KEY_MIC))
        return
    tried = [key for name, key in psks if name in ("", who.value)]
    for key in tried:
        if facts.psk_verifies(sa.suite.prf, key, auth.data, message, nonce, sk_p, sender.body):
            yield AuthVerified(method=int(auth.method), identity=who, key_length=len(key))
            return
    yield _refused(int(auth.method), who, tried)


def unproven(sa: KeyedSa, response: bool) -> str:
    """Why nothing can be told of an AUTH value, in a few words; empty where all that it takes is known."""
    name = "SK_pr" if response else "SK_pi"
    if sa.keys is not None and not (sa.keys.sk_pr if response else sa.keys.sk_pi):
        return f"{name} is not among the keys (tables of Wireshark lack it)"
    if not (sa.request and sa.response):
        return "IKE_SA_INIT, which AUTH covers, is not in the capture"
    return ""


def _refused(method: int, who: IdentityFact, tried: Sequence[bytes]) -> AuthRefused:
    """None of the keys: the length is told where there is one only."""
    if len(tried) == 1:
        return AuthRefused(method=method, identity=who, key_length=len(tried[0]))
    return AuthRefused(method=method, identity=who)
