"""swanctl.conf: read as text with its lines, understood as a router, and what has no counterpart is named."""

from ipaddress import IPv4Address, IPv4Network

import pytest

from ikescope.config.model import Dpd, Identity, RouterConfig, Secret
from ikescope.config.swanctl import FOREVER, load
from ikescope.config.swanctl_text import SwanctlError, is_swanctl, parse, write
from ikescope.config.swanctl_words import WordError, identity, octets, proposals, seconds, secret, selectors
from ikescope.errors import LocalError
from ikescope.policy.peers import connection, find_key
from ikescope.wire.registry import EncryptionId, IdType, KeyExchangeId

SITE = """# a site
common {
  version = 2
  proposals = aes256-sha512-ecp256   # one
}
connections {
  hub : common {
    local_addrs = 192.0.2.1
    remote_addrs = 192.0.2.2, hub.example.org
    dpd_delay = 30s
    encap = yes
    rekey_time = 2h
    reauth_time = 1d
    childless = prefer
    mobike = no
    local { auth = psk
      id = @branch.example.org }
    remote {
      auth = psk
      id = hub.example.org
    }
    children {
      lan {
        local_ts = 10.1.0.0/16[tcp/80]
        remote_ts = 10.2.0.0/16
        esp_proposals = aes128gcm16-ecp256
        rekey_time = 30m
        rekey_bytes = 1000M
        start_action = trap
        updown = /usr/lib/updown
      }
      gre { local_ts = dynamic[gre]
        remote_ts = 192.0.2.2[47]
        mode = transport
        esp_proposals = aes128-sha1-sha256
        start_action = start
      }
    }
  }
}
secrets {
  ike-hub {
    id-1 = hub.example.org
    secret = "two words"
  }
  ike-any { secret = 0x6a6b }
  eap-x { secret = nothing }
}
"""


def site(old: str = "", new: str = "", **options: object) -> RouterConfig:
    """The site above with one text replaced by another."""
    assert old in SITE
    return load(SITE.replace(old, new) if old else SITE, name="site.conf", **options)  # type: ignore[arg-type]


def test_a_text_is_told_by_its_sections() -> None:
    """A swanctl.conf has connections or secrets in braces; an IOS configuration has not."""
    assert is_swanctl(SITE)
    assert is_swanctl("connections\n{\n}")
    assert not is_swanctl("hostname R1\ninterface Tunnel0\n description connections { }\n")


def test_text_comes_back_as_it_was() -> None:
    """What is written reads back: names, values with blanks and signs, sections, templates followed."""
    root = parse('a { x = "b # {c}\\n\\"" \n y = 1 2\n}\nd : a {\n y = 3\n e { f = }\n}\n', "x")
    assert root.sections["a"].settings["x"].value == 'b # {c}\n"'
    assert root.sections["a"].settings["y"].value == "1 2"
    assert root.sections["d"].settings["x"].line == 1
    assert root.sections["d"].settings["y"].value == "3"
    again = parse(write(root), "y")
    assert write(again) == write(root)
    assert again.sections["d"].settings["x"].value == 'b # {c}\n"'


def test_templates_join_below_and_the_own_words_win() -> None:
    """`name : base` takes settings and sections of base, and of its sections what it does not say itself."""
    text = "t { a = 1\n s { b = 1\n c = 1 } }\nu { x : t { s { b = 2 } } }\nv : u.x { }\n"
    root = parse(text, "x")
    for one in (root.sections["u"].sections["x"], root.sections["v"]):
        assert one.settings["a"].value == "1"
        assert {name: setting.value for name, setting in one.sections["s"].settings.items()} == {"b": "2", "c": "1"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a {\n b = 1\n", "x:1: section a had no `}`"),
        ("}\n", "x:1: had `}`, wanted the name of a setting or section"),
        ("a\nb\n", "x:2: had `b` after a, wanted `=` or `{`"),
        ('a = "b\n', "x:1: had a string without its end"),
        ("a : b {\n}\n", "x:1: section a had template b, not there"),
        ("a : a {\n}\n", "section a is its own template"),
        ("a { " * 5000, "x:1: had section a in 32 others"),
        ("include other.conf\n", "x:1: had include other.conf, wanted one whole file"),
    ],
)
def test_damage_is_told_with_its_line(text: str, said: str) -> None:
    """File, line, what was found and what was wanted; nothing but SwanctlError comes out."""
    with pytest.raises(SwanctlError) as caught:
        parse(text, "x")
    assert said in str(caught.value)


