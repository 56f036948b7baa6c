"""Records of whole sessions, made by hand: R1 at 192.0.2.1 begins, R2 at 192.0.2.2 answers.

A `Made` appends what each engine tells, in its order; its fields are what a configuration would say, so that a test
changes one and looks at what follows. Octets are real IKE messages up to the Encrypted payload.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from tests.support_facts import GRE, message_completed, proposal, sa_payload, ts_payload

from ikescope.events import (
    UNSET,
    AttributeFact,
    Event,
    IdentityFact,
    ProposalFact,
    Record,
    SelectorFact,
    Stamp,
    life,
    message,
    negotiation,
    router,
)
from ikescope.wire import (
    AuthPayload,
    DeletePayload,
    EncryptedPayload,
    IdPayload,
    KePayload,
    Message,
    NoncePayload,
    NotifyPayload,
    Payload,
    VendorIdPayload,
    encode_chain,
)
from ikescope.wire.describe import payload_names
from ikescope.wire.registry import AuthMethod, ExchangeType, IdType, KeyExchangeId, NotifyType, PayloadType, ProtocolId

ADDRESSES = {"R1": "192.0.2.1", "R2": "192.0.2.2"}
INIT, AUTH, CREATE, INFO = 34, 35, 36, 37
REASON = life.CloseReason


@dataclass
class Made:
    """A session in the making; `records` holds what was told so far, both routers in the order of time."""

    group: int = 19
    groups: tuple[int, ...] = (19, 14, 21, 5)
    selectors: tuple[tuple[SelectorFact, ...], tuple[SelectorFact, ...]] = GRE
    lifetime: int = 86400
    esp_lifetime: int = 3600
    port: int = 500
    records: list[Record] = field(default_factory=list)
    now: float = 100.0
    spi_i: str = "a1a2a3a4a5a6a7a8"
    spi_r: str = "b1b2b3b4b5b6b7b8"
    spoken: int = 0
    sent_ids: dict[str, int] = field(default_factory=lambda: {"R1": 0, "R2": 0})
    number: int = 1

    @property
    def offer(self) -> ProposalFact:
        """The IKE proposal of the smart default, with our groups."""
        fixed = ((1, 12, 256), (2, 7, None), (2, 6, None), (3, 14, None), (3, 13, None))
        return proposal(1, (*fixed, *((4, group, None) for group in self.groups)))

    @property
    def choice(self) -> ProposalFact:
        """What the responder takes."""
        return proposal(1, ((1, 12, 256), (2, 7, None), (3, 14, None), (4, self.group, None)))

    @staticmethod
    def esp(spi: str) -> ProposalFact:
        """The ESP proposal of the smart default."""
        return proposal(3, ((1, 12, 128), (3, 2, None), (5, 0, None)), spi)

    def tell(self, name: str, event: Event, *, message_id: int | None = None, bare: bool = False) -> Record:
        """Append one record of router `name`; `bare` before any IKE SA exists."""
        self.now += 0.001
        here, there = (name, "R2" if name == "R1" else "R1")
        inside: dict[str, Any] = {}
        if not bare:
            inside = {
                "local": f"{ADDRESSES[here]}:{self.port}",
                "peer": f"{ADDRESSES[there]}:{self.port}",
                "spi_i": self.spi_i,
                "spi_r": self.spi_r if self.spoken else "0" * 16,
                "session": 1,
                "sa": self.number,
                "initiator": name == "R1",
            }
        if message_id is not None:
            inside["message_id"] = message_id
        seq = 1 + sum(1 for record in self.records if record.stamp.router == name)
        record = Record(Stamp(seq=seq, mono=self.now, wall=1.7e9 + self.now, router=name, **inside), event)
        self.records.append(record)
        return record

    def datagram(
        self,
        sender: str,
        exchange: int,
        response: bool,
        number: int,
        payloads: tuple[Payload, ...],
        *,
        repeat: int = 0,
        lost: bool = False,
    ) -> None:
        """A message from `sender` and its arrival at the other."""
        receiver = "R2" if sender == "R1" else "R1"
        inner: Any = UNSET
        opened: Any = UNSET
        first: Any = UNSET
        outer = payloads
        if exchange != INIT:
            inner = payload_names(payloads)
            kind, opened = encode_chain(payloads)
            first = int(kind)
            outer = (EncryptedPayload(PayloadType.of(kind), bytes(16) + opened + bytes(-len(opened) % 16 + 32)),)
        spi_r = bytes.fromhex(self.spi_r) if self.spoken or response else bytes(8)
        whole = Message(
            bytes.fromhex(self.spi_i), spi_r, ExchangeType.of(exchange), number, outer, sender == "R1", response
        )
        octets = whole.encode()
        facts: dict[str, Any] = {
            "exchange": exchange,
            "response": response,
            "payloads": payload_names(outer),
            "size": len(octets),
            "inner": inner,
            "octets": octets,
            "opened": opened,
            "opened_first": first,
            "repeat": repeat,
        }
        ends = [f"{ADDRESSES[name]}:{self.port}" for name in (sender, receiver)]
        if response and not self.spoken:
            self.spoken = 1
        self.tell(sender, message.MessageSent(local=ends[0], remote=ends[1], **facts), message_id=number)
        if not lost:
            self.now += 0.004
            self.tell(receiver, message.MessageReceived(local=ends[1], remote=ends[0], **facts), message_id=number)

    def request(self, sender: str, exchange: int, payloads: tuple[Payload, ...]) -> int:
        """A request with the next message ID of `sender`, which is returned."""
        number = self.sent_ids[sender]
        self.sent_ids[sender] += 1
        self.datagram(sender, exchange, False, number, payloads)
        return number

    # -- whole steps

    def begin(self, *, lost: bool = False) -> None:
        """Traffic, policy search and the IKE_SA_INIT request."""
        local, remote = self.selectors
        self.tell(
            "R1",
            router.TrafficMatched(
                tunnel="Tunnel0",
                packet_source="10.1.0.10",
                packet_destination="10.2.0.10",
                packet_protocol=1,
                local=local,
                remote=remote,
                inner=True,
            ),
            bare=True,
        )
        self.tell(
            "R1",
            negotiation.KeyringSearched(profile="default", keyring="KR", block="R2", peer="192.0.2.2"),
            bare=True,
        )
        self.search("R1", bare=True)
        self.tell("R1", negotiation.KeyExchangeComputed(part="public", group=self.groups[0], octets=64))
        self.tell("R1", message.MessageBuilding(exchange=INIT, response=False))
        self.tell("R1", negotiation.ProposalSent(protocol=1, response=False, initial=True, proposals=(self.offer,)))
        self.datagram("R1", INIT, False, 0, self._init(self.offer, self.groups[0]), lost=lost)
        self.sent_ids["R1"] = 1
        self.tell("R1", life.SaInserted())

    def _init(self, fact: ProposalFact, group: int) -> tuple[Payload, ...]:
        return (
            sa_payload(fact),
            KePayload(KeyExchangeId.of(group), bytes(64)),
            NoncePayload(bytes(32)),
            VendorIdPayload(b"IKESCOPE"),
            NotifyPayload(NotifyType.NAT_DETECTION_SOURCE_IP, bytes(20)),
            NotifyPayload(NotifyType.NAT_DETECTION_DESTINATION_IP, bytes(20)),
        )

    def search(self, name: str, *, bare: bool = False) -> None:
        """The policy search of one router."""
        found = negotiation.PolicySearched(
            local=ADDRESSES[name], policy="default", proposals=("default",), default_proposal=True
        )
        self.tell(name, found, bare=bare)

    def init(self) -> None:
        """IKE_SA_INIT, both messages."""
        self.begin()
        chosen: dict[str, Any] = {"protocol": 1, "offered": (self.offer,), "chosen": self.choice}
        self.tell("R2", negotiation.ProposalChosen(by="local", why="the first of the responder's own list", **chosen))
        self.datagram("R2", INIT, True, 0, self._init(self.choice, self.group))
        self.tell("R1", message.MessageProcessing(exchange=INIT, response=True))
        self.tell("R1", negotiation.ProposalChosen(by="peer", **chosen))
        nat = negotiation.NatChecked(
            supported=True, local_behind=False, remote_behind=False, forced=False, floated=False
        )
        lengths = {"SK_d": 64, "SK_ai": 64, "SK_ar": 64, "SK_ei": 32, "SK_er": 32, "SK_pi": 64, "SK_pr": 64}
        for name in ("R1", "R2"):
            self.tell(name, nat)
            self.tell(name, negotiation.KeyExchangeComputed(part="secret", group=self.group, octets=32))
            self.tell(name, negotiation.KeysDerived(rekey=False, prf=7, lengths=lengths))
            self.tell(name, message_completed(INIT))

    def auth_request(self) -> None:
        """R1's IKE_AUTH request."""
        local, remote = self.selectors
        me = IdentityFact(1, ADDRESSES["R1"])
        self.tell("R1", negotiation.ConfigSent(kind=1, attributes=(AttributeFact(7, "app-version", 8, "ikescope"),)))
        self.tell("R1", negotiation.AuthGenerated(method=2, identity=me, key_length=5, keyring_block="R2"))
        self.tell("R1", message.MessageBuilding(exchange=AUTH, response=False))
        self.tell("R1", negotiation.IdentitySent(kind="IDi", identity=me))
        esp = self.esp("c1c1c1c1")
        self.tell("R1", negotiation.ProposalSent(protocol=3, response=False, initial=True, proposals=(esp,)))
        self.tell("R1", negotiation.SelectorsSent(local=local, remote=remote, transport=True))
        payloads = (
            VendorIdPayload(b"IKESCOPE"),
            IdPayload(IdType.ID_IPV4_ADDR, bytes((192, 0, 2, 1)), kind=PayloadType.IDI),
            AuthPayload(AuthMethod.SHARED_KEY_MIC, bytes(64)),
            sa_payload(esp),
            ts_payload(PayloadType.TSI, local),
            ts_payload(PayloadType.TSR, remote),
            NotifyPayload(NotifyType.INITIAL_CONTACT),
            NotifyPayload(NotifyType.USE_TRANSPORT_MODE),
        )
        self.tell("R1", message.MessageSealing(exchange=AUTH, response=False, payloads=payload_names(payloads)))
        self.datagram("R1", AUTH, False, 1, payloads)
        self.sent_ids["R1"] = 2
        self.tell("R2", negotiation.PeerIdentified(kind="IDi", identity=me))

    def auth(self) -> None:
        """IKE_AUTH, both messages, and what both conclude."""
        self.auth_request()
        self._accept("R2")
        esp = self.esp("d1d1d1d1")
        local, remote = self.selectors
        payloads = (
            IdPayload(IdType.ID_IPV4_ADDR, bytes((192, 0, 2, 2)), kind=PayloadType.IDR),
            AuthPayload(AuthMethod.SHARED_KEY_MIC, bytes(64)),
            sa_payload(esp),
            ts_payload(PayloadType.TSI, local),
            ts_payload(PayloadType.TSR, remote),
        )
        self.child("R2", "d1d1d1d1", "c1c1c1c1", AUTH)
        self.datagram("R2", AUTH, True, 1, payloads)
        self.tell("R1", message.MessageProcessing(exchange=AUTH, response=True))
        self.tell("R1", negotiation.PeerIdentified(kind="IDr", identity=IdentityFact(1, ADDRESSES["R2"])))
        self._accept("R1")
        self.child("R1", "c1c1c1c1", "d1d1d1d1", AUTH)
        self.tell("R1", life.DuplicateChecked(found=0))

    def _accept(self, name: str) -> None:
        other = "R2" if name == "R1" else "R1"
        me, peer = IdentityFact(1, ADDRESSES[name]), IdentityFact(1, ADDRESSES[other])
        self.search(name)
        self.tell(name, negotiation.ProfileMatched(profile="default", tried=()))
        self.tell(name, negotiation.PolicyVerified())
        self.tell(name, negotiation.AuthVerified(method=2, identity=peer, key_length=5))
        self.tell(name, life.IkeSaCreated(lifetime=self.lifetime, suite="", initiator=name == "R1"))
        self.tell(name, life.SessionUp(local=me, remote=peer, index=1))

    def child(self, name: str, inbound: str, outbound: str, exchange: int, **more: Any) -> None:
        """The Child SA events of one router: proposal, selectors, keys."""
        local, remote = more.pop("selectors", self.selectors)
        if name == "R2":
            local, remote = remote, local
        by: Any = "peer" if name == "R1" else "local"
        esp = self.esp(outbound)
        self.tell(name, negotiation.ProposalChosen(protocol=3, by=by, offered=(self.esp(inbound),), chosen=esp))
        pairs = {"proposed_local": local, "proposed_remote": remote, "local": local, "remote": remote}
        self.tell(name, negotiation.SelectorsChosen(tunnel="Tunnel0", by=by, **pairs))
        facts: dict[str, Any] = {
            "inbound": inbound,
            "outbound": outbound,
            "tunnel": "Tunnel0",
            "transport": True,
            "encryption": 12,
            "key_length": 128,
            "integrity": 2,
            "esn": False,
            "group": None,
            "local": local,
            "remote": remote,
            "lifetime": self.esp_lifetime,
            "kilobytes": 4608000,
            "udp": False,
            "exchange": exchange,
            "initiator": name == "R1",
        }
        self.tell(name, life.ChildSaCreated(**(facts | more)))

    def up(self) -> Made:
        """A tunnel that comes up; the session itself."""
        self.init()
        self.auth()
        return self

    def rekey_ike(self) -> None:
        """R1 lowers the lifetime and replaces the IKE SA."""
        old = (self.spi_i, self.spi_r)
        new = ("e1e2e3e4e5e6e7e8", "f1f2f3f4f5f6f7f8")
        self.tell("R1", life.LifetimeChanged(kind="ike", before=self.lifetime, after=120, rekey_in=0.0))
        self.tell("R1", life.RekeyStarted(kind="ike", spi_a=old[0], spi_b=old[1], trigger="lifetime"))
        payloads = (
            sa_payload(self.choice),
            NoncePayload(bytes(32)),
            KePayload(KeyExchangeId.of(self.group), bytes(64)),
        )
        number = self.request("R1", CREATE, payloads)
        self.tell("R2", life.RekeyReceived(kind="ike", spi_a=old[0], spi_b=old[1]))
        self.datagram("R2", CREATE, True, number, payloads)
        for name in ("R2", "R1"):
            event = life.IkeSaRekeyed(
                old_spi_i=old[0],
                old_spi_r=old[1],
                new_spi_i=new[0],
                new_spi_r=new[1],
                initiator=name == "R1",
                children=1,
                lifetime=120,
            )
            self.tell(name, event)
        self.tell("R1", life.DeleteSent(kind="ike", spis=old))
        number = self.request("R1", INFO, (DeletePayload(ProtocolId.IKE),))
        self.tell("R2", life.DeleteReceived(kind="ike", spis=old))
        self.datagram("R2", INFO, True, number, ())
        for name in ("R2", "R1"):
            self.tell(name, life.IkeSaClosed(reason="rekeyed", seconds=10.0, cause=REASON.REKEYED))
        self.spi_i, self.spi_r, self.number = *new, 2
        self.sent_ids = {"R1": 0, "R2": 0}

    def rekey_child(self, old: tuple[str, str] = ("c1c1c1c1", "d1d1d1d1")) -> None:
        """R1 replaces the first Child SA."""
        new = ("c2c2c2c2", "d2d2d2d2")
        self.tell("R1", life.RekeyStarted(kind="child", spi_a=old[0], spi_b=old[1], trigger="lifetime"))
        number = self._create("R1", new, rekeys=old[0])
        self.tell(
            "R1",
            life.ChildSaRekeyed(
                old_inbound=old[0], old_outbound=old[1], new_inbound=new[0], new_outbound=new[1], initiator=True
            ),
        )
        del number
        self.tell("R1", life.DeleteSent(kind="child", spis=(old[0],)))
        number = self.request("R1", INFO, (DeletePayload(ProtocolId.ESP, (bytes.fromhex(old[0]),)),))
        self.datagram("R2", INFO, True, number, (DeletePayload(ProtocolId.ESP, (bytes.fromhex(old[1]),)),))
        closed = life.ChildSaClosed(
            inbound=old[0], outbound=old[1], tunnel="Tunnel0", reason="rekeyed", cause=REASON.REKEYED
        )
        self.tell("R1", closed)

    def new_child(self) -> None:
        """A packet for a second selector asks for a Child SA of its own."""
        pair = (SelectorFact("10.1.1.0", "10.1.1.255"),), (SelectorFact("10.2.1.0", "10.2.1.255"),)
        self.tell("R1", life.ChildStarted(tunnel="Tunnel0", trigger="traffic"))
        self._create("R1", ("c3c3c3c3", "d3d3d3d3"), selectors=pair)

    def _create(self, name: str, spis: tuple[str, str], **more: Any) -> int:
        local, remote = more.get("selectors", self.selectors)
        rekey: tuple[Payload, ...] = ()
        if "rekeys" in more:
            old = bytes.fromhex(more["rekeys"])
            rekey = (NotifyPayload(NotifyType.REKEY_SA, protocol=ProtocolId.ESP, spi=old),)
        selectors = (ts_payload(PayloadType.TSI, local), ts_payload(PayloadType.TSR, remote))
        payloads = (sa_payload(self.esp(spis[0])), NoncePayload(bytes(32)), *selectors, *rekey)
        number = self.request(name, CREATE, payloads)
        answer = (sa_payload(self.esp(spis[1])), NoncePayload(bytes(32)), *selectors)
        self.datagram("R2" if name == "R1" else "R1", CREATE, True, number, answer)
        self.child(name, *spis, CREATE, **more)
        return number

    def liveness(self) -> None:
        """R1 asks whether R2 is alive."""
        self.tell("R1", life.LivenessSent(silent=10.0))
        number = self.request("R1", INFO, ())
        self.tell("R2", life.LivenessReceived())
        self.datagram("R2", INFO, True, number, ())
        self.tell("R1", life.LivenessAnswered(milliseconds=5.0))

    def clear(self) -> None:
        """`clear crypto ikev2 sa` at R1."""
        self.tell("R1", router.CommandEntered(command="clear crypto ikev2 sa"), bare=True)
        self.tell("R1", life.DeleteQueued(reason="cleared by the operator", cause=REASON.CLEARED))
        self.tell("R1", life.DeleteSent(kind="ike", spis=(self.spi_i, self.spi_r)))
        number = self.request("R1", INFO, (DeletePayload(ProtocolId.IKE),))
        self.tell("R2", life.DeleteReceived(kind="ike", spis=(self.spi_i, self.spi_r)))
        self.datagram("R2", INFO, True, number, ())
        self.tell("R1", life.AckProcessed())
        for name in ("R1", "R2"):
            self.tell(name, life.IkeSaClosed(reason="cleared by the operator", seconds=60.0, cause=REASON.CLEARED))

    def whole(self) -> Made:
        """The guided tour's session, from the first packet to the clear."""
        self.up()
        self.rekey_ike()
        self.rekey_child()
        self.new_child()
        self.liveness()
        self.clear()
        return self

    def wrong_key(self) -> Made:
        """IKE_AUTH where R2 holds another key."""
        self.init()
        self.auth_request()
        peer = IdentityFact(1, ADDRESSES["R1"])
        self.tell("R2", negotiation.AuthRefused(method=2, identity=peer, key_length=7))
        refused = message.RequestRefused(exchange=AUTH, notify=24, why="AUTH does not verify")
        self.tell("R2", refused, message_id=1)
        self.datagram("R2", AUTH, True, 1, (NotifyPayload(NotifyType.AUTHENTICATION_FAILED),))
        self.tell("R1", message.ResponseRefused(exchange=AUTH, notify=24), message_id=1)
        for name in ("R1", "R2"):
            self.tell(
                name, life.IkeSaClosed(reason="authentication failed", seconds=0.1, cause=REASON.NOT_AUTHENTICATED)
            )
        return self

    def no_proposal(self) -> Made:
        """IKE_SA_INIT where R2 wants another group."""
        self.begin()
        wanted = proposal(1, ((1, 12, 256), (2, 7, None), (3, 14, None), (4, 20, None)))
        refusal = negotiation.ProposalRefused(
            protocol=1,
            received=(self.offer,),
            expected=(wanted,),
            nearest=1,
            axis=4,
            found="19, 14, 21, 5",
            wanted="20",
        )
        self.tell("R2", refusal)
        self.tell("R2", message.RequestRefused(exchange=INIT, notify=14, why="no proposal chosen"), message_id=0)
        self.datagram("R2", INIT, True, 0, (NotifyPayload(NotifyType.NO_PROPOSAL_CHOSEN),))
        self.tell("R1", message.ResponseRefused(exchange=INIT, notify=14), message_id=0)
        return self

    def unmatched_selectors(self) -> Made:
        """IKE_AUTH where R2 has no tunnel for the selectors: the IKE SA stands, the Child SA does not."""
        self.init()
        self.auth_request()
        self._accept("R2")
        local, remote = self.selectors
        expected = (SelectorFact("10.9.0.0", "10.9.255.255"),)
        refused = negotiation.SelectorsRefused(
            proposed_local=remote, proposed_remote=local, expected_local=expected, expected_remote=local, axis="local"
        )
        self.tell("R2", refused)
        self.tell("R2", life.ChildRefused(by="local", notify=38, exchange=AUTH, tunnel="Tunnel0"), message_id=1)
        payloads = (
            IdPayload(IdType.ID_IPV4_ADDR, bytes((192, 0, 2, 2)), kind=PayloadType.IDR),
            AuthPayload(AuthMethod.SHARED_KEY_MIC, bytes(64)),
            NotifyPayload(NotifyType.TS_UNACCEPTABLE),
        )
        self.datagram("R2", AUTH, True, 1, payloads)
        self._accept("R1")
        self.tell("R1", life.ChildRefused(by="peer", notify=38, exchange=AUTH, tunnel="Tunnel0"), message_id=1)
        return self

    def silence_after(self) -> None:
        """An IKE_AUTH request that R2, which answered IKE_SA_INIT, never gets."""
        self.datagram("R1", AUTH, False, 1, (NotifyPayload(NotifyType.INITIAL_CONTACT),), lost=True)

    def silence(self, *, floated: bool = False) -> Made:
        """Nobody answers: from the start, or (`floated`) only from port 4500 on."""
        exchange, number = (AUTH, 1) if floated else (INIT, 0)
        if floated:
            self.init()
            self.port = 4500
        else:
            self.begin(lost=True)
        payloads = (NotifyPayload(NotifyType.INITIAL_CONTACT),) if floated else self._init(self.offer, self.group)
        for repeat in range(0 if floated else 1, 3):
            if repeat:
                waiting = message.Retransmitting(exchange=exchange, attempt=repeat, limit=2, wait=2.0 * repeat)
                self.tell("R1", waiting, message_id=number)
            self.datagram("R1", exchange, False, number, payloads, repeat=repeat, lost=True)
            self.now += 2
        self.tell("R1", message.RetransmissionsExhausted(exchange=exchange, sends=3, seconds=6.0), message_id=number)
        self.tell("R1", life.IkeSaClosed(reason="no answer", seconds=6.0, cause=REASON.SILENCE))
        return self
