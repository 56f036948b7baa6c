"""From one configuration to another: which steps, in which order, and that nothing else is touched."""

from ipaddress import ip_address, ip_interface, ip_network

import msgspec
import pytest
from tests.planes.gateway import configuration

from ikescope.config.model import AccessEntry, AccessList, Route, RouterConfig, Tunnel
from ikescope.errors import LocalError
from ikescope.esp.paths import lacks
from ikescope.planes.host import Host, HostRoute
from ikescope.planes.layout import prepare
from ikescope.planes.steps import Layout, Step, carry_out, gives_up, steps, undone

HOST = Host(
    {"lo": 65536, "eth0": 1500},
    tuple(("eth0", ip_interface(f"10.99.0.{each}/24")) for each in (1, 11)),
    (HostRoute(ip_network("10.99.0.0/24"), "eth0", 0, 2, blackhole=False),),
)
BASE = configuration("a")
ONE = BASE.tunnels["Tunnel0"]
TWO = msgspec.structs.replace(
    ONE, name="Tunnel1", addresses=(ip_interface("172.16.1.1/30"),), destination=ip_address("10.99.0.3")
)
ACL = "ipsec ipv4"


def with_tunnels(*tunnels: Tunnel, routes: tuple[Route, ...] = BASE.routes, **more: object) -> RouterConfig:
    """The same router with these tunnels."""
    table = {each.name: each for each in tunnels}
    return msgspec.structs.replace(BASE, tunnels=table, routes=routes, **more)


def tunnel(**changed: object) -> Tunnel:
    """Tunnel0, changed."""
    return msgspec.structs.replace(ONE, **changed)


def route(prefix: str, device: str, distance: int = 1) -> Route:
    """`ip route`."""
    return Route(prefix=ip_network(prefix), interface=device, distance=distance)


def permits(*networks: str) -> dict[str, AccessList]:
    """An access-list LAN with a permit line for each."""
    near = ip_network("10.1.0.0/24")
    entries = tuple(
        AccessEntry(permit=True, protocol=0, source=near, destination=ip_network(each)) for each in networks
    )
    return {"LAN": AccessList(name="LAN", entries=entries)}


def layout(config: RouterConfig, stands: Layout | None = None) -> Layout:
    """What a configuration makes of the host."""
    return prepare(config, HOST, {}, None, stands)


def text(step: Step) -> str:
    """A step in two words."""
    match step:
        case object(prefix=prefix):
            what = str(prefix)
        case object(route=one):
            what = f"{one.prefix} {one.device}"
        case object(address=address):
            what = str(address)
        case object(device=device):
            what = device.name
        case object(after=after):
            what = getattr(after, "name", "") or f"{after.prefix} {after.device}"
    return f"{type(step).__name__} {what}"