def test_includes_are_followed_by_who_may_read_them() -> None:
    """An include's sections stand where it stands, with lines of their own file; a circle ends."""
    files = {"conf.d/*.conf": [("one.conf", "\na { b = 1 }\n")], "again": [("x", "include again\n")]}
    root = parse("include conf.d/*.conf\nc = 2\n", "x", files.__getitem__)
    assert root.sections["a"].settings["b"].source == "one.conf"
    assert root.sections["a"].settings["b"].line == 2
    with pytest.raises(SwanctlError, match="at most 8 files"):
        parse("include again\n", "x", files.__getitem__)


def test_a_connection_is_a_profile() -> None:
    """Identities, liveness, lifetimes with strongSwan's overtime, what IKE_AUTH may be: as the file says."""
    config = site()
    profile = config.profiles["hub"]
    assert config.hostname == "site"
    assert profile.identity_local == Identity(int(IdType.ID_FQDN), "branch.example.org")
    assert [(one.kind, one.value) for one in profile.match_remote] == [("fqdn", "hub.example.org")]
    assert (profile.lifetime, profile.reauthentication) == (7200 + 720, 86400)
    assert profile.dpd == Dpd(30, 2, False)
    assert (profile.nat_force_encap, profile.childless, profile.config_exchange_request) == (True, "prefer", False)
    assert config.fragmentation is not None
    assert [one.severity for one in config.findings] == []
    assert [(one.line, one.text) for one in config.ignored] == [
        (15, "hub: mobike = no"),
        (30, "lan: updown = /usr/lib/updown"),
    ]


def test_children_are_tunnels() -> None:
    """Selectors become an access-list, GRE selectors a GRE tunnel; lifetimes, PFS and suites are the child's."""
    config = site()
    lan, gre = (connection(config, name) for name in ("hub/lan", "hub/gre"))
    assert (lan.local, lan.remote) == (IPv4Address("192.0.2.1"), IPv4Address("192.0.2.2"))
    assert (lan.tunnel.mode, gre.tunnel.mode, lan.transport, gre.transport) == ("ipsec ipv4", "gre ip", False, True)
    (entry,) = config.access_lists["hub/lan"].entries
    assert (entry.source, entry.destination) == (IPv4Network("10.1.0.0/16"), IPv4Network("10.2.0.0/16"))
    assert (entry.protocol, entry.source_ports, entry.destination_ports) == (6, (80, 80), (0, 65535))
    assert (lan.ipsec.lifetime_seconds, lan.ipsec.lifetime_kilobytes) == (1800 + 180, 1100 * 1024)
    assert (lan.ipsec.pfs_group, gre.ipsec.pfs_group) == (KeyExchangeId.ECP_256, None)
    assert [one.integrity for one in gre.sets] == [2, 12]
    assert site("rekey_time = 30m", "rekey_time = 0").ipsec_profiles["hub/lan"].lifetime_seconds == FOREVER


def test_secrets_are_for_whom_they_name() -> None:
    """The secret that names the peer is closest; one without owner serves everybody; others' are none of ours."""
    config = site()
    profile, hub = config.profiles["hub"], Identity(int(IdType.ID_FQDN), "hub.example.org")
    for which in ("local", "remote"):
        found = find_key(config, profile, IPv4Address("192.0.2.2"), hub, which)
        assert found is not None
        assert found.secret == Secret(b"two words")
    other = site("id-1 = hub.example.org", "id-1 = else.example.org")
    found = find_key(other, other.profiles["hub"], IPv4Address("192.0.2.2"), hub, "remote")
    assert found is not None
    assert found.secret == Secret(b"jk")
    assert "words" not in repr(config)


def test_a_secret_that_is_removed_is_none() -> None:
    """A file made ready to be shown has no key; it is not taken for the word that stands there."""
    config = site('"two words"', "<removed>")
    assert [one.name for one in config.keyrings["hub"].peers] == ["ike-any"]


def test_addresses_left_open_are_told_by_the_other_end() -> None:
    """%any and nothing at all are the address that exactly one other tunnel looks for, and a note says so."""
    ends = (
        (IPv4Address("192.0.2.2"), IPv4Address("192.0.2.1")),
        (IPv4Address("203.0.113.1"), IPv4Address("203.0.113.2")),
    )
    for old, new in (
        ("local_addrs = 192.0.2.1", ""),
        ("remote_addrs = 192.0.2.2, hub.example.org", "remote_addrs = %any"),
    ):
        config = site(old, new, ends=ends)
        tunnel = config.tunnels["hub/lan"]
        assert (tunnel.source_address, tunnel.destination) == (IPv4Address("192.0.2.1"), IPv4Address("192.0.2.2"))
        assert [one.severity for one in config.findings] == ["note"]
        assert "leaves open what the other end says" in config.findings[0].text


