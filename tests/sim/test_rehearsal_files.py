"""Rehearsals of what a network has in its repository: IOS and swanctl together, keys removed, ends that are missing."""

import json
from pathlib import Path
from typing import Any

import pytest

from ikescope import cli

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
R1, R2 = (str(EXAMPLES / name) for name in ("R1.cfg", "R2.cfg"))
SWAN = """connections {
  r1 {
    version = 2
    local_addrs = 198.51.100.2
    remote_addrs = 198.51.100.1
    proposals = aes256-sha512-ecp256
    local { auth = psk }
    remote { auth = psk }
    children {
      gre {
        local_ts = dynamic[gre]
        remote_ts = dynamic[gre]
        mode = transport
        esp_proposals = aes128-sha1
        start_action = trap
      }
      net {
        local_ts = 10.2.1.0/24
        remote_ts = 10.1.1.0/24
        esp_proposals = aes128-sha1
        start_action = trap
      }
    }
  }
}
secrets {
  ike-r1 {
    id = 198.51.100.1
    secret = ike-scope-tour
  }
}
"""


class Said:
    """What a rehearsal said and how it ended."""

    def __init__(self, status: int, text: str) -> None:
        self.status, self.text = status, text

    @property
    def objects(self) -> list[dict[str, Any]]:
        """The lines of `--as json`."""
        return [json.loads(line) for line in self.text.splitlines()]

    def of(self, kind: str) -> list[dict[str, Any]]:
        """Those of a type."""
        return [one for one in self.objects if one["type"] == kind]


