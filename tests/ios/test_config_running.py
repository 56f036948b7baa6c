"""`show running-config`: what it prints is what was configured, without the keys."""

import typing
from collections.abc import Callable
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Interface, IPv6Network, ip_interface
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ikescope.config import model
from ikescope.config.smart_defaults import PROPOSALS, empty, generation_of, of_generation
from ikescope.crypto.suites import GROUPS
from ikescope.ios.configuration import load
from ikescope.ios.running import running_config, section
from ikescope.ios.sealing import Sealer

SEALER = Sealer(bytes(range(64)))
EXAMPLES = Path(__file__).resolve().parents[2] / "examples"

names = st.from_regex(r"[A-Z][A-Za-z0-9_-]{0,8}", fullmatch=True)
hosts = st.integers(1, 0xDFFFFFFF).map(IPv4Address)
networks = st.builds(lambda a, n: IPv4Network((a, n), strict=False), st.integers(0, 2**32 - 1), st.integers(1, 32))
networks6 = st.builds(lambda a, n: IPv6Network((a, n), strict=False), st.integers(0, 2**128 - 1), st.integers(0, 128))
addresses = st.builds(lambda a, n: IPv4Interface((a, n)), st.integers(1, 2**32 - 1), st.integers(1, 32))
addresses6 = st.builds(lambda a, n: IPv6Interface((a, n)), st.integers(1, 2**128 - 1), st.integers(1, 128))
keys = st.binary(min_size=1, max_size=12).filter(lambda octets: not octets.startswith(b"<removed>")).map(model.Secret)
texts = st.from_regex(r"[a-zA-Z0-9](?: ?[a-zA-Z0-9./:-]){0,12}", fullmatch=True)
interface_names = st.builds(
    lambda kind, unit: f"{kind}{unit}", st.sampled_from(["GigabitEthernet", "Ethernet0/"]), st.integers(0, 9)
)
cbc = st.lists(st.sampled_from([model.TransformChoice(12, bits) for bits in (128, 192, 256)]), min_size=1, unique=True)
hmacs = st.lists(st.sampled_from([2, 12, 13, 14]), min_size=1, unique=True).map(tuple)
prfs = st.lists(st.sampled_from([2, 5, 6, 7]), min_size=1, unique=True).map(tuple)
groups = st.lists(st.sampled_from(sorted(GROUPS - {2})), min_size=1, max_size=4, unique=True).map(tuple)
dpds = st.none() | st.builds(model.Dpd, st.integers(10, 3600), st.integers(2, 60), st.booleans())
matches = st.one_of(
    st.just(model.IdentityMatch(kind="any")),
    st.builds(lambda n: model.IdentityMatch(kind="address", network=n), networks | networks6),
    st.builds(
        lambda kind, value, domain: model.IdentityMatch(kind=kind, value=value, domain=domain and kind != "key-id"),
        st.sampled_from(["fqdn", "email", "key-id"]),
        names,
        st.booleans(),
    ),
)
identities = st.one_of(
    st.none(),
    hosts.map(lambda a: model.Identity(1, str(a))),
    st.builds(model.Identity, st.sampled_from([2, 3, 11]), names),
)


def several(
    items: st.SearchStrategy[Any], key: Callable[[Any], Any] | None = None
) -> st.SearchStrategy[tuple[Any, ...]]:
    """Up to three different items."""
    return st.lists(items, max_size=3, unique_by=key or repr).map(tuple)