@pytest.mark.parametrize(
    ("new", "said"),
    [
        ("%any", "remote_addrs = %any names no host, and 192.0.2.2, 203.0.113.2 all fit: rehearse them one at a time"),
        (
            "192.0.3.0/24",
            "remote_addrs = 192.0.3.0/24 names no host, and no tunnel of the other files is its other end",
        ),
        ("192.0.3.1-192.0.3.9", "remote_addrs = 192.0.3.1-192.0.3.9 names no host, and no tunnel of the other files"),
        ("a.example", "(a.example: no name is looked up here), and 192.0.2.2, 203.0.113.2 all fit"),
    ],
)
def test_an_address_that_stays_open_is_an_error_with_its_reason(new: str, said: str) -> None:
    """Where several ends fit, or none lies within what is admitted, nobody guesses: file line, setting, why."""
    ends = [(IPv4Address(one), IPv4Address("192.0.2.1")) for one in ("192.0.2.2", "203.0.113.2")]
    errors = [
        (one.line, one.text)
        for one in site("192.0.2.2, hub.example.org", new, ends=ends).findings
        if one.severity == "error"
    ]
    assert errors[0][0] == 9
    assert said in errors[0][1]


@pytest.mark.parametrize("within", ["192.0.2.0/28", "192.0.2.2-192.0.2.7", "%any, hub.example.org"])
def test_a_network_or_a_range_admits_the_end_that_lies_in_it(within: str) -> None:
    """Of the ends that look for this address, the one within `remote_addrs` is taken."""
    far = [(IPv4Address("203.0.113.2"), IPv4Address("192.0.2.1"))] if within[0] != "%" else []
    config = site(
        "192.0.2.2, hub.example.org", within, ends=[(IPv4Address("192.0.2.2"), IPv4Address("192.0.2.1")), *far]
    )
    assert config.tunnels["hub/lan"].destination == IPv4Address("192.0.2.2")


def test_what_a_rehearsal_does_in_one_way_is_a_note() -> None:
    """dpd_action, close_action: what happens here; further key exchanges of a child by name; marks are named only."""
    config = site(
        "updown = /usr/lib/updown",
        "dpd_action = restart\n close_action = trap\n mark_in = 42\n if_id_in = 7\n"
        "esp_proposals = aes256-sha256-ecp256-x25519",
    )
    assert [(one.severity, one.text) for one in config.findings] == [
        ("note", "child hub/lan: dpd_action = restart: after a peer that fell silent the next packet begins anew, "
         "as with trap"),
        ("note", "child hub/lan: rekeyed with ECP_256; CURVE25519 of esp_proposals left out at a rekey"),
    ]  # fmt: skip
    assert [one.text for one in config.ignored][-2:] == ["lan: mark_in = 42", "lan: if_id_in = 7"]


