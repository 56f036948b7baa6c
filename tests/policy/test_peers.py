"""Which policy, profile, key and tunnel speak to a peer, and why the others do not."""

from __future__ import annotations

from ipaddress import ip_address

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.policy.samples import (
    CBC_256,
    DEFAULT_SET,
    EMAIL,
    FQDN,
    GCM_SET,
    GRE_TUNNEL,
    KEY_ID,
    R1,
    R2,
    R3,
    by_address,
    entry,
    keyring_peer,
    profile,
    proposal,
    router,
)

from ikescope.config.model import (
    AccessList,
    Identity,
    IdentityMatch,
    IpsecProfile,
    KeyringPeer,
    Policy,
    RouterConfig,
    Secret,
    Tunnel,
)
from ikescope.errors import LocalError
from ikescope.events.base import SelectorFact
from ikescope.policy.identity import match_text
from ikescope.policy.peers import (
    IdentityError,
    admits,
    connection,
    find_key,
    find_policy,
    find_profile,
    identity_from_wire,
    identity_matches,
    identity_text,
    identity_to_wire,
    local_identity,
    search_key,
    tunnel_for,
)

R2_NAME = Identity(FQDN, "r2.example.org")


def changed(tunnel: Tunnel, **changes: object) -> Tunnel:
    """A tunnel with some fields changed."""
    return msgspec.structs.replace(tunnel, **changes)


def test_a_connection_is_all_that_a_tunnel_needs() -> None:
    """Addresses, profile, policy with its proposals, transform-sets and selectors, resolved by name."""
    one = connection(router(), "Tunnel0")
    assert (one.local, one.remote, one.profile.name, one.policy.name) == (R1, R2, "default", "default")
    assert [each.name for each in one.proposals] == ["default"]
    assert [each.name for each in one.sets] == ["default"]
    assert one.selectors[0].local[0].protocol == 47
    assert one.transport


def test_the_daemon_says_the_source_where_the_file_does_not() -> None:
    """A source interface without an address in the file takes the address that is handed in."""
    config = router(changed(GRE_TUNNEL, source_address=None))
    assert connection(config, "Tunnel0", local=R3).local == R3


@pytest.mark.parametrize(
    ("mode", "sets", "transport"),
    [
        ("gre ip", (DEFAULT_SET,), True),
        ("gre ip", (DEFAULT_SET, GCM_SET), False),
        ("gre ip", (GCM_SET,), False),
        ("ipsec ipv4", (DEFAULT_SET,), False),
    ],
)
def test_transport_mode_is_for_gre_with_all_sets_in_it(mode: str, sets: tuple[object, ...], transport: bool) -> None:
    """`tunnel mode ipsec` is always ESP tunnel mode; GRE is in transport mode if every transform-set is."""
    config = router(changed(GRE_TUNNEL, mode=mode), sets=sets)  # type: ignore[arg-type]
    assert connection(config, "Tunnel0").transport == transport


def bare(**changes: object) -> RouterConfig:
    """A router whose tunnel has some fields changed."""
    return router(changed(GRE_TUNNEL, **changes))


def ipsec(**changes: object) -> tuple[IpsecProfile, ...]:
    """The IPsec profile `default` with some fields changed."""
    one = IpsecProfile(name="default", transform_sets=("default",), ikev2_profile="default", line=25)
    return (msgspec.structs.replace(one, **changes),)


MISSING = {
    "tunnel protection": (bare(ipsec_profile=None), "(line 30) names no IPsec profile; write `tunnel protection"),
    "IPsec profile": (bare(ipsec_profile="nope"), "Tunnel0 (line 30): there is no IPsec profile nope"),
    "destination": (bare(destination=None), "write `tunnel destination A.B.C.D`"),
    "source": (bare(source_address=None), "write `tunnel source INTERFACE`"),
    "IKEv2 profile not set": (
        router(ipsec=ipsec(ikev2_profile=None)), "(line 25) names no IKEv2 profile; write `set ikev2-profile"
    ),
    "IKEv2 profile unknown": (router(ipsec=ipsec(ikev2_profile="x")), "(line 25): there is no IKEv2 profile x"),
    "transform-set unknown": (router(ipsec=ipsec(transform_sets=("x",))), "(line 25): there is no transform-set x"),
    "no transform-set": (router(ipsec=ipsec(transform_sets=())), "write `set transform-set NAME`"),
    "profile shut down": (router(profiles=(profile(shutdown=True),)), "profile default (line 20) is shut down"),
    "no local authentication": (
        router(profiles=(msgspec.structs.replace(profile(), auth_local=None),)), "authentication local pre-share"
    ),
    "no remote authentication": (
        router(profiles=(msgspec.structs.replace(profile(), auth_remote=()),)), "authentication remote pre-share"
    ),
    "no match": (router(profiles=(msgspec.structs.replace(profile(), match_remote=()),)), "match identity remote"),
    "proposal unknown": (
        router(policies=(Policy(name="P", proposals=("x",), line=8),)), "P (line 8): there is no IKEv2 proposal x"
    ),
}  # fmt: skip


