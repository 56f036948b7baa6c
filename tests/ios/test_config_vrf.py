"""VRFs in the configuration: definitions, who is in them, and what IOS says where addresses go."""

import msgspec
import pytest

from ikescope.config.model import RouterConfig
from ikescope.errors import LocalError
from ikescope.ios.configuration import ConfigurationError, Editor, load
from ikescope.ios.running import configuration_lines
from ikescope.planes.layout import refuse_vrfs

TEXT = """vrf definition RED
 rd 1:1
 description the red one
 !
 address-family ipv4
  route-target export 1:1
 exit-address-family
 !
 address-family ipv6
 exit-address-family
!
ip vrf BLUE
 rd 2:2
!
crypto ikev2 profile P
 match identity remote any
 authentication local pre-share
 authentication remote pre-share
 ivrf RED
!
crypto ipsec profile I
 set ikev2-profile P
!
interface Loopback5
 ip vrf forwarding BLUE
 ip address 5.5.5.5 255.255.255.255
!
interface Tunnel0
 vrf forwarding RED
 ip address 172.16.0.1 255.255.255.252
 tunnel source 10.99.0.1
 tunnel destination 10.99.0.2
 tunnel protection ipsec profile I
!
ip route vrf RED 10.2.0.0 255.255.255.0 Tunnel0
ip route vrf RED 10.3.0.0 255.255.255.0 172.16.0.2 20
ipv6 route vrf RED 2001:db8::/32 Tunnel0
"""


def typed(config: RouterConfig, *lines: str) -> tuple[RouterConfig, list[str]]:
    """The router after some lines, and what the last one said."""
    editor = Editor(config)
    said: list[str] = []
    for line in lines:
        said = list(editor.feed(line).text_lines)
    return editor.config, said


def bare(config: RouterConfig) -> object:
    """What was configured, without its places in a file."""
    kept = [*config.vrfs.values(), *config.tunnels.values(), *config.interfaces.values(), *config.routes]
    return [msgspec.structs.replace(each, line=0) for each in kept], config.profiles["P"].ivrf


def test_what_is_printed_is_what_is_read() -> None:
    """Both forms of a definition, interfaces, routes and ivrf load again from running-config to the same."""
    config = load(TEXT)
    assert next((each.vrf, str(each.prefix)) for each in config.routes) == ("RED", "10.2.0.0/24")
    assert config.vrfs["RED"].families == ("ipv4", "ipv6") and config.vrfs["BLUE"].old
    assert [entry.text for entry in config.ignored if entry.near] == ["route-target export 1:1"]
    lines = configuration_lines(config)
    assert "vrf definition RED" in lines and "ip vrf BLUE" in lines and " vrf forwarding BLUE" in lines
    assert bare(load("\n".join(lines))) == bare(config)


def test_addresses_go_where_the_vrf_changes() -> None:
    """IOS removes an interface's addresses, and says so, when it is put into a VRF, out of it, or the VRF goes."""
    config, said = typed(load(TEXT), "interface Tunnel0", "vrf forwarding BLUE")
    what = "% Interface Tunnel0 IPv4 disabled and address(es) removed due to"
    assert said == [f"{what} enabling VRF BLUE"] and config.tunnels["Tunnel0"].addresses == ()
    assert typed(load(TEXT), "interface Tunnel0", "vrf forwarding RED")[1] == []
    config, said = typed(load(TEXT), "interface Tunnel0", "no vrf forwarding")
    assert said == [f"{what} disabling VRF RED"] and config.tunnels["Tunnel0"].vrf is None
    config, said = typed(load(TEXT), "no vrf definition RED")
    assert said == ["% IPv4 and IPv6 addresses from all interfaces in VRF RED have been removed"]
    assert config.tunnels["Tunnel0"].vrf is None and config.routes == () and list(config.vrfs) == ["BLUE"]
    assert typed(load(TEXT), "no ip route vrf RED 10.2.0.0 255.255.255.0")[0].routes == load(TEXT).routes[1:]


def test_what_does_not_fit_is_refused() -> None:
    """A VRF that is not there, a name no device can have, a route into another VRF's tunnel, another ivrf."""
    said = typed(load(TEXT), "interface Tunnel0", "vrf forwarding GREEN")[1]
    assert "% VRF GREEN not configured" in "\n".join(said)
    long = "A-NAME-OF-20-OCTETS-"
    with pytest.raises(ConfigurationError, match="15 at most"):
        load(f"vrf definition {long}\ninterface Tunnel0\n vrf forwarding {long}\n")
    assert not [each for each in load(TEXT).findings if "VRF" in each.text]
    for before, after in (("route vrf RED 10.2", "route 10.2"), ("ivrf RED", "ivrf BLUE")):
        found = load(TEXT.replace(before, after)).findings
        assert [each.severity for each in found if "VRF RED" in each.text] == ["error"]


def test_the_userland_plane_has_none() -> None:
    """It refuses in one line that names the interface; a VRF that nobody is in does not matter."""
    with pytest.raises(LocalError, match=r"interface Tunnel0 \(line 28\): vrf forwarding RED needs"):
        refuse_vrfs(load(TEXT))
    refuse_vrfs(load("vrf definition RED\n rd 1:1\n"))
