"""The IKE SAs of a capture and their keys, given or derived; an ICV is verified before anything is taken from inside.

What files of an operator hold is used here and nowhere else: no key enters an event.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache

from ikescope.capture.flows import EspTable
from ikescope.capture.keyfiles import SK_NAMES, DhSecret, IkeSecrets, KeyRing
from ikescope.crypto import key_exchange
from ikescope.crypto.envelope import Envelope, EnvelopeError
from ikescope.crypto.keys import ChildKeys, IkeKeys, child_keys, ike_keys, rekeyed_ike_keys
from ikescope.crypto.suites import ENCRYPTIONS, INTEGRITIES, PRFS, EspSuite, IkeSuite, SuiteError, esp_suite, ike_suite
from ikescope.errors import LocalError, PeerError
from ikescope.wire import KePayload, Message, NoncePayload, SaPayload
from ikescope.wire.encrypted import EncryptedFragmentPayload
from ikescope.wire.header import FLAG_INITIATOR, HEADER_OCTETS
from ikescope.wire.payload import Payload
from ikescope.wire.registry import ProtocolId
from ikescope.wire.sa import Proposal, Transform

#: How many messages of an IKE SA are tried with keys that name no SA, before they are taken for another's.
TRIES = 4


@dataclass(slots=True)
class KeyedSa:
    """One IKE SA: what IKE_SA_INIT, or the exchange that made it, told in the clear, and its keys once they are known.

    `parent` is the IKE SA that it replaces. `request` and `response` are the IKE_SA_INIT messages as they were sent.
    """

    spi_i: bytes
    spi_r: bytes
    suite: IkeSuite | None = None
    nonce_i: bytes = b""
    nonce_r: bytes = b""
    ke_i: KePayload | None = None
    ke_r: KePayload | None = None
    request: bytes = b""
    response: bytes = b""
    parent: KeyedSa | None = None
    keys: IkeKeys | None = field(default=None, repr=False)
    tries: int = 0
    complaint: str = ""
    _ends: tuple[Envelope, Envelope] | None = field(default=None, repr=False)

    def begin(self, message: Message, octets: bytes) -> None:
        """Take an IKE_SA_INIT message; of several rounds the latest counts."""
        if message.response:
            self.agree(message.payloads)
            self.response = octets
        else:
            self.ask(message.payloads)
            self.request = octets

    def ask(self, payloads: Iterable[Payload]) -> None:
        """Take the initiator's nonce and KE payloads."""
        for payload in payloads:
            if isinstance(payload, NoncePayload):
                self.nonce_i = payload.data
            elif isinstance(payload, KePayload):
                self.ke_i = payload

    def agree(self, payloads: Iterable[Payload]) -> None:
        """Take the responder's SA, nonce and KE payloads."""
        for payload in payloads:
            if isinstance(payload, NoncePayload):
                self.nonce_r = payload.data
            elif isinstance(payload, KePayload):
                self.ke_r = payload
            elif isinstance(payload, SaPayload) and payload.proposals:
                self.suite, self.complaint = _suite(payload.proposals[0].transforms)

    def set_keys(self, keys: IkeKeys, suite: IkeSuite) -> None:
        """These are its keys."""
        self.keys, self.suite = keys, suite
        self._ends = Envelope.reader(suite, keys, False), Envelope.reader(suite, keys, True)

    def adopt(self, other: KeyedSa) -> None:
        """The keys of the other are its keys."""
        self.keys, self.suite, self._ends = other.keys, other.suite, other._ends

    def open(self, octets: bytes, message: Message) -> bytes:
        """What the Encrypted payload holds, or a fragment's part of it; EnvelopeError where the ICV does not verify."""
        assert message.sk_offset is not None
        fragment = isinstance(message.encrypted, EncryptedFragmentPayload)
        return self.open_at(octets, message.sk_offset, fragment=fragment)

    def open_at(self, octets: bytes, place: int, *, fragment: bool = False) -> bytes:
        """As `open`, the Encrypted payload (of a `fragment`, or not) being at `place`; its keys are known."""
        assert self._ends is not None
        return self._ends[0 if octets[19] & FLAG_INITIATOR else 1].open(octets, place, fragment=fragment)

    def open_body(self, octets: bytes, start: int, flags: int) -> bytes:
        """As `open_at`, the Encrypted payload's body beginning at `start`, and its lengths being those of the message.

        `flags` is the octet of the header.
        """
        assert self._ends is not None
        return self._ends[0 if flags & FLAG_INITIATOR else 1].open_body(octets, start)