@pytest.mark.parametrize(("config", "words"), MISSING.values(), ids=MISSING)
def test_what_a_connection_lacks_is_one_line(config: RouterConfig, words: str) -> None:
    """The first thing missing, its place in the file and what to write; nothing secret."""
    with pytest.raises(LocalError) as caught:
        connection(config, "Tunnel0")
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_tunnel_that_does_not_exist_is_said() -> None:
    """An unknown name is an error of the caller."""
    with pytest.raises(LocalError, match="no interface Tunnel9"):
        connection(router(), "Tunnel9")


AT_R1 = Policy(name="AT-R1", proposals=("mine",), match_local=(R1,))
AT_R3 = Policy(name="AT-R3", proposals=("mine",), match_local=(R3,))
ANYWHERE = Policy(name="ANYWHERE", proposals=("mine",))
POLICIES = {
    "the smart default alone": ((), "default", True),
    "a configured one before the default": ((ANYWHERE,), "ANYWHERE", False),
    "one that names the address before one that does not": ((ANYWHERE, AT_R1), "AT-R1", False),
    "another address's is passed": ((AT_R3,), "default", True),
    "the first of two alike": ((AT_R1, msgspec.structs.replace(AT_R1, name="LATER")), "AT-R1", False),
    "another VRF's is passed": ((msgspec.structs.replace(ANYWHERE, match_fvrf="RED"),), "default", True),
    "an empty one is passed": ((msgspec.structs.replace(ANYWHERE, proposals=()),), "default", True),
}


@pytest.mark.parametrize(("policies", "name", "default"), POLICIES.values(), ids=POLICIES)
def test_the_policy_for_a_local_address(policies: tuple[Policy, ...], name: str, default: bool) -> None:
    """One that names the address, then one for any, then the smart default; each with a reason."""
    config = router(policies=policies, proposals=(proposal("mine"),))
    found = find_policy(config, R1)
    assert (found.policy.name, found.default_proposal) == (name, default)
    assert [each.name for each in found.proposals] == ["default" if default else "mine"]
    assert [look.name for look in found.tried if look.taken] == [name]
    assert all(look.why for look in found.tried)


def test_no_policy_for_an_address_is_an_error() -> None:
    """Without the smart default a router may have nothing to say at an address."""
    config = msgspec.structs.replace(router(), policies={"AT-R3": AT_R3})
    with pytest.raises(LocalError, match=r"match address local 192\.0\.2\.1"):
        find_policy(config, R1)


def name_match(kind: str, value: str, domain: bool = False) -> IdentityMatch:
    """`match identity remote KIND [domain] VALUE`."""
    return IdentityMatch(kind=kind, value=value, domain=domain)  # type: ignore[arg-type]


MATCHES = [
    (IdentityMatch(kind="any"), Identity(9, "0x3000"), True),
    (by_address("192.0.2.2/32"), Identity(1, "192.0.2.2"), True),
    (by_address("192.0.2.0/24"), Identity(1, "192.0.2.77"), True),
    (by_address("0.0.0.0/0"), Identity(1, "203.0.113.1"), True),
    (by_address("192.0.2.2/32"), Identity(1, "192.0.2.3"), False),
    (by_address("192.0.2.0/24"), Identity(5, "2001:db8::1"), False),
    (by_address("2001:db8::/32"), Identity(5, "2001:db8::1"), True),
    (by_address("192.0.2.2/32"), Identity(FQDN, "192.0.2.2"), False),
    (name_match("fqdn", "r2.example.org"), R2_NAME, True),
    (name_match("fqdn", "R2.Example.ORG"), R2_NAME, True),
    (name_match("fqdn", "r2.example.org"), Identity(KEY_ID, "r2.example.org"), False),
    (name_match("fqdn", "example.org"), R2_NAME, False),
    (name_match("fqdn", "example.org", domain=True), R2_NAME, True),
    (name_match("fqdn", "ample.org", domain=True), R2_NAME, False),
    (name_match("email", "a@example.org"), Identity(EMAIL, "a@example.org"), True),
    (name_match("email", "example.org", domain=True), Identity(EMAIL, "a@example.org"), True),
    (name_match("email", "example.org", domain=True), Identity(EMAIL, "a@badexample.org"), False),
    (name_match("key-id", "site-2"), Identity(KEY_ID, "site-2"), True),
    (name_match("key-id", "site-2"), Identity(KEY_ID, "Site-2"), False),
    (name_match("key-id", "0x0102"), Identity(KEY_ID, "0x0102"), True),
]


