"""Configurations and proposals that the tests of policy share."""

from ipaddress import ip_address, ip_network

from ikescope.config.model import (
    AccessEntry,
    AccessList,
    Identity,
    IdentityMatch,
    IpsecProfile,
    Keyring,
    KeyringPeer,
    Policy,
    Profile,
    Proposal,
    RouterConfig,
    Secret,
    TransformChoice,
    TransformSet,
    Tunnel,
)

CBC_256, CBC_128 = TransformChoice(12, 256), TransformChoice(12, 128)
GCM_128, GCM_256 = TransformChoice(20, 128), TransformChoice(20, 256)
CHACHA = TransformChoice(28)

DEFAULT = Proposal(
    name="default",
    encryption=(CBC_256,),
    prf=(7, 6),
    integrity=(14, 13),
    groups=(19, 14, 21, 5),
    smart_default=True,
)
"""The nine transforms of IOS-XE 17's smart default."""

DEFAULT_SET = TransformSet(name="default", encryption=CBC_128, integrity=2, transport=True, smart_default=True)
GCM_SET = TransformSet(name="gcm", encryption=GCM_256, integrity=None)
SHA256_SET = TransformSet(name="sha256", encryption=CBC_256, integrity=12, esn=True)

R1, R2, R3 = ip_address("192.0.2.1"), ip_address("192.0.2.2"), ip_address("198.51.100.3")
FQDN, EMAIL, KEY_ID = 2, 3, 11


def proposal(
    name: str = "mine",
    encryption: tuple[TransformChoice, ...] = (CBC_256,),
    prf: tuple[int, ...] = (7,),
    integrity: tuple[int, ...] = (14,),
    groups: tuple[int, ...] = (19,),
) -> Proposal:
    """A proposal of one transform each unless told otherwise."""
    return Proposal(name=name, encryption=encryption, prf=prf, integrity=integrity, groups=groups)


def by_address(network: str) -> IdentityMatch:
    """`match identity remote address`."""
    return IdentityMatch(kind="address", network=ip_network(network))


def profile(
    name: str = "default",
    *match: IdentityMatch,
    keyring: str | None = "keys",
    local_key: Secret | None = None,
    shutdown: bool = False,
    match_local: tuple[str, ...] = (),
    identity_local: Identity | None = None,
) -> Profile:
    """A profile that authenticates by shared key, both ways."""
    return Profile(
        name=name,
        match_remote=match or (by_address("192.0.2.2/32"),),
        match_local=tuple(map(ip_address, match_local)),
        auth_local=2,
        auth_remote=(2,),
        keyring=keyring,
        local_key=local_key,
        shutdown=shutdown,
        identity_local=identity_local,
        line=20,
    )


def keyring_peer(
    name: str,
    address: str | None = None,
    identity: IdentityMatch | None = None,
    hostname: str | None = None,
    keys: tuple[str | None, str | None] | None = None,
) -> KeyringPeer:
    """A peer block whose keys are its name, or the (local, remote) pair given."""
    local, remote = keys if keys is not None else (name, name)
    return KeyringPeer(
        name=name,
        address=None if address is None else ip_network(address),
        hostname=hostname,
        identity=identity,
        local_key=None if local is None else Secret(local.encode()),
        remote_key=None if remote is None else Secret(remote.encode()),
    )


def entry(source: str, destination: str, protocol: int = 0, permit: bool = True) -> AccessEntry:
    """One line of an access-list."""
    return AccessEntry(permit=permit, protocol=protocol, source=ip_network(source), destination=ip_network(destination))


GRE_TUNNEL = Tunnel(
    name="Tunnel0",
    source="GigabitEthernet1",
    source_address=R1,
    destination=R2,
    ipsec_profile="default",
    line=30,
)


def router(
    *tunnels: Tunnel,
    profiles: tuple[Profile, ...] = (profile(),),
    policies: tuple[Policy, ...] = (),
    proposals: tuple[Proposal, ...] = (),
    keyring: tuple[KeyringPeer, ...] = (keyring_peer("R2", "192.0.2.2/32"),),
    sets: tuple[TransformSet, ...] = (DEFAULT_SET,),
    ipsec: tuple[IpsecProfile, ...] | None = None,
    access_lists: tuple[AccessList, ...] = (),
) -> RouterConfig:
    """A router of the shortest FlexVPN site-to-site configuration, with what the test puts in its place."""
    smart = Policy(name="default", proposals=("default",), match_fvrf="any", smart_default=True)
    if ipsec is None:
        names = tuple(one.name for one in sets)
        ipsec = (IpsecProfile(name="default", transform_sets=names, ikev2_profile="default", line=25),)
    return RouterConfig(
        proposals={one.name: one for one in (*proposals, DEFAULT)},
        policies={one.name: one for one in (*policies, smart)},
        keyrings={"keys": Keyring(name="keys", peers=keyring)},
        profiles={one.name: one for one in profiles},
        transform_sets={one.name: one for one in sets},
        ipsec_profiles={one.name: one for one in ipsec},
        access_lists={one.name: one for one in access_lists},
        tunnels={one.name: one for one in tunnels or (GRE_TUNNEL,)},
    )
