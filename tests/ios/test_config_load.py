"""Configuration files: what acts, what is refused and in which words, what is only named or counted."""

from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from pathlib import Path

import pytest

from ikescope.config.model import Dpd, Identity, IdentityMatch, RouterConfig, Secret
from ikescope.errors import LocalError
from ikescope.ios.configuration import ConfigurationError, load

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"

PROFILE = "crypto ikev2 profile P\n "
TUNNEL = "interface Tunnel0\n "
NUMBERED = "access-list 150 permit"


def example(name: str) -> RouterConfig:
    """A configuration of examples/."""
    return load((EXAMPLES / name).read_text(), name=name)


def problem(text: str) -> str:
    """The one line that a configuration is refused with."""
    with pytest.raises(ConfigurationError) as caught:
        load(text, name="R1.cfg")
    return str(caught.value)


REFUSALS = [
    (
        "crypto ikev2 proposal P\n encryption 3des",
        "R1.cfg:2: crypto ikev2 proposal P: encryption 3des is not offered by ikescope: 3DES has blocks of 64"
        " bits (Sweet32; RFC 8247: MAY, RFC 8221: SHOULD NOT); possible: aes-cbc-256 with integrity, or "
        "aes-gcm-256 with prf",
    ),
    (
        "crypto ikev2 proposal P\n integrity md5",
        "R1.cfg:2: crypto ikev2 proposal P: integrity: had md5, which generation 15 alone has (RFC 8247: MUST NOT); "
        "possible: sha256 sha384 sha512; or `version 15.9`, `--ios-defaults 15`",
    ),
    (PROFILE + "lifetime 86401", "R1.cfg:2: crypto ikev2 profile P: lifetime 86401: had 86401, wanted 120-86400"),
    (
        PROFILE + "lifetime 60",
        "R1.cfg:2: crypto ikev2 profile P: lifetime: had 60, wanted 120 or more (10-119 need --lab-timers)",
    ),
    (
        PROFILE + "authentication local rsa-sig",
        "R1.cfg:2: crypto ikev2 profile P: authentication local rsa-sig is not offered by ikescope: no "
        "certificates: peers prove themselves with pre-shared keys; possible: pre-share",
    ),
    (
        PROFILE + "match certificate MAP",
        "R1.cfg:2: crypto ikev2 profile P: match certificate MAP is not offered by ikescope: no certificates:"
        " peers prove themselves with pre-shared keys; possible: match identity remote address | fqdn | email"
        " | key-id | any",
    ),
    (
        PROFILE + "dpd 10 2",
        "R1.cfg:2: crypto ikev2 profile P: dpd 10 2 is incomplete; possible: on-demand periodic",
    ),
    (
        PROFILE + "virtual-template 1",
        "R1.cfg:2: crypto ikev2 profile P: virtual-template 1 is not offered by ikescope: tunnels are not "
        "cloned from a template when a peer comes; possible: interface TunnelN with `tunnel protection ipsec "
        "profile NAME`, one for each peer",
    ),
    (
        TUNNEL + "tunnel mode gre multipoint",
        "R1.cfg:2: interface Tunnel0: tunnel mode gre multipoint is not offered by ikescope: a tunnel has one"
        " peer (no NHRP, no DMVPN); possible: tunnel mode gre ip | tunnel mode ipsec ipv4, one interface for "
        "each peer",
    ),
    (
        TUNNEL + "tunnel key 7",
        "R1.cfg:2: interface Tunnel0: tunnel key <removed> is not offered by ikescope: GRE has its four "
        "octets of header and nothing more; possible: no tunnel key, at both ends",
    ),
    (
        TUNNEL + "ip address 10.0.0.1 255.0.255.0",
        "R1.cfg:2: interface Tunnel0: ip address 10.0.0.1 255.0.255.0: had 255.0.255.0, "
        "wanted a mask of ones and then zeros such as 255.255.255.0",
    ),
    (
        TUNNEL + "ip unnumbered Loopback9",
        "R1.cfg:2: interface Tunnel0: ip unnumbered Loopback9: Loopback9 has no address "
        "here; possible: ip address A.B.C.D MASK",
    ),
    (
        "interface GigabitEthernet1\n crypto map CM",
        "R1.cfg:2: interface GigabitEthernet1: crypto map CM is not offered by ikescope: no crypto maps: what"
        " is protected is what is routed into a tunnel; possible: interface TunnelN with `tunnel protection "
        "ipsec profile NAME`",
    ),
    (
        "interface Virtual-Template1 type tunnel\n ip unnumbered Loopback0",
        "R1.cfg:1: interface Virtual-Template1 type tunnel is not offered by ikescope: tunnels are not cloned"
        " from a template when a peer comes; possible: interface TunnelN, one for each peer",
    ),
    (
        "crypto ipsec transform-set T esp-3des esp-sha-hmac",
        "R1.cfg:1: crypto ipsec transform-set T esp-3des is not offered by ikescope: 3DES has blocks of 64 "
        "bits (Sweet32; RFC 8247: MAY, RFC 8221: SHOULD NOT); possible: esp-gcm 256, or esp-aes 256 "
        "esp-sha256-hmac",
    ),
    (
        "crypto ikev2 p X",
        "R1.cfg:1: crypto ikev2 p is ambiguous; possible: proposal policy profile",
    ),
    (
        "crypto ikev2 window 201",
        "R1.cfg:1: crypto ikev2 window 201: had 201, wanted 1-200",
    ),
    (
        "crypto ikev2 client flexvpn FC",
        "R1.cfg:1: crypto ikev2 client flexvpn FC is not offered by ikescope: no choice among several hubs; "
        "possible: interface TunnelN with `tunnel protection ipsec profile NAME`, one for each peer",
    ),
    (
        "ip access-list extended A\n permit tcp any any established\n!\n"
        + TUNNEL
        + "tunnel protection ipsec policy ipv4 A",
        "R1.cfg:2: access-list A, which Tunnel0 protects: permit tcp any any established is not offered by ikescope; "
        "possible: eq gt lt range log",
    ),
]