def table(items: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Up to three items by their names."""
    return st.lists(items, max_size=3, unique_by=lambda item: item.name).map(lambda found: {i.name: i for i in found})


proposals = st.builds(
    model.Proposal, name=names, encryption=cbc.map(tuple), prf=prfs, integrity=hmacs, groups=groups
) | st.builds(
    model.Proposal,
    name=names,
    encryption=st.just((model.TransformChoice(20, 256), model.TransformChoice(28))),
    prf=prfs,
    integrity=st.just(()),
    groups=groups,
)
policies = st.builds(
    model.Policy,
    name=names,
    proposals=several(names),
    match_local=several(hosts),
    match_fvrf=st.sampled_from(["any", "global"]),
)
peers = st.builds(
    model.KeyringPeer,
    name=names,
    address=st.none() | networks | networks6,
    hostname=st.none() | names,
    identity=st.none() | matches.filter(lambda match: match.kind != "any"),
    local_key=st.none() | keys,
    remote_key=st.none() | keys,
    description=st.just("") | texts,
)
keyrings = st.builds(model.Keyring, name=names, peers=several(peers, lambda peer: peer.name))
profiles = st.builds(
    model.Profile,
    name=names,
    match_remote=several(matches),
    match_local=several(hosts),
    match_fvrf=st.sampled_from(["any", "global"]),
    identity_local=identities,
    auth_local=st.just(2),
    auth_remote=st.just((2,)),
    local_key=st.none() | keys,
    remote_key=st.none() | keys,
    keyring=st.none() | names,
    lifetime=st.integers(120, 86400),
    dpd=dpds,
    nat_keepalive=st.none() | st.integers(5, 3600),
    nat_force_encap=st.booleans(),
    childless=st.sampled_from(["never", "allow", "prefer", "force"]),
    reauthentication=st.none() | st.integers(120, 86400),
    refused_child=st.sampled_from(["delete", "keep"]),
    initial_contact_force=st.booleans(),
    config_exchange_request=st.booleans(),
    shutdown=st.booleans(),
    description=st.just("") | texts,
)
suites = st.sampled_from(
    [
        *((model.TransformChoice(12, bits), number) for bits in (128, 192, 256) for number in (2, 12, 13, 14)),
        *((model.TransformChoice(20, bits), None) for bits in (128, 192, 256)),
        (model.TransformChoice(28), None),
        (model.TransformChoice(11), 12),
    ]
)
transform_sets = st.builds(
    lambda name, suite, esn, mode: model.TransformSet(
        name=name, encryption=suite[0], integrity=suite[1], esn=esn, transport=mode > 0, transport_require=mode > 1
    ),
    names,
    suites,
    st.booleans(),
    st.integers(0, 2),
)
ipsec_profiles = st.builds(
    model.IpsecProfile,
    name=names,
    transform_sets=st.just(("default",)) | several(names).filter(bool),
    ikev2_profile=st.none() | names,
    pfs_group=st.none() | st.sampled_from(sorted(GROUPS - {2})),
    lifetime_seconds=st.integers(120, 2592000),
    lifetime_kilobytes=st.none() | st.integers(2560, 4294967295),
    replay_window=st.sampled_from([0, 64, 128, 256, 512, 1024]),
    idle_time=st.none() | st.integers(60, 86400),
    responder_only=st.booleans(),
    per_resource_sas=st.none() | st.integers(2, 64),
)
commons = st.builds(
    model.SaDefaults,
    lifetime_seconds=st.just(3600) | st.integers(120, 2592000),
    lifetime_kilobytes=st.none() | st.just(4608000) | st.integers(2560, 4294967295),
    replay_window=st.sampled_from([0, 64, 1024]),
    idle_time=st.none() | st.integers(60, 86400),
)


@st.composite
def protections(draw: st.DrawFn, common: model.SaDefaults) -> dict[str, model.IpsecProfile]:
    """Profiles, the default among them, that say some of it themselves and have the rest of the router's own."""
    plain = model.IpsecProfile(name="default", transform_sets=("default",))
    found = {}
    for item in [plain, *draw(table(ipsec_profiles)).values()]:
        names = model.SaDefaults.__struct_fields__ if item is not plain else ()
        own = tuple(
            name
            for name in names
            if getattr(item, name) not in (getattr(common, name), None if name == "idle_time" else 0.5)
            and draw(st.booleans())
        )
        rest = {name: getattr(common, name) for name in model.SaDefaults.__struct_fields__ if name not in own}
        found[item.name] = msgspec.structs.replace(item, own=own, **rest)
    return found


ports = st.tuples(st.integers(0, 65535), st.integers(0, 65535)).map(lambda pair: (min(pair), max(pair)))
any_network = st.just(IPv4Network("0.0.0.0/0")) | networks


@st.composite
def access_lists(draw: st.DrawFn) -> model.AccessList:
    """A named or numbered list whose entries are numbered by ten."""
    entries = []
    for number in range(draw(st.integers(0, 3))):
        protocol = draw(st.sampled_from([0, 1, 6, 17, 47, 99]))
        both = (draw(ports), draw(ports)) if protocol in (6, 17) else ((0, 65535), (0, 65535))
        entries.append(
            model.AccessEntry(
                permit=draw(st.booleans()),
                protocol=protocol,
                source=draw(any_network),
                destination=draw(any_network),
                source_ports=both[0],
                destination_ports=both[1],
                sequence=10 + 10 * number,
            )
        )
    bare = {repr(msgspec.structs.replace(entry, sequence=0)): entry for entry in entries}
    ordered = sorted(bare.values(), key=lambda entry: entry.sequence)
    return model.AccessList(name=draw(names | st.just("150")), entries=tuple(ordered))


interfaces = st.builds(
    lambda name, four, six, off, text, loop: model.Interface(
        name=f"Loopback{name[-1]}" if loop else name,
        addresses=(*four, *six),
        loopback=loop,
        shutdown=off,
        description=text,
    ),
    interface_names,
    several(addresses),
    several(addresses6),
    st.booleans(),
    st.just("") | texts,
    st.booleans(),
)
tunnels = st.builds(
    model.Tunnel,
    name=st.integers(0, 99).map(lambda unit: f"Tunnel{unit}"),
    addresses=several(addresses),
    source=st.none() | interface_names,
    destination=st.none() | hosts,
    mode=st.sampled_from(typing.get_args(model.TunnelMode)),
    ipsec_profile=st.none() | names,
    policy_acl=st.none() | names,
    mtu=st.none() | st.integers(68, 9976),
    shutdown=st.booleans(),
    ipv6_enable=st.booleans(),
    description=st.just("") | texts,
)
routes = st.builds(
    lambda prefix, way, hop, distance: model.Route(
        prefix=prefix, interface=way, next_hop=hop if way is None or distance % 2 else None, distance=distance
    ),
    any_network,
    st.none() | interface_names,
    hosts,
    st.integers(1, 255),
)


edited_defaults = st.fixed_dictionaries(
    {},
    optional={
        "proposals": proposals,
        "policies": st.builds(
            model.Policy,
            name=names,
            proposals=several(names | st.just("default")),
            match_local=several(hosts),
            match_fvrf=st.sampled_from(["any", "global"]),
        ),
        "transform_sets": transform_sets,
    },
)


def borrowing(tunnel: model.Tunnel, known: dict[str, model.Interface]) -> model.Tunnel:
    """A tunnel that has the addresses of the first interfaces that have any."""
    found: dict[str, Any] = {"addresses": ()}
    for version, field in ((4, "unnumbered"), (6, "unnumbered6")):
        for name, interface in known.items():
            own = [ip_interface(each.ip) for each in interface.addresses if each.version == version]
            if own and field not in found:
                found |= {field: name, "addresses": (*found["addresses"], own[0])}
    return msgspec.structs.replace(tunnel, **found) if len(found) > 1 else tunnel


@st.composite
def routers(draw: st.DrawFn) -> model.RouterConfig:
    """A router whose every field is something that IOS lines can say."""
    version = draw(st.sampled_from(["", "15.9", "17.9", "26.1"]))
    plain = of_generation(empty(), generation_of(version))
    edited = {
        field: {"default": msgspec.structs.replace(item, name="default")}
        for field, item in draw(edited_defaults).items()
    }
    known, common = draw(table(interfaces)), draw(commons)
    ways = {
        name: msgspec.structs.replace(
            tunnel,
            source_address=known[tunnel.source].addresses[0].ip
            if tunnel.source in known and known[tunnel.source].addresses
            else None,
        )
        for name, tunnel in draw(table(tunnels)).items()
    }
    ways = {name: draw(st.just(tunnel) | st.just(borrowing(tunnel, known))) for name, tunnel in ways.items()}
    return msgspec.structs.replace(
        plain,
        hostname=draw(names),
        version=version,
        proposals={**plain.proposals, **edited.get("proposals", {}), **draw(table(proposals))},
        policies={
            **(edited.get("policies", plain.policies) if draw(st.booleans()) else {}),
            **draw(table(policies)),
        },
        keyrings=draw(table(keyrings)),
        profiles=draw(table(profiles)),
        transform_sets={
            **(edited.get("transform_sets", plain.transform_sets) if draw(st.booleans()) else {}),
            **draw(table(transform_sets)),
        },
        sa_defaults=common,
        ipsec_profiles=draw(protections(common)),
        access_lists=draw(table(access_lists())),
        interfaces=known,
        tunnels=ways,
        routes=draw(several(routes, lambda route: (route.prefix, route.interface, route.next_hop))),
        dpd=draw(dpds),
        nat_keepalive=draw(st.none() | st.integers(5, 3600)),
        window=draw(st.integers(1, 200)),
        cookie_challenge=draw(st.none() | st.integers(0, 1000)),
        max_sa=draw(st.none() | st.integers(1, 9999)),
        max_negotiating_in=draw(st.integers(1, 9999)),
        max_negotiating_out=draw(st.integers(1, 9999)),
    )


def bare(item: Any) -> Any:
    """The same value without lines, findings and what was ignored."""
    if isinstance(item, model.RouterConfig):
        item = msgspec.structs.replace(item, findings=(), ignored=(), source="")
    if isinstance(item, msgspec.Struct):
        fields = {name: bare(getattr(item, name)) for name in item.__struct_fields__}
        return type(item)(**{**fields, **({"line": 0} if "line" in fields else {})})
    if isinstance(item, dict):
        return {name: bare(value) for name, value in item.items()}
    return tuple(bare(value) for value in item) if type(item) is tuple else item


def keyless(config: model.RouterConfig) -> model.RouterConfig:
    """The same router without its keys."""
    rings = {
        name: msgspec.structs.replace(
            ring, peers=tuple(msgspec.structs.replace(p, local_key=None, remote_key=None) for p in ring.peers)
        )
        for name, ring in config.keyrings.items()
    }
    held = {n: msgspec.structs.replace(p, local_key=None, remote_key=None) for n, p in config.profiles.items()}
    return msgspec.structs.replace(config, keyrings=rings, profiles=held)


@settings(max_examples=50, deadline=None)
@given(routers())
def test_running_config_loads_to_the_same_router(config: model.RouterConfig) -> None:
    """Whatever the router, its running-config is that router again where its key file is: the keys are sealed in it."""
    printed = running_config(config, sealer=SEALER)
    assert printed == running_config(config, sealer=Sealer(bytes(range(64))))
    assert bare(load("\n".join(printed), opener=SEALER)) == bare(config)


@settings(max_examples=30, deadline=None)
@given(routers())
def test_running_config_without_keys_loads_to_the_same_router_without_them(config: model.RouterConfig) -> None:
    """As `show running-config` prints it, the router comes back apart from its keys."""
    again = load("\n".join(running_config(config)))
    assert bare(again) == keyless(bare(config))


@pytest.mark.parametrize("name", ["R1.cfg", "R2.cfg", "lab-R1-full.cfg"])
def test_examples_come_back(name: str) -> None:
    """The examples survive the way through running-config, and a second printing is the same."""
    config = load((EXAMPLES / name).read_text())
    printed = running_config(config, secrets=True)
    assert bare(load("\n".join(printed))) == bare(config)
    assert running_config(load("\n".join(printed)), secrets=True) == printed


def test_layout_is_that_of_ios() -> None:
    """The order of sections, the indentation and the byte count are those of IOS; keys read `<removed>`."""
    text = "version 17.9\nhostname R1\ncrypto ikev2 keyring KR\n peer R2\n  address 192.0.2.2\n  pre-shared-key k3y\n"
    assert running_config(load(text)) == [
        "Building configuration...",
        "",
        "Current configuration : 122 bytes",
        "!",
        "version 17.9",
        "!",
        "hostname R1",
        "!",
        "crypto ikev2 keyring KR",
        " peer R2",
        "  address 192.0.2.2",
        "  pre-shared-key <removed>",
        " !",
        "!",
        "!",
        "end",
    ]


def test_smart_defaults_are_not_printed_until_they_are_edited() -> None:
    """A default that nobody touched is not in running-config; an edited one, or one taken away, is."""
    assert not any("default" in line for line in running_config(empty()))
    edited = load("crypto ikev2 proposal default\n group 19\nno crypto ipsec transform-set default\n")
    printed = running_config(edited)
    assert "crypto ikev2 proposal default" in printed
    assert " encryption aes-cbc-256" in printed
    assert " group 19" in printed
    assert "no crypto ipsec transform-set default" in printed
    assert edited.proposals["default"].integrity == PROPOSALS["17"].integrity


def test_one_section_can_be_printed() -> None:
    """A section is the item's own lines, without keys."""
    config = load((EXAMPLES / "R1.cfg").read_text())
    assert section(config, "keyring", "KR") == [
        "crypto ikev2 keyring KR",
        " peer R2",
        "  address 198.51.100.2",
        "  pre-shared-key <removed>",
        " !",
    ]
    with pytest.raises(KeyError):
        section(config, "profile", "none")