@pytest.mark.parametrize(("match", "identity", "admitted"), MATCHES)
def test_a_match_line_admits_an_identity(match: IdentityMatch, identity: Identity, admitted: bool) -> None:
    """Address ranges match IP identities only, names exactly or by whole labels of a domain, key-ids by octets."""
    ##= rfc7296#section-3.5 type=test
    ##% IPv6-capable implementations MUST additionally be configurable to accept ID_IPV6_ADDR.
    ##= rfc7296#section-3.5 type=test
    ##% To assure maximum interoperability, implementations MUST be configurable to send at least one of
    ##% ID_IPV4_ADDR, ID_FQDN, ID_RFC822_ADDR, or ID_KEY_ID, and MUST be configurable to accept all of these four
    ##% types.
    assert identity_matches(match, identity) == admitted


def test_a_match_line_reads_as_ios_writes_it() -> None:
    """Kind, `domain`, value."""
    several = [IdentityMatch(kind="any"), by_address("192.0.2.0/24"), name_match("fqdn", "example.org", domain=True)]
    assert [match_text(one) for one in several] == ["any", "address 192.0.2.0/24", "fqdn domain example.org"]


def test_the_first_profile_of_the_file_that_admits_the_identity() -> None:
    """The order of the file decides; every profile says why it is or is not the one."""
    profiles = (
        profile("shut", IdentityMatch(kind="any"), shutdown=True),
        profile("elsewhere", IdentityMatch(kind="any"), match_local=("198.51.100.3",)),
        profile("by-address", by_address("192.0.2.2/32")),
        profile("by-name", name_match("fqdn", "r2.example.org")),
        profile("by-domain", name_match("fqdn", "example.org", domain=True)),
    )
    found, tried = find_profile(router(profiles=profiles), R2_NAME, R1, R2)
    assert found is not None
    assert found.name == "by-name"
    assert [(look.name, look.taken) for look in tried] == [
        ("shut", False),
        ("elsewhere", False),
        ("by-address", False),
        ("by-name", True),
        ("by-domain", False),
    ]
    reasons = [look.why for look in tried]
    assert "shut down" in reasons[0]
    assert "address local had 192.0.2.1, wanted 198.51.100.3" in reasons[1]
    assert "identity remote had ID_FQDN (2) r2.example.org, wanted address 192.0.2.2/32" in reasons[2]
    assert "its address 192.0.2.2 would match" in reasons[2]
    assert "by-name stands before it" in reasons[4]


def test_no_profile_leaves_every_reason() -> None:
    """A peer that nothing admits gets None, and the event its near misses."""
    found, tried = find_profile(router(), Identity(1, "203.0.113.9"), R1, ip_address("203.0.113.9"))
    assert found is None
    assert tried[0].why == "identity remote had ID_IPV4_ADDR (1) 203.0.113.9, wanted address 192.0.2.2/32"


def test_an_initiator_asks_its_own_profile_about_the_responder() -> None:
    """The IDr of a response is held against the profile that started the negotiation."""
    assert admits(profile(), Identity(1, "192.0.2.2"), R1).taken
    assert not admits(profile(), Identity(1, "192.0.2.9"), R1).taken


KEYS: tuple[KeyringPeer, ...] = (
    keyring_peer("anybody", "0.0.0.0/0"),
    keyring_peer("net", "192.0.2.0/24"),
    keyring_peer("host", "192.0.2.2/32"),
    keyring_peer("fqdn", identity=name_match("fqdn", "r2.example.org")),
    keyring_peer("named", hostname="r9.example.org"),
)
SEARCHES = {
    "identity first": (KEYS, R2, R2_NAME, "fqdn"),
    "the longest prefix": (KEYS, R2, None, "host"),
    "a shorter prefix": (KEYS, ip_address("192.0.2.7"), None, "net"),
    "0.0.0.0/0 last of the addresses": (KEYS, R3, None, "anybody"),
    "an address before a hostname": (KEYS, R3, Identity(FQDN, "r9.example.org"), "anybody"),
    "hostname at the end": (KEYS[3:], R3, Identity(FQDN, "R9.example.org"), "named"),
    "nothing": (KEYS[1:], R3, Identity(FQDN, "r8.example.org"), None),
    "not by identity before it is known": (KEYS[3:], R2, None, None),
}