@pytest.mark.parametrize(("text", "wanted"), REFUSALS, ids=[wanted[7:47] for _, wanted in REFUSALS])
def test_refusal_says_file_line_and_what_is_possible(text: str, wanted: str) -> None:
    """A line about crypto or a tunnel that cannot act is refused in one line with file, line and what is possible."""
    assert problem(text) == wanted


def test_every_refusal_is_kept_in_order() -> None:
    """All problems of a file are found in one reading; the message is the first."""
    with pytest.raises(LocalError) as caught:
        load("crypto ikev2 proposal P\n encryption des\n group 1\n", name="x")
    assert isinstance(caught.value, ConfigurationError)
    assert [text.split(": ")[0] for text in caught.value.problems] == ["x:2", "x:3"]
    assert caught.value.exit_status == 2


@pytest.mark.parametrize(
    "line",
    ["pre-shared-key 6 SeCrEt^blob", "pre-shared-key hex SeCrEt", "pre-shared-key local hex SeCrEt0"],
)
def test_refusal_never_repeats_a_key(line: str) -> None:
    """A key that cannot be read does not appear in the refusal."""
    text = problem(f"crypto ikev2 keyring K\n peer P\n  {line}\n")
    assert text.startswith("R1.cfg:3: crypto ikev2 keyring K peer P: pre-shared-key")
    assert "SeCrEt" not in text


def test_examples_of_the_tour_are_clean() -> None:
    """R1.cfg and R2.cfg load without a finding and mirror each other."""
    one, two = example("R1.cfg"), example("R2.cfg")
    assert (one.findings, one.ignored, two.findings, two.ignored) == ((), (), (), ())
    assert (one.hostname, two.hostname) == ("R1", "R2")
    assert one.tunnels["Tunnel0"].source_address == two.tunnels["Tunnel0"].destination == IPv4Address("198.51.100.1")
    assert one.tunnels["Tunnel0"].mode == "gre ip"
    assert one.tunnels["Tunnel1"].mode == "ipsec ipv4"
    mine, theirs = one.access_lists["SECOND"].entries[0], two.access_lists["SECOND"].entries[0]
    assert (mine.source, mine.destination) == (theirs.destination, theirs.source)
    assert one.interfaces["GigabitEthernet2"].addresses == (IPv4Interface("10.1.0.1/24"), IPv4Interface("10.1.1.1/24"))
    assert one.keyrings["KR"].peers[0].local_key == two.keyrings["KR"].peers[0].remote_key