@pytest.fixture
def rehearse(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Any:
    """Rehearse files: names as they are, texts as files of their own; a tenth of a day unless said otherwise."""

    def run(*files: str, days: str = "0.02", options: tuple[str, ...] = ()) -> Said:
        names = []
        for number, one in enumerate(files):
            if "\n" in one:
                path = tmp_path / f"site{number}.conf"
                path.write_text(one)
                one = str(path)
            names.append(one)
        status = cli.main(["rehearse", *names, "--days", days, *options])
        said = capsys.readouterr()
        return Said(status, said.out + said.err)

    return run


def ios(old: str, new: str, name: str = R2) -> str:
    """The text of an example with something else in the place of `old`."""
    text = Path(name).read_text()
    assert old in text
    return text.replace(old, new)


def test_ios_and_swanctl_come_up(rehearse: Any) -> None:
    """Each of two children finds its tunnel: both up, what is agreed on each; exit status 0."""
    said = rehearse(R1, SWAN)
    assert said.status == 0, said.text
    assert "R1 Tunnel0 <-> site1 r1/gre (10.0.0.1 to 10.0.0.2): up after 0." in said.text
    agreed = "IKE AES-CBC-256 / SHA512 / SHA512 / group 19; ESP ENCR_AES_CBC-128, AUTH_HMAC_SHA1_96, "
    assert agreed + "transport" in said.text
    assert agreed + "tunnel" in said.text
    assert "no partner" not in said.text


FAULTS = {
    "ike": ("proposals = aes256-sha512-ecp256", "proposals = aes128-sha256-modp2048", "ike-proposal-mismatch"),
    "esp": ("esp_proposals = aes128-sha1", "esp_proposals = aes256-sha512", "esp-proposal-mismatch"),
    "key": ("secret = ike-scope-tour", 'secret = "ike-scope-tour "', "psk-mismatch"),
    "selectors": ("local_ts = 10.2.1.0/24", "local_ts = 10.9.1.0/24", "ts-mismatch"),
}


def test_remedies_are_in_the_words_of_each_file(rehearse: Any) -> None:
    """IOS lines with its own names for one, settings of swanctl.conf for the other; the slip is named, no key is."""
    said = rehearse(R1, SWAN.replace("secret = ike-scope-tour", 'secret = "ike-scope-tour "'), options=("--as", "json"))
    (finding,) = (one for one in said.of("finding") if one["id"] == "psk-mismatch")
    assert "The key of site1 ends with a blank that the one of R1 has not." in finding["because"]
    by_router = {one["router"]: one for one in finding["remedy"]}
    assert by_router["R1"]["syntax"] == "ios"
    assert by_router["R1"]["lines"][:2] == ["crypto ikev2 keyring KR", " peer R2"]
    assert by_router["site1"]["syntax"] in ("text", "swanctl")
    assert "secret" in by_router["site1"]["lines"][0]
    assert "ike-scope-tour" not in said.text
    said = rehearse(R1, SWAN.replace("aes256-sha512-ecp256", "aes128-sha256-modp2048"), options=("--as", "json"))
    (finding,) = (one for one in said.of("finding") if one["id"] == "ike-proposal-mismatch")
    assert {one["router"]: one["syntax"] for one in finding["remedy"]}["R1"] == "ios"


@pytest.mark.parametrize(("old", "new", "finding"), FAULTS.values(), ids=FAULTS)
def test_what_keeps_them_apart_is_a_finding(rehearse: Any, old: str, new: str, finding: str) -> None:
    """A swanctl.conf that differs in one thing: status 1, the finding of that thing among the errors."""
    said = rehearse(R1, SWAN.replace(old, new), options=("--as", "json"))
    assert said.status == 1
    errors = {one["id"] for one in said.of("finding") if one["severity"] == "error"}
    assert finding in errors
    (last,) = said.of("rehearsal")
    assert (last["up"], last["good"]) == (False, False)
    assert any(one["up"] is False for one in said.of("tunnel"))


def test_selectors_that_do_not_mirror_are_negotiated(rehearse: Any) -> None:
    """The tunnel without its mirror meets the one that is left over, and the other stays up for its days."""
    said = rehearse(R1, SWAN.replace("local_ts = 10.2.1.0/24", "local_ts = 10.9.1.0/24"), options=("--as", "json"))
    up = {one["tunnel"]: one["up"] for one in said.of("tunnel")}
    assert up == {"Tunnel0": True, "Tunnel1": False}
    (gre,) = (one for one in said.of("tunnel") if one["tunnel"] == "Tunnel0")
    assert gre["answered"] == gre["sent"] > 50


@pytest.mark.parametrize(
    "key",
    [
        "pre-shared-key <removed>",
        "pre-shared-key 6 JDYkLKAWJ",
        "pre-shared-key local 6 AAB\n  pre-shared-key remote 6 B",
        "!",
    ],
)
def test_keys_that_are_not_shown_count_as_equal(rehearse: Any, key: str) -> None:
    """Removed, encrypted or absent at one end or both: up, and a line says what was taken for granted."""
    hidden = ios("pre-shared-key ike-scope-tour", key)
    said = rehearse(R1, hidden)
    assert said.status == 0, said.text
    assert "R2: no local key for 198.51.100.1 is shown: taken to be the same as that of the other end." in said.text
    said = rehearse(ios("pre-shared-key ike-scope-tour", "pre-shared-key 6 ZZZ", R1), hidden)
    assert said.status == 0, said.text
    assert "R1: no local key for 198.51.100.2 is shown: taken to be equal at both ends." in said.text
    assert "JDYkLKAWJ" not in said.text


def test_a_swanctl_without_secrets_takes_the_others(rehearse: Any) -> None:
    """No secrets section: the key is the one of the other end."""
    said = rehearse(R1, SWAN.partition("secrets {")[0], options=("--as", "json"))
    assert said.status == 0, said.text
    (last,) = said.of("rehearsal")
    assert [line for line in last["assumptions"] if "no remote key for 198.51.100.1" in line]


def test_two_keys_that_differ_do_differ(rehearse: Any) -> None:
    """Only what is not shown is assumed."""
    assert rehearse(R1, ios("ike-scope-tour", "ike-scope-tours")).status == 1


def test_an_end_that_is_missing_is_named(rehearse: Any) -> None:
    """A third tunnel to nowhere: the others come up, it is named with what it looks for; status 0."""
    lonely = ios("interface GigabitEthernet1\n", LONELY + "interface GigabitEthernet1\n")
    lonely = lonely.replace(
        "keyring KR\n", "keyring KR\n peer R9\n  address 203.0.113.9\n  pre-shared-key 6 NO\n !\n", 1
    )
    said = rehearse(R1, lonely)
    assert said.status == 0, said.text
    wanted = (
        "R2 Tunnel9: from 198.51.100.2 to 203.0.113.9: no partner: no tunnel goes from 203.0.113.9 to 198.51.100.2."
    )
    assert wanted in said.text
    told = rehearse(R1, lonely, options=("--as", "json")).of("tunnel")
    assert [one["tunnel"] for one in told if one["partner"] is None] == ["Tunnel9"]


LONELY = """interface Tunnel9
 ip address 10.0.9.1 255.255.255.252
 tunnel source GigabitEthernet1
 tunnel destination 203.0.113.9
 tunnel protection ipsec profile default
!
"""


def test_each_file_has_its_own_generation(rehearse: Any) -> None:
    """Smart defaults of IOS 15 and of IOS-XE 26 share MODP-1536 with 17 or nothing: the `version` line decides."""
    assert rehearse(R1, ios("version 17.9", "version 26.1")).status == 0
    said = rehearse(
        ios("version 17.9", "version 15.9", R1), ios("version 17.9", "version 26.1"), options=("--as", "json")
    )
    assert said.status == 1
    assert "ike-proposal-mismatch" in {one["id"] for one in said.of("finding")}


def test_what_breaks_first_is_told_with_its_time(rehearse: Any) -> None:
    """PFS at one end only: up, and no rekey succeeds; status 1, and the finding."""
    gre, _, rest = SWAN.partition("      net {")
    swan = gre.replace("aes128-sha1", "aes128-sha1-modp2048") + rest.partition("      }\n")[2]
    said = rehearse(R1, swan, days="0.06", options=("--as", "json"))
    assert said.status == 1, said.text
    assert [(one["tunnel"], one["up"]) for one in said.of("tunnel")] == [("Tunnel0", True), ("Tunnel1", None)]
    assert "pfs-mismatch" in {one["id"] for one in said.of("finding")}


def test_both_debugs_are_shown_on_request(rehearse: Any) -> None:
    """`--with-debug`: what each router's console would show, in text and in JSON."""
    said = rehearse(R1, R2, days="0", options=("--with-debug",))
    assert said.text.index("R1#debug crypto ikev2") < said.text.index("R2#debug crypto ikev2")
    assert said.text.count("IKEv2:(SESSION ID = 1,SA ID = 1):") > 20
    debugs = rehearse(R1, R2, days="0", options=("--with-debug", "--as", "json")).of("debug")
    assert [one["router"] for one in debugs] == ["R1", "R2"]


def test_swanctl_on_both_sides_and_an_include(rehearse: Any, tmp_path: Path) -> None:
    """Two swanctl.conf come up with each other; one of them includes its secrets; addresses left open are found."""
    turned = SWAN.replace("198.51.100.2", "X").replace("198.51.100.1", "198.51.100.2").replace("X", "198.51.100.1")
    turned = turned.replace("10.2.1", "Y").replace("10.1.1", "10.2.1").replace("Y", "10.1.1")
    head, _, secrets = turned.partition("secrets {")
    (tmp_path / "swan.d").mkdir()
    (tmp_path / "swan.d" / "secrets.conf").write_text("secrets {" + secrets)
    (tmp_path / "swanctl.conf").write_text(head.replace("local_addrs = 198.51.100.1", "") + "include swan.d/*.conf\n")
    said = rehearse(str(tmp_path / "swanctl.conf"), SWAN)
    assert said.status == 0, said.text
    assert "leaves open what the other end says: local_addrs = 198.51.100.1" in said.text
    assert f"{tmp_path.name} r1/gre <-> site1 r1/gre" in said.text


def test_a_file_without_a_tunnel_is_named(rehearse: Any) -> None:
    """It has nothing to rehearse, which is said; the others come up."""
    said = rehearse(R1, R2, "hostname R3\nend\n")
    assert said.status == 0, said.text
    assert "site2.conf: had no protected tunnel: nothing of it is rehearsed" in said.text


@pytest.mark.parametrize(
    ("old", "new", "status", "said"),
    [
        ("version = 2", "version 2", 2, "site1.conf:3: had `2` after version, wanted `=` or `{`"),
        ("version = 2", "verison = 2", 2, "site1.conf:3: had verison, wanted one of "),
        ("version = 2", "include /etc/passwd", 2, "had include /etc/passwd, wanted files in "),
        (
            "auth = psk }\n    remote",
            "auth = eap }\n    remote",
            1,
            "site1.conf:7: error: connection r1: local auth = eap",
        ),
    ],
)
def test_what_cannot_be_rehearsed_is_told(rehearse: Any, old: str, new: str, status: int, said: str) -> None:
    """Unreadable: one line, status 2; readable and not possible: a line each, status 1."""
    told = rehearse(R1, SWAN.replace(old, new, 1))
    assert told.status == status
    assert said in told.text
    assert len(told.text.splitlines()) == 1