@pytest.mark.parametrize(("keys", "remote", "identity", "block"), SEARCHES.values(), ids=SEARCHES)
def test_the_block_of_a_keyring(
    keys: tuple[KeyringPeer, ...], remote: object, identity: Identity | None, block: str | None
) -> None:
    """Identity, then the longest prefix, then hostname, wherever the block stands in the file."""
    ##= rfc7296#section-1.2 type=test
    ##% If either side uses a shared secret for authentication, the names in the ID payload MUST correspond to the
    ##% key used to generate the AUTH payload.
    search = search_key(router(keyring=keys), profile(), remote, identity, "remote")  # type: ignore[arg-type]
    assert (search.key.block if search.key else None) == block
    assert [look.name for look in search.tried if look.taken] == ([block] if block else [])
    assert len(search.tried) == len(keys)
    if search.key is not None:
        assert search.key.keyring == "keys"
        assert search.key.secret == Secret(str(block).encode())


def test_each_direction_has_its_key() -> None:
    """`pre-shared-key local` and `remote`: each is found for its side; a block without it is passed, and says so."""
    keys = (
        keyring_peer("half", "192.0.2.2/32", keys=("mine", None)),
        keyring_peer("whole", "192.0.2.0/24", keys=("ours", "theirs")),
    )
    config = router(keyring=keys)
    local, remote = (find_key(config, profile(), R2, None, which) for which in ("local", "remote"))
    assert local is not None and remote is not None
    assert (local.block, local.secret) == ("half", Secret(b"mine"))
    assert (remote.block, remote.secret) == ("whole", Secret(b"theirs"))
    passed = search_key(config, profile(), R2, None, "remote").tried[-1]
    assert passed.why == "address 192.0.2.2/32 holds 192.0.2.2, but has no remote key"


def test_the_profiles_own_key_comes_first() -> None:
    """`authentication local pre-share key` needs no keyring; the other side still looks there."""
    one = profile(local_key=Secret(b"own"))
    key = find_key(router(), one, R2, None, "local")
    assert key is not None
    assert (key.secret, key.block, key.keyring) == (Secret(b"own"), None, None)
    other = find_key(router(), one, R2, None, "remote")
    assert other is not None
    assert other.block == "R2"


@pytest.mark.parametrize(("keyring", "why"), [(None, "neither a key nor a keyring"), ("gone", "no keyring gone")])
def test_a_profile_without_a_key_says_why(keyring: str | None, why: str) -> None:
    """No keyring, or one that is not there, is a reason and not an error."""
    search = search_key(router(), profile(keyring=keyring), R2, None, "local")
    assert search.key is None
    assert why in search.tried[0].why


def test_no_decision_prints_a_key() -> None:
    """A key's repr, the reasons and a connection hold no octet of it."""
    config = router(keyring=(keyring_peer("R2", "192.0.2.2/32", keys=("s3cr3t-one", "s3cr3t-two")),))
    search = search_key(config, profile(local_key=Secret(b"s3cr3t-own")), R2, R2_NAME, "remote")
    printed = repr(search) + repr(connection(config, "Tunnel0")) + repr(find_profile(config, R2_NAME, R1, R2))
    assert "s3cr3t" not in printed


WIRE = [
    (1, b"\xc0\x00\x02\x02", "192.0.2.2"),
    (2, b"r2.example.org", "r2.example.org"),
    (3, "jürgen@example.org".encode(), "jürgen@example.org"),
    (5, bytes.fromhex("20010db8000000000000000000000001"), "2001:db8::1"),
    (11, b"site-2", "site-2"),
    (11, b"\x00\x01", "0x0001"),
    (11, b"0x01", "0x30783031"),
    (9, bytes.fromhex("3000"), "0x3000"),
    (13, b"", "0x"),
]


@pytest.mark.parametrize(("id_type", "data", "value"), WIRE)
def test_identities_between_wire_and_text(id_type: int, data: bytes, value: str) -> None:
    """Addresses and names as text, key-ids as text or hexadecimal, what is not read as hexadecimal."""
    ##= rfc7296#section-3.5 type=test
    ##% Implementations SHOULD be capable of generating and accepting all of these types.
    assert identity_from_wire(id_type, data) == Identity(id_type, value)
    assert identity_to_wire(Identity(id_type, value)) == (id_type, data)