@lru_cache(maxsize=256)  # those of a network are few
def _suite(transforms: tuple[Transform, ...]) -> tuple[IkeSuite | None, str]:
    try:
        return ike_suite(transforms), ""
    except SuiteError as error:
        return None, f"its suite is none of ikescope: {error}"


class Opener:
    """Finds the keys of IKE SAs in a ring and opens their messages."""

    def __init__(self, ring: KeyRing) -> None:
        self._ring = ring
        self._given = {(one.spi_i, one.spi_r): one for one in ring.ike if one.spi_i}
        self._nameless = [one for one in ring.ike if not one.spi_i]
        self.esp = EspTable(ring.esp)

    def unlock(self, sa: KeyedSa, octets: bytes, message: Message) -> str:
        """Find the keys of an IKE SA by a message of it; what is wrong with those that are there, empty otherwise."""
        if sa.tries >= TRIES:
            return ""
        sa.tries += 1
        said = sa.complaint
        for where, suite, keys in self._candidates(sa):
            trial = KeyedSa(sa.spi_i, sa.spi_r)
            try:
                trial.set_keys(keys, suite)
                trial.open(octets, message)
            except (EnvelopeError, ValueError) as error:
                end = "ir"[not message.initiator]
                wanted = f"wanted SK_e{end}{'' if suite.integrity is None else f' and SK_a{end}'} of this IKE SA"
                said = said or (f"the keys of {where} do not open it: {error}; {wanted}" if where else "")
                continue
            sa.adopt(trial)
            return ""
        return said or self._missing(sa)

    def named(self, sa: KeyedSa, octets: bytes) -> bool:
        """Whether keys that name this IKE SA open a message that is one Encrypted payload; they are its keys then.

        Where not, nothing is changed and nothing said: `unlock` tells why.
        """
        given = self._given.get((sa.spi_i.hex(), sa.spi_r.hex()))
        if given is None or sa.suite is None or sa.tries >= TRIES or not _fits(given, sa.suite):
            return False
        trial = KeyedSa(sa.spi_i, sa.spi_r)
        try:
            trial.set_keys(_as_keys(given), sa.suite)
            trial.open_at(octets, HEADER_OCTETS)
        except (EnvelopeError, ValueError):
            return False
        sa.tries += 1
        sa.adopt(trial)
        return True

    def _missing(self, sa: KeyedSa) -> str:
        if not len(self._ring) or sa.tries < TRIES:
            return ""
        return f"no key of {', '.join(self._ring.names)} is for it"

    def _candidates(self, sa: KeyedSa) -> Iterator[tuple[str, IkeSuite, IkeKeys]]:
        """Where they are from (empty where they name no SA), and the keys with their suite, the surest first."""
        given = self._given.get((sa.spi_i.hex(), sa.spi_r.hex()))
        if given is not None:
            for suite in _suites(given, sa.suite):
                yield given.where, suite, _as_keys(given)
        for secret in self._ring.dh:
            if secret.spi_i in ("", sa.spi_i.hex()) and secret.spi_r in ("", sa.spi_r.hex()):
                yield from _from_secret(sa, secret)
        for one in self._nameless:
            for suite in _suites(one, sa.suite):
                yield "", suite, _as_keys(one)

    def child(self, sa: KeyedSa, suite: EspSuite, request: ChildHalf, response: ChildHalf) -> ChildKeys | None:
        """The keys of a Child SA; None where SK_d, or the secret of its own key exchange, is not known."""
        if sa.keys is None or sa.suite is None or not sa.keys.sk_d:
            return None
        nonces = request.nonce or sa.nonce_i, response.nonce or sa.nonce_r
        if not all(nonces):
            return None
        if response.ke is None:
            return child_keys(sa.suite.prf, sa.keys.sk_d, *nonces, suite)
        for secret in self._ring.dh:
            if (secret.spi_i, secret.spi_r) == (request.spi, response.spi):
                for shared in _shared(secret, request.ke, response.ke):
                    return child_keys(sa.suite.prf, sa.keys.sk_d, *nonces, suite, shared)
        return None


