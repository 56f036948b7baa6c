"""Our message tree against Wireshark's: each field of each message of our sessions, no difference without a reason."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from msgspec.structs import replace
from tests.daemon.routers import PYTHON
from tests.support import charonkeys
from tests.support.machine import ROOT
from tests.support.netns import HOST_B, Topology
from tests.support.strongswan import Connection, Strongswan
from tests.support.tshark import IKE_TABLE, capturing, write_tables
from tests.support.world import ADDRESSES, Pair, Side, feed, ike_keys, pair, sealed
from tools import dissect
from tools.dissect import compared

from ikescope.capture import frames, from_records, pcapng
from ikescope.daemon.keyfile import ike_line
from ikescope.engine.commands import Clear, Probe, Rekey
from ikescope.wire import (
    AuthPayload,
    CpPayload,
    DeletePayload,
    IdPayload,
    KePayload,
    NoncePayload,
    NotifyPayload,
    Payload,
    Proposal,
    SaPayload,
    TrafficSelector,
    TsPayload,
    VendorIdPayload,
)
from ikescope.wire.cp import CpValue
from ikescope.wire.registry import (
    TRANSFORM_IDS,
    AuthMethod,
    CpAttribute,
    CpType,
    EncryptionId,
    ExchangeType,
    IdType,
    KeyExchangeId,
    NotifyType,
    PayloadType,
    ProtocolId,
    TransformAttribute,
    TransformType,
    TsType,
)
from ikescope.wire.sa import Attribute, Transform
from ikescope.wire.tree import Node, tree
from ikescope.wire.unknown import UnknownPayload

KEY_LENGTH, DIGITAL_SIGNATURE = TransformAttribute.KEY_LENGTH, AuthMethod.DIGITAL_SIGNATURE


def agreed(directory: Path, capture: bytes, keys: Sequence[str], *, least: int) -> None:
    """Wireshark and our tree say the same of every field; at least so many were compared."""
    path = directory / "session.pcapng"
    path.write_bytes(capture)
    report = compared(path, write_tables(directory / "tables", ike=keys))
    assert not report.differences, "\n".join(report.differences[:40])
    assert report.fields >= least


def keys_of(one: Pair, name: str = "R1") -> list[str]:
    """The lines of Wireshark's table for the IKE SAs of a router."""
    return [line for keys in ike_keys(one.station(name)) if (line := ike_line(keys)) is not None]


def lived(one: Pair) -> Pair:
    """A life with everything: both kinds of rekey, each side's delete."""
    one.up()
    one.ask("R1", Rekey(sa=one.world.status("R1").ike[0].id))
    one.world.run(2)
    one.ask("R2", Rekey(spi=one.children("R2")[0].inbound))
    one.world.run(2)
    one.ask("R1", Probe())
    one.world.run(2)
    one.ask("R2", Clear())
    one.world.run(2)
    return one


@pytest.mark.parametrize(
    ("side", "least"),
    [
        (Side(), 1000),
        (Side(ike="gcm", esp="gcm", pfs=19), 1000),
        (Side(ike="modp", mode="acl", second=True), 1000),
        (Side(fragmentation="fragmentation mtu 200"), 1300),
        (Side(force_encap=True, groups=(19, 14, 21)), 1000),
        (Side(childless="prefer"), 1000),
    ],
    ids=["cbc", "gcm-pfs", "modp-selectors", "fragments", "nat", "childless"],
)
def test_sessions_are_dissected_as_wireshark_does(tmp_path: Path, side: Side, least: int) -> None:
    """First exchanges, rekeys of both kinds, deletes, fragments, NAT, configuration payloads: every field the same."""
    one = lived(pair(side))
    agreed(tmp_path, from_records(one.station("R1").records), keys_of(one), least=least)


@pytest.mark.parametrize(
    ("left", "right"),
    [
        (Side(), Side(key="another-key-of-these-tests")),
        (Side(groups=(19, 14)), Side(groups=(14,))),
        (Side(), Side(ike="gcm")),
        (Side(), Side(esp="gcm")),
        (Side(), Side(mode="acl")),
    ],
    ids=["key", "group", "proposal", "transform-set", "selectors"],
)
def test_refusals_are_dissected_as_wireshark_does(tmp_path: Path, left: Side, right: Side) -> None:
    """What each refusal sends is the same in both trees."""
    one = pair(left, right)
    one.ping("R1")
    one.world.run(5.0)
    agreed(tmp_path, from_records(one.station("R1").records), keys_of(one), least=60)


def packets(messages: Sequence[bytes]) -> bytes:
    """A capture of datagrams from R1 to R2."""
    ends = str(ADDRESSES["R1"]), 500, str(ADDRESSES["R2"]), 500
    blocks = [pcapng.section(), pcapng.interface("R1")]
    return b"".join(
        [*blocks, *(pcapng.packet(0, at, frames.ike_packet(*ends, one)) for at, one in enumerate(messages))]
    )