def test_whole_running_config_loads() -> None:
    """A real `show running-config` loads: what is near is named, everything else is counted."""
    config = example("lab-R1-full.cfg")
    assert config.findings == ()
    near = [entry.text for entry in config.ignored if entry.near]
    assert {"ip tcp adjust-mss 1360", "keepalive 10 3", "crypto logging session", "crypto isakmp policy 10"} <= set(
        near
    )
    assert not any("bgp" in text or "snmp" in text for text in near)
    assert sum(not entry.near for entry in config.ignored) == 71
    assert "Tunnel999" not in config.tunnels
    assert config.tunnels["Tunnel200"].addresses == (IPv4Interface("10.255.0.1/32"),)
    assert config.ipsec_profiles["IPSEC-SITES"].lifetime_kilobytes is None
    assert config.ipsec_profiles["IPSEC-SITES"].replay_window == 512
    assert config.proposals["PROP-SITES"].groups == (21, 19, 14)
    assert config.proposals["PROP-SITES"].prf == (7, 5)
    assert config.profiles["PROF-SITES"].dpd == Dpd(30, 5, on_demand=False)
    assert config.profiles["PROF-SITES"].identity_local == Identity(2, "r1.lab.example")


def test_no_secret_in_what_is_ignored_or_printed() -> None:
    """Neither the representation of a router nor a line not acted on holds a key, password or community."""
    text = repr(example("lab-R1-full.cfg"))
    for secret in ("notareal", "lab-key", "$9$"):
        assert secret not in text


def test_crlf_pager_and_prompt_are_no_obstacle() -> None:
    """CR LF line ends, a byte order mark, a pager's remnants and the prompt after `end` change nothing."""
    text = (EXAMPLES / "R1.cfg").read_text()
    lines = text.split("\n")
    at = lines.index(" tunnel source GigabitEthernet1")
    backspaces = "\b" * 9
    lines[at] = f" --More-- {backspaces}         {backspaces}{lines[at]}"
    at = lines.index("interface Tunnel1")
    lines[at] = f" --More--         {lines[at]}"
    captured = load("\ufeff" + "\r\n".join([*lines, "R1#"]))
    plain = load(text)
    assert captured.tunnels == plain.tunnels
    assert captured.interfaces == plain.interfaces
    assert [entry.text for entry in captured.ignored] == ["R1#"]


def test_flat_and_indented_files_are_the_same() -> None:
    """A configuration pasted without indentation, or with more of it, is the same configuration."""
    text = (EXAMPLES / "lab-R1-full.cfg").read_text()
    kept = "\n".join(line for line in text.split("\n") if not line.startswith("! "))
    wanted = load(kept)
    flat = load("\n".join(line.lstrip() for line in kept.split("\n")))
    deep = load("\n".join("    " + line for line in kept.split("\n")))
    for other in (flat, deep):
        assert other.tunnels == wanted.tunnels
        assert other.profiles == wanted.profiles
        assert other.keyrings == wanted.keyrings
        assert other.ipsec_profiles == wanted.ipsec_profiles
        assert other.access_lists == wanted.access_lists
        assert other.routes == wanted.routes


@pytest.mark.parametrize(
    ("version", "override", "generation", "groups"),
    [
        ("15.9", None, "15", (5, 2)),
        ("16.12", None, "17", (19, 14, 21, 5)),
        ("17.9", None, "17", (19, 14, 21, 5)),
        ("26.1", None, "26", (19, 14, 21)),
        ("15.9", "17", "17", (19, 14, 21, 5)),
        (None, None, "17", (19, 14, 21, 5)),
        (None, "26", "26", (19, 14, 21)),
    ],
)
def test_version_chooses_the_smart_defaults(
    version: str | None, override: str | None, generation: str, groups: tuple[int, ...]
) -> None:
    """The version line chooses the generation unless the caller does; without one it is 17."""
    config = load(f"version {version}\n" if version else "hostname R1\n", generation=override)
    assert config.generation == generation
    assert config.proposals["default"].groups == groups


def test_unknown_generation_is_the_callers_fault() -> None:
    """A generation that does not exist is refused with those that do."""
    with pytest.raises(LocalError, match="had 12, wanted 15, 17, 26"):
        load("", generation="12")


def test_lab_timers_admit_short_lifetimes_with_a_warning() -> None:
    """Lifetimes of 10 to 119 s need lab timers, and are warned of even then."""
    config = load(
        PROFILE + "lifetime 10\ncrypto ipsec profile X\n set security-association lifetime seconds 30\n",
        lab_timers=True,
    )
    assert config.profiles["P"].lifetime == 10
    assert config.ipsec_profiles["X"].lifetime_seconds == 30
    assert [f.line for f in config.findings if "lab timers" in f.text and f.severity == "warning"] == [1, 3]
    assert "wanted 120-86400" in problem(PROFILE + "lifetime 9")


