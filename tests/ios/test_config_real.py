"""Configurations as they stand in laboratories and on routers: what of each acts, is named, is counted, is refused."""

from pathlib import Path

import pytest

from ikescope.ios.configuration_reader import Survey, survey
from ikescope.ios.sealing import Unopened

PLACE = Path(__file__).parent / "data" / "configurations"

#: name: lines that act, of these unknown to IOS, named as without effect, of other parts, refused; then its tunnels.
COUNTS = {
    "banners": (18, 0, 0, 23, 0, ["Tunnel1"]),
    "c8000v-generation26": (27, 0, 1, 0, 0, ["Tunnel1"]),
    "c8000v-three-tunnels": (104, 0, 6, 1, 0, ["Tunnel1", "Tunnel2", "Tunnel3"]),
    "c881-beside-ikev1": (27, 0, 16, 9, 0, ["Tunnel0"]),
    "captured-with-pager": (27, 0, 3, 38, 0, ["Tunnel0"]),
    "certificates": (13, 0, 1, 16, 5, []),
    "crypto-map": (16, 0, 0, 5, 3, []),
    "csr1000v-svti": (27, 0, 3, 38, 0, ["Tunnel0"]),
    "dmvpn-spoke": (22, 0, 6, 7, 2, []),
    "flexvpn-hub": (18, 0, 7, 7, 4, []),
    "ipv6-overlays": (56, 0, 2, 3, 0, ["Tunnel60", "Tunnel61", "Tunnel62", "Tunnel63"]),
    "isr2911-generation15": (31, 0, 4, 20, 0, ["Tunnel1"]),
    "isr4331-gre": (65, 0, 10, 81, 0, ["Tunnel10"]),
    "keyring-forms": (41, 0, 0, 0, 0, []),
    "legacy-algorithms": (12, 0, 0, 1, 21, []),
    "multi-sa-vti": (37, 0, 2, 9, 0, ["Tunnel0"]),
    "pasted-flat": (104, 0, 6, 1, 0, ["Tunnel1", "Tunnel2", "Tunnel3"]),
    "strange-indentation": (21, 0, 0, 3, 0, ["Tunnel4"]),
    "values-of-ikescope": (35, 8, 0, 0, 0, ["Tunnel1"]),
    "vrf-everywhere": (39, 0, 0, 0, 3, []),
}


def read(name: str) -> Survey:
    """What becomes of a file's lines, its octets as they were captured."""
    text = (PLACE / f"{name}.cfg").read_bytes().decode()
    return survey(text, f"{name}.cfg", None, False, Unopened())


def test_every_file_has_its_counts() -> None:
    """Twenty configurations stand in the folder, each with a row."""
    assert sorted(COUNTS) == sorted(path.stem for path in PLACE.iterdir())
    assert len(COUNTS) == 20


@pytest.mark.parametrize("name", COUNTS)
def test_what_becomes_of_the_lines(name: str) -> None:
    """Each line acts, is named, is counted or is refused; a file with a refusal starts nothing."""
    acted, own, near, others, refused, tunnels = COUNTS[name]
    found = read(name)
    named = sum(entry.near for entry in found.ignored)
    counts = (found.acted, len(found.ours), named, len(found.ignored) - named, len(found.problems))
    assert counts == (acted, own, near, others, refused)
    assert all(f"{name}.cfg:" in line and "; possible: " in line for line in found.problems)
    assert (found.config is None) == bool(refused)
    assert ([] if found.config is None else list(found.config.tunnels)) == tunnels
    if found.config is not None:
        assert not any(finding.severity == "error" for finding in found.config.findings)
        assert "notareal" not in repr(found)


def test_what_is_read_is_what_was_written() -> None:
    """A pager, CR LF, lost or strange indentation change nothing; a banner's lines are none of the router's."""
    paged, plain = read("captured-with-pager").config, read("csr1000v-svti").config
    flat, deep = read("pasted-flat").config, read("c8000v-three-tunnels").config
    strange, banners = read("strange-indentation").config, read("banners").config
    assert paged and plain and flat and deep and strange and banners
    assert (paged.tunnels, paged.routes, paged.keyrings) == (plain.tunnels, plain.routes, plain.keyrings)
    assert (flat.tunnels, flat.profiles, flat.access_lists) == (deep.tunnels, deep.profiles, deep.access_lists)
    assert strange.tunnels["Tunnel4"].addresses and strange.profiles["P"].auth_remote
    assert (banners.hostname, list(banners.profiles), banners.routes) == ("BANNERS", ["P"], ())


def test_generations_are_chosen_by_each_file() -> None:
    """The version line of a file gives its smart defaults, MD5 and group 2 to 15 alone."""
    old, new, middle = read("isr2911-generation15").config, read("c8000v-generation26").config, read("banners").config
    assert old and new and middle
    assert [one.generation for one in (old, new, middle)] == ["15", "26", "17"]
    assert (old.proposals["OLD"].prf, old.proposals["OLD"].groups) == ((1, 2), (5, 2))
    assert old.ipsec_profiles["P"].pfs_group == 2
    assert any("ML-KEM-768" in one.text for one in new.findings)


def test_what_ios_does_not_have_is_listed() -> None:
    """Values of ours in IOS's places and `ikescope` lines are named with their line and the word."""
    assert [(one.line, one.word) for one in read("values-of-ikescope").ours] == [
        (4, "chacha20-poly1305 aes-gcm-192"),
        (6, "31 32"),
        (18, "ikescope childless"),
        (19, "ikescope reauthentication"),
        (20, "ikescope refused-child"),
        (21, "esp-chacha20-poly1305"),
        (25, "group31"),
        (27, "ikescope per-resource-sas"),
    ]


def test_overlays_keyrings_and_lifetimes() -> None:
    """Overlays carry what they say, a keyring finds by each form, a lifetime in days is one in seconds."""
    six, keys, three = read("ipv6-overlays").config, read("keyring-forms").config, read("c8000v-three-tunnels").config
    assert six and keys and three
    assert [tunnel.mode for tunnel in six.tunnels.values()][1:] == [
        "ipsec ipv4 v6-overlay",
        "ipsec dual-overlay",
        "gre ipv6",
    ]
    assert str(six.tunnels["Tunnel61"].addresses[0]) == "2001:db8:6::1/128"
    kinds = [peer.identity.kind for peer in keys.keyrings["ALL"].peers if peer.identity is not None]
    assert kinds == ["fqdn", "fqdn", "email", "key-id", "address"]
    assert three.ipsec_profiles["VTI"].lifetime_seconds == 86400
    assert three.transform_sets["ORDER"].integrity == 12