#: What stands in a notify that has a form of its own; all others carry four octets or none.
NOTIFY_DATA: dict[int, bytes] = {
    NotifyType.INVALID_KE_PAYLOAD: b"\0\x13",
    NotifyType.SIGNATURE_HASH_ALGORITHMS: b"\0\2\0\3\0\4\0\5",
    NotifyType.ADDITIONAL_IP6_ADDRESS: bytes(15) + b"\1",
    NotifyType.UNSUPPORTED_CRITICAL_PAYLOAD: b"\x80",
    NotifyType.IPCOMP_SUPPORTED: b"\0\1\2",
    NotifyType.COOKIE: bytes(range(20)),
    NotifyType.REDIRECT: b"\1\4\xc0\0\2\1" + bytes(range(16)),
    NotifyType.REDIRECTED_FROM: b"\1\4\xc0\0\2\1",
    NotifyType.TICKET_LT_OPAQUE: b"\0\0\1\2ticket",
    NotifyType.ROHC_SUPPORTED: b"\x80\1\0\x0f",
    NotifyType.IKEV2_MESSAGE_ID_SYNC: bytes(range(12)),
    NotifyType.SECURE_PASSWORD_METHODS: b"\0\1\0\2",
}
#: Notifies that cannot be empty: Wireshark reads on into what follows them.
NEVER_EMPTY = {*NOTIFY_DATA, NotifyType.AUTH_LIFETIME, NotifyType.IPSEC_REPLAY_COUNTER_SYNC}


def notify(kind: NotifyType, *, empty: bool) -> NotifyPayload:
    """A notify of this type, with an SPI where it is about a Child SA."""
    about = kind in (NotifyType.REKEY_SA, NotifyType.CHILD_SA_NOT_FOUND)
    protocol, spi = (ProtocolId.ESP, b"\1\2\3\4") if about else (ProtocolId.NONE, b"")
    return NotifyPayload(kind, b"" if empty else NOTIFY_DATA.get(kind, b"\0\0\1\2"), protocol, spi)


def attribute(kind: CpAttribute) -> CpValue:
    """A configuration attribute with octets that its type allows."""
    name = kind.label
    sizes = {"INTERNAL_IP4_SUBNET": 8, "INTERNAL_IP6_ADDRESS": 17, "INTERNAL_IP6_SUBNET": 17, "APPLICATION_VERSION": 0}
    size = sizes.get(name, 16 if "IP6" in name else 4)
    return CpValue(kind, b"ikescope 1" if not size else bytes(range(1, size + 1)))


CHAINS: dict[str, tuple[Payload, ...]] = {
    "notifies": tuple(notify(kind, empty=False) for kind in NotifyType),
    "empty notifies": tuple(notify(kind, empty=True) for kind in NotifyType if kind not in NEVER_EMPTY),
    "private notifies": (NotifyPayload(NotifyType.of(40960), b"ab"), NotifyPayload(NotifyType.of(9000), b"")),
    "configuration": tuple(
        CpPayload(kind, tuple(attribute(one) for one in CpAttribute)) for kind in (CpType.CFG_REQUEST, CpType.CFG_REPLY)
    ),
    "identities": (
        IdPayload(IdType.ID_IPV4_ADDR, b"\xc0\0\2\1"),
        IdPayload(IdType.ID_FQDN, b"r1.example"),
        IdPayload(IdType.ID_RFC822_ADDR, b"me@r1.example"),
        IdPayload(IdType.ID_IPV6_ADDR, bytes(15) + b"\1"),
        IdPayload(IdType.ID_KEY_ID, b"\1key", kind=PayloadType.IDR),
    ),
    "selectors": (
        TsPayload(
            PayloadType.TSI,
            (
                TrafficSelector(TsType.TS_IPV4_ADDR_RANGE, 6, 80, 443, b"\x0a\1\0\0", b"\x0a\1\0\xff"),
                TrafficSelector(TsType.TS_IPV6_ADDR_RANGE, 0, 0, 65535, bytes(16), b"\xff" * 16),
            ),
        ),
        TsPayload(
            PayloadType.TSR, (TrafficSelector(TsType.TS_IPV4_ADDR_RANGE, 1, 0x0800, 0x08FF, bytes(4), bytes(4)),)
        ),
    ),
    "deletes": (
        DeletePayload(ProtocolId.ESP, (b"\1\2\3\4", b"\5\6\7\x08")),
        DeletePayload(ProtocolId.IKE),
    ),
    "transforms": (
        SaPayload(
            tuple(
                Proposal(
                    number,
                    ProtocolId.IKE,
                    bytes(8),
                    tuple(Transform(TransformType.of(kind), one) for one in TRANSFORM_IDS[kind]),
                )
                for number, kind in enumerate(TRANSFORM_IDS, 1)
            )
        ),
        SaPayload(
            (
                Proposal(
                    1,
                    ProtocolId.ESP,
                    b"\1\2\3\4",
                    (
                        Transform(TransformType.ENCR, EncryptionId.of(12), (Attribute(KEY_LENGTH, b"\1\0"),)),
                        Transform(
                            TransformType.ENCR, EncryptionId.of(2000), (Attribute(KEY_LENGTH, b"\0\0\1\0", False),)
                        ),
                    ),
                ),
            )
        ),
    ),
    "authentication": tuple(AuthPayload(kind, bytes(range(64))) for kind in AuthMethod if kind != DIGITAL_SIGNATURE),
    "the rest": (
        VendorIdPayload(b"ikescope"),
        VendorIdPayload(bytes(range(16))),
        KePayload(KeyExchangeId.of(31), bytes(range(32))),
        NoncePayload(bytes(range(16))),
        UnknownPayload(PayloadType.of(200), b"abc"),
    ),
}