@pytest.mark.parametrize(
    ("old", "new", "line", "said"),
    [
        ("version = 2", "version = 1", 3, "speaks IKEv1 only"),
        (
            "auth = psk\n      id = hub",
            "auth = pubkey\n      id = hub",
            19,
            "remote auth = pubkey: ikescope has pre-shared",
        ),
        ("mode = transport", "mode = beet", 34, "mode = beet: ikescope has transport mode for GRE only"),
        ("encap = yes", "vips = 0.0.0.0", 11, "vips = 0.0.0.0 has no counterpart"),
        ("aes256-sha512-ecp256", "3des-md5-modp1024", 4, "no proposal is left that ikescope has"),
    ],
)
def test_what_cannot_be_followed_is_an_error(old: str, new: str, line: int, said: str) -> None:
    """What another connection would come of is an error with its line."""
    errors = [(one.line, one.text) for one in site(old, new).findings if one.severity == "error"]
    assert [number for number, _ in errors][:1] == [line]
    assert said in errors[0][1]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("encap = yes", "encap = perhaps", "site.conf:11: encap: had perhaps, wanted yes or no"),
        ("encap = yes", "encapsulation = yes", "site.conf:11: had encapsulation, wanted one of "),
        ("rekey_time = 2h", "rekey_time = soon", "site.conf:12: rekey_time: had soon, wanted a time"),
        ("aes256-sha512-ecp256", "aes257-sha512-ecp256", "site.conf:4: proposals: had `aes257`"),
        ("aes256-sha512-ecp256", "aes256gcm16-ecp256", "site.conf:4: proposals: had aes256gcm16-ecp256, wanted a PRF"),
        ("start_action = start", "replay_window = wide", "site.conf:36: replay_window: had wide, wanted a number"),
        ("10.2.0.0/16", "10.2.0.0/33", "site.conf:25: remote_ts: had 10.2.0.0/33, wanted a network"),
        ("10.2.0.0/16", "10.2.0.1-10.2.0.6", "remote_ts: had 10.2.0.1-10.2.0.6, wanted a range that is one network"),
        (
            "start_action = trap",
            "start_action = tarp",
            "site.conf:29: start_action: had tarp, wanted one of none, trap",
        ),
        (
            "encap = yes",
            "unique = perhaps",
            "site.conf:11: unique: had perhaps, wanted one of no, never, keep, replace",
        ),
        ("0x6a6b", "0x6a6z", "site.conf:46: secret: had a secret that is not what it says, wanted hexadecimal digits"),
        (
            "id = hub.example.org",
            'id = "CN=hub"',
            "site.conf:20: id: had CN=hub, wanted an address, a name or a key ID",
        ),
    ],
)
def test_a_value_that_is_none_is_told_with_its_line(old: str, new: str, said: str) -> None:
    """File, line, setting, what was found, what is wanted; a secret is not shown."""
    with pytest.raises(LocalError) as caught:
        site(old, new)
    assert said in str(caught.value)
    assert "6a6z" not in str(caught.value)


def test_a_file_without_connections_says_so() -> None:
    """There must be one."""
    with pytest.raises(SwanctlError, match="had no connection"):
        load("secrets { }", name="x")


def test_proposals_are_strongswans() -> None:
    """PRFs follow from integrity, AEADs stand apart, the defaults of 5.9 are in the order of its own."""
    (one,) = proposals("aes256-aes128-sha512-ecp256-modp2048", "ike")
    assert [choice.key_length for choice in one.encryption] == [256, 128]
    assert (one.integrity, one.prf, one.groups) == ((14,), (7,), (19, 14))
    classic, sealed = proposals("aes128-aes128gcm16-sha256-esn-noesn", "esp")
    assert [each.id for each in classic.encryption] == [EncryptionId.ENCR_AES_CBC]
    assert (sealed.integrity, sealed.esn) == ((), (True, False))
    assert len(proposals("default", "ike")) == len(proposals("default", "esp")) == 2
    (foreign,) = proposals("3des-aes256-sha256-modp768", "esp")
    assert foreign.foreign == ("3des", "modp768")
    with pytest.raises(WordError, match="wanted a key exchange"):
        proposals("aes256-sha256", "ike")


def test_words_are_strongswans() -> None:
    """Times, sizes, identities, selectors and secrets as strongSwan reads them."""
    assert [seconds(text) for text in ("0", "90", "5s", "2m", "4h", "1d")] == [0, 90, 5, 120, 14400, 86400]
    assert [octets(text) for text in ("5", "1k", "2M", "1G")] == [5, 1024, 2 << 20, 1 << 30]
    told = {
        text: identity(text) for text in ("192.0.2.1", "a.b", "@a.b", "a@b", "@@a@b", "@#0102", "keyid:x y", "fd00::1")
    }
    kinds = [None if one is None else (IdType.of(one.type).name, one.value) for one in told.values()]
    assert kinds == [
        ("ID_IPV4_ADDR", "192.0.2.1"),
        ("ID_FQDN", "a.b"),
        ("ID_FQDN", "a.b"),
        ("ID_RFC822_ADDR", "a@b"),
        ("ID_RFC822_ADDR", "a@b"),
        ("ID_KEY_ID", "0x0102"),
        ("ID_KEY_ID", "x y"),
        ("ID_IPV6_ADDR", "fd00::1"),
    ]
    assert identity("%any") is None
    first, second = selectors("10.0.0.0/8[udp/1000-2000], dynamic[%any/53]")
    assert (first.protocol, first.ports, second.network, second.ports) == (17, (1000, 2000), None, (53, 53))
    assert selectors("10.1.0.0-10.1.0.255")[0].network == IPv4Network("10.1.0.0/24")
    assert secret("0sYWI=") == secret("0x6162") == Secret(b"ab")