MATCHES = [
    ("address 192.0.2.1", IdentityMatch(kind="address", network=IPv4Network("192.0.2.1/32"), line=2)),
    ("address 192.0.2.0 255.255.255.0", IdentityMatch(kind="address", network=IPv4Network("192.0.2.0/24"), line=2)),
    ("address 0.0.0.0", IdentityMatch(kind="address", network=IPv4Network("0.0.0.0/0"), line=2)),
    ("fqdn r2.example", IdentityMatch(kind="fqdn", value="r2.example", line=2)),
    ("fqdn domain example", IdentityMatch(kind="fqdn", value="example", domain=True, line=2)),
    ("email domain example", IdentityMatch(kind="email", value="example", domain=True, line=2)),
    ("key-id branch", IdentityMatch(kind="key-id", value="branch", line=2)),
    ("any", IdentityMatch(kind="any", line=2)),
]


@pytest.mark.parametrize(("words", "wanted"), MATCHES, ids=[words for words, _ in MATCHES])
def test_match_identity_remote(words: str, wanted: IdentityMatch) -> None:
    """Each form of `match identity remote` is one match, and `no` takes it away."""
    assert load(f"{PROFILE}match identity remote {words}").profiles["P"].match_remote == (wanted,)
    gone = load(f"{PROFILE}match identity remote {words}\n no match identity remote {words}")
    assert gone.profiles["P"].match_remote == ()


KEYS = [
    ("pre-shared-key cisco", b"cisco", b"cisco"),
    ("pre-shared-key 0 cisco 123", b"cisco 123", b"cisco 123"),
    ("pre-shared-key local a\n  pre-shared-key remote b", b"a", b"b"),
    ("pre-shared-key hex 0a0B", b"\x0a\x0b", b"\x0a\x0b"),
    ("pre-shared-key remote 0 b", None, b"b"),
    ("pre-shared-key l", b"l", b"l"),
    ("pre-shared-key <removed>", None, None),
    ("pre-shared-key k\n  no pre-shared-key local", None, b"k"),
]


@pytest.mark.parametrize(("lines", "local", "remote"), KEYS, ids=[lines for lines, _, _ in KEYS])
def test_pre_shared_key_forms(lines: str, local: bytes | None, remote: bytes | None) -> None:
    """A key is symmetric or of one side, in clear or hexadecimal; `<removed>` is no key."""
    peer = load(f"crypto ikev2 keyring K\n peer P\n  address 192.0.2.1\n  {lines}\n").keyrings["K"].peers[0]
    assert peer.local_key == (None if local is None else Secret(local))
    assert peer.remote_key == (None if remote is None else Secret(remote))


ENTRIES = [
    ("permit ip any any", 0, "0.0.0.0/0", "0.0.0.0/0", (0, 65535), (0, 65535)),
    ("permit ip 10.1.0.0 0.0.0.255 host 10.2.0.1", 0, "10.1.0.0/24", "10.2.0.1/32", (0, 65535), (0, 65535)),
    ("permit tcp any eq 179 any", 6, "0.0.0.0/0", "0.0.0.0/0", (179, 179), (0, 65535)),
    ("permit udp any any range isakmp 4500", 17, "0.0.0.0/0", "0.0.0.0/0", (0, 65535), (500, 4500)),
    ("permit tcp any gt 1023 any lt 1024", 6, "0.0.0.0/0", "0.0.0.0/0", (1024, 65535), (0, 1023)),
    ("permit 47 host 10.0.0.1 host 10.0.0.2", 47, "10.0.0.1/32", "10.0.0.2/32", (0, 65535), (0, 65535)),
]


@pytest.mark.parametrize(
    "head", ["access-list 150 ", "ip access-list extended 150\n ", "ip access-list extended 150\n 10 "]
)
@pytest.mark.parametrize(("words", "protocol", "source", "destination", "from_ports", "to_ports"), ENTRIES)
def test_access_list_entries(
    head: str,
    words: str,
    protocol: int,
    source: str,
    destination: str,
    from_ports: tuple[int, int],
    to_ports: tuple[int, int],
) -> None:
    """An extended access-list reads the same, numbered or named, with sequence numbers or without."""
    (entry,) = load(head + words).access_lists["150"].entries
    assert (entry.permit, entry.protocol, entry.sequence) == (True, protocol, 10)
    assert (entry.source, entry.destination) == (IPv4Network(source), IPv4Network(destination))
    assert (entry.source_ports, entry.destination_ports) == (from_ports, to_ports)


