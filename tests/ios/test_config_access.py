"""Who may log in, as configured: users, their secrets and keys, `enable secret`, `ip ssh`, `line vty`."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from ikescope.config.model import RouterConfig, Secret
from ikescope.crypto import passwords
from ikescope.ios.configuration import Editor, load
from ikescope.ios.exec_changes import without_secrets
from ikescope.ios.running import configuration_lines
from ikescope.ios.sealing import Sealer

SEALER = Sealer(bytes(range(64)))
#: The password of each is `hashcat`: the examples of hashcat's modes 9300, 9200 and 500 (hashcat.net, example hashes).
HASHES = {
    9: "$9$2MJBozw/9R3UsU$2lFhcKvpghcyw8deP25GOfyZaagyUOGBymkryvOdfo6",
    8: "$8$TnGX/fE4KGHOVU$pEhnEvxrvaynpi8j4f.EMHr6M.FzU8xnZnBr/tJdFWk",
    5: "$1$28772684$iEwNOgGugqO9.bIz5sk8k/",
}
FILE = f"""\
hostname R1
enable secret level 7 another
enable secret cisco
username admin privilege 15 secret 9 {HASHES[9]}
username operator secret 0 in clear
username short privilege 5 algorithm-type sha256 secret other
username old password 7 060506324F41
username odd secret 9 $9$no$hash
ip ssh version 2
ip ssh time-out 60
ip ssh pubkey-chain
  username admin
   key-string
    ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIH
    wxyz== admin@desk
   exit
   key-hash ssh-rsa 00112233445566778899AABBCCDDEEFF old@desk
  quit
line con 0
 stopbits 1
line vty 0 4
 exec-timeout 5 30
 privilege level 15
 access-class 10 in
 login local
 transport input ssh
 logging synchronous
line vty 5 15
 transport input none
end
"""


def loaded(text: str) -> RouterConfig:
    """A file read with a key at hand, without where its lines stood."""
    config = load(text, opener=SEALER)
    users = {
        name: replace(user, line=0, keys=tuple(replace(key, line=0) for key in user.keys))
        for name, user in config.users.items()
    }
    vty = {name: replace(lines, line=0) for name, lines in config.vty.items()}
    return replace(config, users=users, vty=vty, findings=(), ignored=(), source="")


@pytest.mark.parametrize("kind", HASHES)
def test_passwords_of_ios_verify(kind: int) -> None:
    """A hash that a router made is verified; another password, a longer one or another type is refused."""
    assert passwords.is_hash(kind, HASHES[kind]) and passwords.verify(kind, HASHES[kind], b"hashcat")
    assert not passwords.verify(kind, HASHES[kind], b"Hashcat")
    assert not passwords.verify(kind, HASHES[kind], b"x" * 256)
    assert not passwords.verify(4, HASHES[kind], b"hashcat") and not passwords.verify(kind, "", b"")


@pytest.mark.parametrize("kind", [passwords.PBKDF2, passwords.SCRYPT])
def test_what_is_made_verifies(kind: int) -> None:
    """A hash of ours is whole, of its type, and verifies its password alone."""
    made = passwords.make(b"secret words", lambda count: bytes(range(count)), kind)
    assert passwords.is_hash(kind, made)
    assert passwords.verify(kind, made, b"secret words") and not passwords.verify(kind, made, b"secret word")


def test_users_keys_and_lines_are_printed_as_they_are_read() -> None:
    """What running-config prints loads again to the same; a password is kept as a hash, in no way in clear."""
    config = loaded(FILE)
    lines = configuration_lines(config, sealer=SEALER)
    assert loaded("\n".join(lines)) == config
    assert config.users["operator"].secret is not None and config.users["operator"].secret.kind == 9
    assert not any("in clear" in line or "cisco" in line for line in lines)
    assert f"username admin privilege 15 secret 9 {HASHES[9]}" in lines
    assert [line for line in lines if line.startswith((" exec", " priv", " login", " trans"))] == [
        " exec-timeout 5 30",
        " privilege level 15",
        " login local",
        " transport input ssh",
        " transport input none",
    ]
    assert config.users["admin"].keys[0].data == "AAAAC3NzaC1lZDI1NTE5AAAAIHwxyz=="
    assert (config.ssh.time_out, config.ssh.version, config.ssh.retries) == (60, 2, 3)


def test_a_secret_verifies_wherever_it_was_loaded_with_a_key() -> None:
    """The same file gives the same hash each time; without a key file the password stays in memory, unprinted."""
    config = loaded(FILE)
    held = config.users["short"].secret
    assert held is not None and passwords.verify(held.kind, held.text.octets.decode(), b"other") and held.kind == 8
    assert loaded(FILE) == config
    bare = load(FILE)
    secret = bare.users["operator"].secret
    assert secret is not None and secret.kind == 0 and secret.text == Secret(b"in clear")
    assert "username operator secret 0 <removed>" in configuration_lines(bare, sealer=SEALER)


def test_without_a_sealer_no_hash_is_printed() -> None:
    """Who may not see keys sees no hash either; the redacted text loaded over a router keeps what it has."""
    lines = configuration_lines(loaded(FILE))
    assert "username admin privilege 15 secret 9 <removed>" in lines
    assert not any("$9$" in line or "$8$" in line for line in lines)
    editor = Editor(loaded(FILE), opener=SEALER)
    editor.feed("username admin privilege 15 secret 9 <removed>")
    assert editor.config.users["admin"].secret == loaded(FILE).users["admin"].secret


def test_who_cannot_log_in_is_named() -> None:
    """A user whose password IOS could read back, or whose hash is none, is there and told of."""
    config = load(FILE, opener=SEALER)
    assert [finding.text.split(":")[0] for finding in config.findings if finding.text.startswith("username")] == [
        "username old has no secret and no public key",
        "username odd has no secret and no public key",
    ]
    assert [entry.text for entry in config.ignored if entry.near] == ["access-class 10 in"]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("username x secret 9 foo", "ERROR: The secret you entered is not a valid encrypted secret."),
        ("username x password hello", "% The password is not kept: write `username x secret PASSWORD`."),
        (f"username x secret 5 {HASHES[5]}", "WARNING: type 5 is MD5"),
        (f"username x secret {'y' * 256}", "% had 256 octets, wanted at most 255"),
        ("enable secret level 3 x", "% Only level 15 has an enable secret"),
        ("line vty 4 0", "% had lines 4 to 0, wanted a range that holds one"),
    ],
)
def test_mistakes_at_the_console(line: str, said: str) -> None:
    """What cannot be kept is refused or told, and no answer repeats a password."""
    editor = Editor(load("hostname R1"), opener=SEALER)
    told = "\n".join(editor.feed(line).text_lines)
    assert said in told and "hello" not in told and "yyy" not in told


@pytest.mark.parametrize(
    "line",
    [
        "username bob secret sEcReT",
        "user bob priv 15 sec 0 sEcReT words",
        "username bob algorithm-type scrypt secret sEcReT",
        "no username bob pass sEcReT",
        "enable secret sEcReT",
        "ena sec level 15 sEcReT",
        "username bob privilege 15 password 0 sEcReT",
    ],
)
def test_no_event_holds_a_password(line: str) -> None:
    """A line goes into the stream of events without its secret, abbreviated or not."""
    assert "sEcReT" not in without_secrets(line) and "<removed>" in without_secrets(line)
