"""A router's status and configuration for the tests of shows."""

from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from typing import Any

import msgspec

from ikescope.config.model import (
    AccessEntry,
    AccessList,
    Dpd,
    Identity,
    IdentityMatch,
    Interface,
    IpsecProfile,
    Policy,
    Profile,
    Proposal,
    Route,
    RouterConfig,
    TransformChoice,
    TransformSet,
    Tunnel,
)
from ikescope.events import SelectorFact
from ikescope.node.status import ChildSaStatus, Counters, IkeSaStatus, NodeStatus, TunnelStatus

R1, R2 = IPv4Address("10.0.0.1"), IPv4Address("10.0.0.2")
HOST_1, HOST_2 = SelectorFact("10.0.0.1", "10.0.0.1", 47), SelectorFact("10.0.0.2", "10.0.0.2", 47)

IKE = IkeSaStatus(
    id=1,
    session=7,
    state="READY",
    description="Negotiation done",
    local=R1,
    local_port=500,
    remote=R2,
    remote_port=500,
    initiator=True,
    encryption=12,
    key_length=256,
    prf=7,
    integrity=14,
    group=19,
    auth_local=2,
    auth_remote=2,
    lifetime=86400,
    active=735.9,
    rekey_in=80000.0,
    spi_local="a1a2a3a4a5a6a7a8",
    spi_remote="b1b2b3b4b5b6b7b8",
    local_id=Identity(1, "10.0.0.1"),
    remote_id=Identity(1, "10.0.0.2"),
    profile="default",
    local_request_id=2,
    remote_request_id=0,
    local_window=5,
    remote_window=5,
    dpd=Dpd(60, 3, True),
    nat_local=False,
    nat_remote=False,
    encapsulated=False,
    last_heard=1.0,
    children=(1,),
)
CHILD = ChildSaStatus(
    id=1,
    ike=1,
    tunnel="Tunnel0",
    index=0,
    state="installed",
    inbound=0xA54D38A4,
    outbound=0x2E8482F8,
    encryption=12,
    key_length=256,
    integrity=2,
    esn=False,
    group=None,
    transport=True,
    udp=False,
    local_address=R1,
    local_port=500,
    remote_address=R2,
    remote_port=500,
    local=(HOST_1,),
    remote=(HOST_2,),
    lifetime=3600,
    active=363.0,
    remaining=3237.0,
    kilobytes=4608000,
    replay_window=64,
    received=Counters(4, 1024, 0),
    sent=Counters(5, 2048, 1),
)
TUNNEL = TunnelStatus(
    name="Tunnel0",
    up=True,
    admin_down=False,
    addresses=(IPv4Interface("172.16.0.1/30"),),
    source=R1,
    destination=R2,
    mode="gre ip",
    ipsec_profile="default",
    profile="default",
    mtu=1400,
    selectors=(((HOST_1,), (HOST_2,)),),
)
STATUS = NodeStatus(
    hostname="R1",
    uptime=93784.0,
    wall=1795442701.123,
    plane="userland",
    ike=(IKE,),
    children=(CHILD,),
    tunnels=(TUNNEL,),
)
CONFIG = RouterConfig(
    hostname="R1",
    proposals={
        "default": Proposal(
            name="default",
            encryption=(TransformChoice(12, 256),),
            prf=(7, 6),
            integrity=(14, 13),
            groups=(19, 14, 21, 5),
            smart_default=True,
        ),
        "ikev2proposal": Proposal(
            name="ikev2proposal", encryption=(TransformChoice(12, 128),), prf=(2,), integrity=(2,), groups=(16,)
        ),
    },
    policies={
        "default": Policy(name="default", proposals=("default",), smart_default=True),
        "ikev2policy": Policy(name="ikev2policy", proposals=("ikev2proposal",)),
    },
    profiles={
        "ikev2_profile": Profile(
            name="ikev2_profile",
            match_remote=(IdentityMatch(kind="address", network=IPv4Network("10.16.201.0/30")),),
            identity_local=Identity(1, "10.16.201.2"),
            auth_local=2,
            auth_remote=(2,),
            keyring="ikev2_keyring",
        )
    },
    transform_sets={
        "default": TransformSet(
            name="default", encryption=TransformChoice(12, 128), integrity=2, transport=True, smart_default=True
        ),
        "strong": TransformSet(name="strong", encryption=TransformChoice(12, 256), integrity=14),
    },
    ipsec_profiles={"default": IpsecProfile(name="default", transform_sets=("default",), ikev2_profile="default")},
    access_lists={
        "LANS": AccessList(
            name="LANS",
            entries=(
                AccessEntry(
                    permit=True,
                    protocol=0,
                    source=IPv4Network("10.1.0.0/16"),
                    destination=IPv4Network("10.2.0.9/32"),
                ),
            ),
        )
    },
    interfaces={
        "GigabitEthernet1": Interface(name="GigabitEthernet1", addresses=(IPv4Interface("10.0.0.1/24"),)),
        "Loopback0": Interface(name="Loopback0", loopback=True, shutdown=True),
    },
    tunnels={
        "Tunnel0": Tunnel(
            name="Tunnel0",
            addresses=(IPv4Interface("172.16.0.1/30"),),
            source="GigabitEthernet1",
            source_address=R1,
            destination=R2,
            ipsec_profile="default",
        )
    },
    routes=(
        Route(prefix=IPv4Network("10.2.0.0/16"), interface="Tunnel0"),
        Route(prefix=IPv4Network("0.0.0.0/0"), next_hop=IPv4Address("10.0.0.254")),
    ),
)


def but(thing: Any, **changes: Any) -> Any:
    """The same with other values."""
    return msgspec.structs.replace(thing, **changes)


def columns(line: str) -> list[int]:
    """Where each word of a line begins."""
    return [at for at, letter in enumerate(line) if letter != " " and (at == 0 or line[at - 1] == " ")]