@dataclass(frozen=True, slots=True)
class ChildHalf:
    """What one side of an exchange brings to a Child SA: its SPI in hexadecimal, nonce, KE payload."""

    spi: str
    nonce: bytes
    ke: KePayload | None


def chosen_esp(proposal: Proposal) -> EspSuite | None:
    """The suite of a chosen ESP proposal; None for one that ikescope does not have."""
    try:
        return esp_suite(proposal.transforms) if proposal.protocol == ProtocolId.ESP else None
    except SuiteError:
        return None


def _as_keys(given: IkeSecrets) -> IkeKeys:
    return IkeKeys(*(getattr(given, name) for name in SK_NAMES))


def _suites(given: IkeSecrets, agreed: IkeSuite | None) -> Iterator[IkeSuite]:
    """The agreed suite, or else each that keys of these lengths, and the names beside them, may be of."""
    if agreed is not None:
        if _fits(given, agreed):
            yield agreed
        return
    prf = next((one for one in PRFS.values() if one.key_octets == len(given.sk_d)), next(iter(PRFS.values())))
    for encryption in ENCRYPTIONS.values():
        macs = [None] if encryption.aead else list(INTEGRITIES.values())
        for mac in macs:
            suite = IkeSuite(encryption, mac, prf, 0)
            if encryption.key_octets and _fits(given, suite):
                yield suite


def _fits(given: IkeSecrets, suite: IkeSuite) -> bool:
    mac = suite.integrity
    if given.encryption is not None and (suite.encryption.id, suite.encryption.key_bits or None) != given.encryption:
        return False
    if given.integrity is not None and (0 if mac is None else int(mac.id)) != given.integrity:
        return False
    encr, integ = suite.encryption.keymat_octets, 0 if mac is None else mac.key_octets
    had = {len(given.sk_ei), len(given.sk_er)}, {len(given.sk_ai), len(given.sk_ar)} if mac is not None else {0}
    return had == ({encr}, {integ})


def _from_secret(sa: KeyedSa, secret: DhSecret) -> Iterator[tuple[str, IkeSuite, IkeKeys]]:
    if sa.suite is None or sa.ke_i is None or sa.ke_r is None or not (sa.nonce_i and sa.nonce_r):
        return
    where = secret.where if secret.spi_i else ""
    for shared in _shared(secret, sa.ke_i, sa.ke_r):
        seed = (sa.nonce_i, sa.nonce_r, sa.spi_i, sa.spi_r)
        if sa.parent is None:
            yield where, sa.suite, ike_keys(sa.suite, *seed[:2], shared, *seed[2:])
        elif sa.parent.keys is not None and sa.parent.suite is not None and sa.parent.keys.sk_d:
            prf = sa.parent.suite.prf
            yield where, sa.suite, rekeyed_ike_keys(prf, sa.parent.keys.sk_d, sa.suite, shared, *seed)


def _shared(secret: DhSecret, ke_i: KePayload | None, ke_r: KePayload | None) -> Iterator[bytes]:
    """The shared secret: as given, or out of one side's private value and the other's public one."""
    if not secret.private:
        yield secret.data
        return
    if ke_i is None or ke_r is None:
        return
    try:
        own = key_exchange.from_private(int(ke_r.group), secret.data)
        other = {ke_i.data: ke_r.data, ke_r.data: ke_i.data}.get(own.public)
        if other is not None:
            yield own.shared_secret(other)
    except (LocalError, PeerError, ValueError):
        return