LAN0, LAN7 = "10.2.0.0/24", "10.7.0.0/24"
PROTECTED = tunnel(mode=ACL, policy_acl="LAN")
CASES = {
    "nothing": (BASE, BASE, "", "", ""),
    "another description": (BASE, with_tunnels(tunnel(description="x", line=99)), "", "", ""),
    "a second tunnel": (
        BASE,
        with_tunnels(ONE, TWO),
        "Blackhole 172.16.1.0/30, Open Tunnel1",
        "",
        "",
    ),
    "half of a tunnel": (BASE, with_tunnels(ONE, tunnel(name="Tunnel1", destination=None, addresses=())), "", "", ""),
    "a tunnel that is gone": (
        with_tunnels(ONE, TWO, routes=(*BASE.routes, route(LAN7, "Tunnel1"))),
        BASE,
        "",
        f"NoRoute {LAN7} Tunnel1, Close Tunnel1, NoBlackhole 172.16.1.0/30, NoBlackhole {LAN7}",
        "",
    ),
    "shutdown": (
        BASE,
        with_tunnels(tunnel(shutdown=True)),
        "",
        f"NoRoute {LAN0} Tunnel0, Close Tunnel0, NoBlackhole 172.16.0.0/30, NoBlackhole {LAN0}",
        "Leave 10.99.0.1",
    ),
    "no destination: nothing leaves in clear": (
        BASE,
        with_tunnels(tunnel(destination=None)),
        "",
        f"NoRoute {LAN0} Tunnel0, Close Tunnel0",
        "Leave 10.99.0.1",
    ),
    "another source": (
        BASE,
        with_tunnels(tunnel(source_address=ip_address("10.99.0.11"))),
        "Listen 10.99.0.11, Lead Tunnel0",
        "",
        "Leave 10.99.0.1",
    ),
    "another address": (
        BASE,
        with_tunnels(tunnel(addresses=(ip_interface("172.16.0.2/30"),))),
        "Shape Tunnel0, Lead Tunnel0",
        "",
        "",
    ),
    "ip mtu": (BASE, with_tunnels(tunnel(mtu=1300)), "Shape Tunnel0, Lead Tunnel0", "", ""),
    "df-bit": (BASE, msgspec.structs.replace(BASE, df_bit="set"), "Lead Tunnel0", "", ""),
    "another selector": (
        with_tunnels(PROTECTED, access_lists=permits(LAN0)),
        with_tunnels(PROTECTED, access_lists=permits(LAN7, LAN0)),
        "Lead Tunnel0",
        "",
        "",
    ),
    "a route": (
        BASE,
        with_tunnels(ONE, routes=(*BASE.routes, route(LAN7, "Tunnel0", 5))),
        f"Blackhole {LAN7}, Route {LAN7} Tunnel0",
        "",
        "",
    ),
    "a route that leads elsewhere": (
        with_tunnels(ONE, TWO),
        with_tunnels(ONE, TWO, routes=(route(LAN0, "Tunnel1"),)),
        f"Reroute {LAN0} Tunnel1",
        "",
        "",
    ),
    "no loopback": (
        BASE,
        msgspec.structs.replace(BASE, interfaces={}),
        "",
        "",
        "NoLoopback Loopback0",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_a_change_is_the_steps_of_what_changes(name: str) -> None:
    """What may be refused comes first, what takes away last, addresses go when nobody needs them."""
    before, after, *wanted = CASES[name]
    stands = layout(before)
    found = steps(stands, layout(after, stands), stands.addresses)
    assert [", ".join(map(text, part)) for part in (found.first, found.last, found.later)] == wanted
    assert bool(found) == any(wanted)


def test_the_kernels_devices_are_made_anew_with_their_routes() -> None:
    """A tunnel that leads elsewhere has another device where devices bear their ends; a route beside it stays."""
    before = layout(with_tunnels(ONE, TWO, routes=(*BASE.routes, route(LAN7, "Tunnel1"))))
    changed = with_tunnels(tunnel(mode=ACL), TWO, routes=(*BASE.routes, route(LAN7, "Tunnel1")))
    found = steps(before, layout(changed, before), before.addresses, rebuilds=True)
    wanted = [f"NoRoute {LAN0} Tunnel0", "Close Tunnel0", "Open Tunnel0", f"Route {LAN0} Tunnel0"]
    assert [text(each) for each in found.first] == wanted and not found.last and not found.later


@pytest.mark.parametrize("refused", range(5))
def test_a_refused_step_takes_back_those_before_it(refused: int) -> None:
    """Whatever the host refuses, what stood before it stands after it: each step is undone, the last first."""
    before = layout(with_tunnels(TWO))
    wanted = steps(before, layout(BASE, before), before.addresses).first
    assert len(wanted) == 4
    done: list[Step] = []

    def do(step: Step) -> None:
        done.append(step)
        if len(done) == refused + 1:
            raise LocalError("no")

    if refused == len(wanted):
        carry_out(wanted, do)
        assert tuple(done) == wanted
        return
    with pytest.raises(LocalError, match="no"):
        carry_out(wanted, do)
    assert done == [*wanted[: refused + 1], *(undone(each) for each in reversed(wanted[:refused]))]


def test_every_step_has_an_inverse() -> None:
    """Taken back twice, a step is itself."""
    found = [each for before, after, *_ in CASES.values() for each in steps(layout(before), layout(after)).first]
    assert found and all(undone(undone(each)) == each for each in found)


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"source": None, "source_address": None}, "it has no tunnel source"),
        ({"destination": None}, "it has no tunnel destination"),
        ({"ipsec_profile": None}, "it has no tunnel protection"),
        ({"mode": ACL, "policy_acl": "LAN"}, "its access-list LAN has no permit line"),
        ({"source": "Loopback9"}, ""),
        ({}, ""),
    ],
)
def test_half_a_tunnel_is_not_brought_up(changed: dict[str, object], why: str) -> None:
    """A tunnel lacks something until source, destination, protection and its access-list are there."""
    assert lacks(BASE, tunnel(**changed)) == why


@pytest.mark.parametrize(
    ("config", "why"),
    [
        (with_tunnels(tunnel(source_address=ip_address("10.99.0.77"))), "which no device of this host holds"),
        (with_tunnels(ONE, routes=(route("10.99.0.2/32", "Tunnel0"),)), "own destination 10.99.0.2"),
        (with_tunnels(ONE, TWO, routes=(route(LAN0, "Tunnel0"), route(LAN0, "Tunnel1"))), "the same administrative"),
        (with_tunnels(tunnel(addresses=(ip_interface("10.99.0.11/24"),))), "10.99.0.11 is in use on eth0"),
        (with_tunnels(ONE, tunnel(name="Tunnel1")), "172.16.0.1 is in use on Tunnel0"),
    ],
)
def test_what_cannot_be_is_refused_before_a_step(config: RouterConfig, why: str) -> None:
    """An address that nobody has or somebody else has, a route that would swallow the way to a peer."""
    with pytest.raises(LocalError, match=why):
        layout(config, layout(BASE))


def test_an_address_is_given_up_by_name() -> None:
    """The steps that wait for IKE SAs say which addresses they take."""
    before = layout(BASE)
    later = steps(
        before, layout(msgspec.structs.replace(BASE, tunnels={}, interfaces={}), before), before.addresses
    ).later
    assert [sorted(map(str, gives_up(each))) for each in later] == [["10.99.0.1"], ["1.1.1.1"]]