@pytest.mark.parametrize("name", CHAINS)
def test_every_kind_of_payload_is_dissected_as_wireshark_does(tmp_path: Path, name: str) -> None:
    """Notifies of every type, configuration attributes, identities, selectors, deletes: every field the same."""
    one = pair(Side()).up()
    messages = [sealed(one, "R1", CHAINS[name], exchange=ExchangeType.INFORMATIONAL, message_id=9)]
    agreed(tmp_path, packets(messages), keys_of(one), least=30)


def test_what_nobody_can_open_is_dissected_as_wireshark_does(tmp_path: Path) -> None:
    """Without keys the Encrypted payload is one field, in both trees."""
    one = pair(Side()).up()
    feed(one, "R2", sealed(one, "R1", ()))
    agreed(tmp_path, from_records(one.station("R1").records), (), least=220)


def test_the_tour_is_dissected_as_wireshark_does(tmp_path: Path) -> None:
    """The capture that the guided tour leaves, with the keys that it writes: every field the same."""
    argv = [sys.executable, "-m", "ikescope", "demo", "--output", str(tmp_path), "--write-keys"]
    subprocess.run(argv, check=True, capture_output=True, timeout=300, cwd=ROOT, env={**os.environ, **PYTHON})
    report = compared(tmp_path / "capture.pcapng", tmp_path / "keys")
    assert not report.differences, "\n".join(report.differences[:40])
    assert report.messages >= 18 and report.fields >= 1500


def test_the_judge_sees_what_differs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A value that is wrong, a field that is missing and a name that nobody knows are a difference each."""
    records = pair(Side()).up().station("R1").records
    path = tmp_path / "session.pcapng"
    path.write_bytes(from_records(records))

    def bent(change: Callable[[Node], Node]) -> list[str]:
        def spoiled(message: bytes) -> tuple[Node, ...]:
            return tuple(map(change, tree(message)))

        monkeypatch.setattr(dissect, "tree", spoiled)
        return compared(path, None).differences

    def wrong(node: Node) -> Node:
        children = tuple(replace(one, value="14") if one.name == "Message ID" else one for one in node.children)
        return replace(node, children=children)

    def missing(node: Node) -> Node:
        return replace(node, children=tuple(one for one in node.children if one.name != "Exchange Type"))

    def renamed(node: Node) -> Node:
        children = (replace(one, name="Number") if one.name == "Message ID" else one for one in node.children)
        return replace(node, children=tuple(children))

    assert bent(lambda node: node) == []
    assert len(bent(wrong)) == 4 and "ours Message ID: 14" in bent(wrong)[0]
    assert len(bent(missing)) == 4 and "we have no Exchange Type there" in bent(missing)[0]
    assert any("Number: 0: Wireshark has none" in one for one in bent(renamed))


@pytest.mark.parametrize("ike", ["aes256-sha512-ecp256", "aes128gcm16-prfsha256-x25519"])
def test_strongswan_s_messages_are_dissected_as_wireshark_does(
    net: Topology,
    charon: Callable[..., Strongswan],
    site: Callable[..., Connection],
    tmp_path: Path,
    ike: str,
) -> None:
    """What two charons say to each other: every field the same, with the keys that one of them logged."""
    one, other = charon(net.gw_a, log_keys=True), charon(net.gw_b)
    one.load(site("a", ike=ike))
    other.load(site("b", ike=ike))
    with capturing(net.gw_b, tmp_path / "wire.pcap", expression="udp port 500 or udp port 4500") as capture:
        one.initiate()
        assert net.host_a.ping(HOST_B).lost == 0
        made = [(sa["initiator-spi"], sa["responder-spi"]) for sa in one.established()]
        one.rekey(child="net")
        one.terminate(ike="peer")
        log = one.log()
    tables = charonkeys.tables(log, made, tmp_path / "keys")
    agreed(tmp_path, capture.read_bytes(), (tables / IKE_TABLE).read_text().splitlines(), least=600)