def test_global_security_association_values_hold_for_profiles_that_say_nothing() -> None:
    """`crypto ipsec security-association` is what a profile begins with; its own line wins."""
    config = load(
        "crypto ipsec security-association lifetime seconds 900\n"
        "crypto ipsec security-association lifetime kilobytes disable\n"
        "crypto ipsec profile A\ncrypto ipsec profile B\n set security-association lifetime seconds 1800\n"
        "crypto ipsec security-association replay disable\n"
    )
    assert {name: item.lifetime_seconds for name, item in config.ipsec_profiles.items()} == {
        "default": 900,
        "A": 900,
        "B": 1800,
    }
    assert {item.replay_window for item in config.ipsec_profiles.values()} == {0}
    assert {item.lifetime_kilobytes for item in config.ipsec_profiles.values()} == {None}


def test_abbreviated_words_and_interface_names() -> None:
    """Unique beginnings of words and of interface names are read as a router reads them."""
    config = load("int tu 7\n tun so gi 1\n tu dest 192.0.2.2\nint gi1\n ip addr 192.0.2.1 255.255.255.252\n")
    assert config.tunnels["Tunnel7"].source == "GigabitEthernet1"
    assert config.tunnels["Tunnel7"].source_address == IPv4Address("192.0.2.1")


def test_no_takes_back_what_a_line_did() -> None:
    """Every `no` form restores the state before the line."""
    text = (EXAMPLES / "R1.cfg").read_text().replace("!\nend", "")
    undone = load(
        text + "no ip route 10.2.1.0 255.255.255.0 Tunnel1\nno interface Tunnel1\nno ip access-list extended SECOND\n"
        "crypto ikev2 profile default\n no dpd\n no keyring local KR\nno crypto ikev2 keyring KR\n"
        "no crypto ikev2 proposal default\n"
    )
    assert list(undone.tunnels) == ["Tunnel0"]
    assert [str(route.prefix) for route in undone.routes] == ["10.2.0.0/24"]
    assert (undone.access_lists, undone.keyrings, undone.proposals) == ({}, {}, {})
    assert (undone.profiles["default"].dpd, undone.profiles["default"].keyring) == (None, None)