@pytest.mark.parametrize(
    ("id_type", "data", "words"),
    [
        (1, b"\xc0\x00\x02", "had 3, wanted 4"),
        (5, b"\xc0\x00\x02\x01", "had 4, wanted 16"),
        (2, b"r2\x00.org", "at character 2: had 0"),
        (2, b"r2\r\n", "at character 2: had 13"),
        (2, "jürgen".encode(), "not ascii"),
        (3, b"\xff@example.org", "not utf-8"),
        (3, "a\u2028b@example.org".encode(), "at character 1: had 8232"),
    ],
)
def test_a_malformed_identity_is_invalid_syntax(id_type: int, data: bytes, words: str) -> None:
    """Addresses have their length, names no terminator and their encoding.

    ##= rfc7296#section-3.5
    ##= type=test
    ##% The string MUST NOT contain any terminators
    ##% (e.g., NULL, CR, etc.).
    """
    with pytest.raises(IdentityError) as caught:
        identity_from_wire(id_type, data)
    assert words in str(caught.value)
    assert caught.value.notify == 7


@pytest.mark.parametrize("bad", [Identity(1, "r1"), Identity(5, "192.0.2.1"), Identity(2, "jürgen")])
def test_an_identity_of_ours_that_is_not_of_its_type_is_a_local_error(bad: Identity) -> None:
    """What we cannot send is the configuration's fault, in one line."""
    with pytest.raises(LocalError, match=bad.value):
        identity_to_wire(bad)


@given(id_type=st.integers(0, 255), data=st.binary(max_size=24))
def test_any_identity_goes_back_to_its_octets(id_type: int, data: bytes) -> None:
    """Whatever a peer sends is refused as malformed or kept without loss, and prints on one line."""
    try:
        identity = identity_from_wire(id_type, data)
    except IdentityError:
        return
    assert identity_to_wire(identity) == (id_type, data)
    assert len(identity_text(identity).splitlines()) == 1


def test_our_identity_is_our_address_unless_configured() -> None:
    """`identity local`, by default the local address."""
    assert local_identity(profile(), R1) == Identity(1, "192.0.2.1")
    assert local_identity(profile(), ip_address("2001:db8::1")) == Identity(5, "2001:db8::1")
    assert local_identity(profile(identity_local=R2_NAME), R1) == R2_NAME


def test_a_responder_finds_its_tunnels_by_both_ends() -> None:
    """Destination and source fit; one that is shut down, lacks something or is of another profile does not."""
    second = changed(GRE_TUNNEL, name="Tunnel1", destination=R3)
    shut = changed(GRE_TUNNEL, name="Tunnel2", shutdown=True)
    lacking = changed(GRE_TUNNEL, name="Tunnel3", ipsec_profile=None)
    anywhere = changed(GRE_TUNNEL, name="Tunnel4", source_address=None)
    config = router(GRE_TUNNEL, second, shut, lacking, anywhere)
    assert [one.tunnel.name for one in tunnel_for(config, R1, R2)] == ["Tunnel0", "Tunnel4"]
    assert [one.tunnel.name for one in tunnel_for(config, R3, R2)] == ["Tunnel4"]
    assert [one.tunnel.name for one in tunnel_for(config, R1, R3)] == ["Tunnel1"]
    assert tunnel_for(config, R1, R2, profile="other") == ()


def test_the_tunnel_whose_selectors_fit_comes_first() -> None:
    """Two tunnels between the same ends are told apart by what the peer proposes."""
    by_acl = changed(GRE_TUNNEL, name="Tunnel1", mode="ipsec ipv4", policy_acl="LANS")
    lans = AccessList(name="LANS", entries=(entry("10.1.0.0/24", "10.2.0.0/24"),))
    config = router(GRE_TUNNEL, by_acl, access_lists=(lans,), proposals=(proposal("mine", (CBC_256,)),))
    local, remote = SelectorFact("10.1.0.0", "10.1.0.255"), SelectorFact("10.2.0.0", "10.2.0.255")
    assert [one.tunnel.name for one in tunnel_for(config, R1, R2, (local,), (remote,))] == ["Tunnel1", "Tunnel0"]
    gre = SelectorFact("192.0.2.1", "192.0.2.1", 47), SelectorFact("192.0.2.2", "192.0.2.2", 47)
    assert [one.tunnel.name for one in tunnel_for(config, R1, R2, gre[:1], gre[1:])] == ["Tunnel0", "Tunnel1"]