STYLES = {
    "Cisco 115782, the shortest FlexVPN": (
        "crypto ikev2 keyring KEYRING\n peer R2\n  address 10.10.10.2\n  pre-shared-key cisco\n !\n!\n"
        "crypto ikev2 profile default\n match identity remote address 10.10.10.2 255.255.255.255\n"
        " authentication local pre-share\n authentication remote pre-share\n keyring local KEYRING\n"
        " dpd 60 2 on-demand\n"
        "!\ncrypto ipsec profile default\n set ikev2-profile default\n!\n"
        "interface Tunnel0\n ip address 172.16.0.1 255.255.255.0\n tunnel source Ethernet0/0\n"
        " tunnel destination 10.10.10.2\n tunnel protection ipsec profile default\n!\n"
        "interface Ethernet0/0\n ip address 10.10.10.1 255.255.255.0\n"
    ),
    "static VTI with everything named, as a cEdge prints it": (
        "crypto ikev2 proposal ikev2_proposal \n encryption aes-cbc-128\n integrity sha1\n group 14\n"
        "crypto ikev2 policy ikev2_policy \n proposal ikev2_proposal\n"
        "crypto ikev2 keyring ikev2_keyring\n peer peer1\n  address 10.16.201.1\n  pre-shared-key Cisco#123\n !\n!\n"
        "crypto ikev2 profile ikev2_profile\n match identity remote address 10.16.201.1 255.255.255.252 \n"
        " identity local address 10.16.201.2\n authentication remote pre-share\n authentication local pre-share\n"
        " keyring local ikev2_keyring\n!\n"
        "crypto ipsec transform-set ipsec_transform1 esp-aes 256 esp-sha512-hmac \n mode tunnel\n"
        "crypto ipsec profile p2p_pf1\n set transform-set ipsec_transform1 \n set ikev2-profile ikev2_profile\n!\n"
        "interface Tunnel100\n ip unnumbered GigabitEthernet2\n tunnel source GigabitEthernet2\n"
        " tunnel mode ipsec ipv4\n"
        " tunnel destination 10.16.201.1\n tunnel path-mtu-discovery\n tunnel protection ipsec profile p2p_pf1\n!\n"
        "interface GigabitEthernet2\n ip address 10.16.201.2 255.255.255.252\n negotiation auto\n"
    ),
    "15.x with keys in the profile": (
        "version 15.4\nservice timestamps debug datetime msec\n!\nhostname Spoke\n!\nip cef\nno ipv6 cef\n!\n"
        "crypto ikev2 profile PROF\n match identity remote key-id hub\n identity local key-id spoke\n"
        " authentication remote pre-share key cisco1\n authentication local pre-share key cisco2\n!\n"
        "crypto ikev2 dpd 10 3 periodic\n!\ncrypto ipsec profile IP\n set ikev2-profile PROF\n!\n"
        "interface Tunnel1\n ip address 192.168.1.1 255.255.255.252\n ip nhrp network-id 1\n"
        " tunnel source FastEthernet0/0\n tunnel destination 203.0.113.9\n"
        " tunnel protection ipsec profile IP shared\n!\n"
        "interface FastEthernet0/0\n ip address dhcp\n duplex auto\n speed auto\n!\n"
        "ip route 10.0.0.0 255.0.0.0 Tunnel1 192.168.1.2 200\n!\nline con 0\n exec-timeout 0 0\n!\nend\n"
    ),
    "several selectors on one VTI, Cisco 214728": (
        "crypto ikev2 keyring K\n peer ANY\n  address 0.0.0.0 0.0.0.0\n  pre-shared-key local l0cal\n"
        "  pre-shared-key remote r3mote\n !\n!\ncrypto ikev2 profile P\n match identity remote any\n"
        " authentication remote pre-share\n authentication local pre-share\n keyring local K\n!\n"
        "crypto ipsec transform-set TS esp-gcm 256 \n mode tunnel\n!\ncrypto ipsec profile IPS\n set transform-set TS\n"
        " set pfs group19\n set ikev2-profile P\n!\ninterface Loopback0\n ip address 10.255.0.1 255.255.255.255\n!\n"
        "interface Tunnel0\n ip unnumbered Loopback0\n tunnel source GigabitEthernet1\n tunnel mode ipsec ipv4\n"
        " tunnel destination 198.51.100.2\n tunnel protection ipsec policy ipv4 CACL\n"
        " tunnel protection ipsec profile IPS\n!\ninterface GigabitEthernet1\n"
        " ip address 198.51.100.1 255.255.255.252\n!\n"
        "ip access-list extended CACL\n remark the two networks\n permit ip 10.1.0.0 0.0.255.255 10.2.0.0 0.0.255.255\n"
        " permit tcp host 10.1.0.1 host 10.2.0.1 eq www\n"
    ),
    "beside IKEv1 and certificates": (
        "crypto isakmp policy 1\n encr aes\n authentication pre-share\n group 2\n"
        "crypto isakmp key 0ldSecret address 0.0.0.0\n!\n"
        "no crypto isakmp default policy\n!\naccess-list 101 permit ip any any dscp ef\n"
        "crypto ikev2 keyring K\n peer A\n  address 192.0.2.2\n  pre-shared-key x\n !\n!\n"
        "crypto ikev2 profile P\n match identity remote address 192.0.2.2\n authentication remote pre-share\n"
        " authentication local pre-share\n keyring local K\n!\ncrypto ipsec profile I\n set ikev2-profile P\n!\n"
        "interface Tunnel0\n ip address 10.0.0.1 255.255.255.252\n ip access-group 101 in\n tunnel source 192.0.2.1\n"
        " tunnel destination 192.0.2.2\n tunnel protection ipsec profile I\n!\n"
    ),
}


@pytest.mark.parametrize("style", STYLES)
def test_configurations_as_people_write_them(style: str) -> None:
    """Configurations in the style of documents, labs and routers of three generations load without a finding."""
    config = load(STYLES[style])
    assert [finding for finding in config.findings if finding.severity != "note"] == []
    assert len(config.tunnels) == 1
    assert "0ldSecret" not in repr(config)


def test_a_tunnel_leaves_from_the_address_of_its_destination_s_version() -> None:
    """An interface with addresses of both kinds is the source of tunnels over either."""
    ends = "interface Gi1\n ip address 192.0.2.1 255.255.255.0\n ipv6 address 2001:db8::1/64\n"
    way = "interface Tunnel{0}\n tunnel source Gi1\n tunnel destination {1}\n tunnel mode {2}\n"
    text = ends + way.format(0, "192.0.2.2", "gre ip") + way.format(1, "2001:db8::2", "gre ipv6")
    assert [str(each.source_address) for each in load(text).tunnels.values()] == ["192.0.2.1", "2001:db8::1"]
