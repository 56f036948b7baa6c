"""What a router keeps over a restart: its startup configuration, the one before, and the key file that opens both."""

import os
from pathlib import Path

import msgspec
import pytest
from tests.daemon.routers import KEY, PYTHON, R1, configuration, ikescope
from tests.daemon.test_exec import Stub, output
from tests.daemon.test_keeper import control
from tests.support.netns import NET_B
from tests.support.process import Process

from ikescope.daemon.client import Client
from ikescope.daemon.keeper import Keeper
from ikescope.daemon.sealkey import KeyFile, beside, existing
from ikescope.daemon.startup import DiskArchive, StartupFile
from ikescope.errors import LocalError
from ikescope.ios.archive import MemoryArchive
from ikescope.ios.configuration import load
from ikescope.ios.exec import Session
from ikescope.ios.sealing import Sealer

PEER = load(R1).keyrings["KR"].peers[0]
SEALER = Sealer(bytes(range(64)))


def kept(sealer: Sealer | None = SEALER, text: str = "") -> tuple[Session, Stub]:
    """A session of a router that keeps its startup configuration in memory."""
    router = Stub()
    router.archive = MemoryArchive(sealer, text)
    return Session(router), router


def test_a_file_is_replaced_whole_and_the_one_before_is_kept(tmp_path: Path) -> None:
    """The rights stay but others never write, what a link points to is written, nothing half-done stays behind."""
    file, link = tmp_path / "R1.cfg", tmp_path / "link.cfg"
    file.write_text("first\n")
    file.chmod(0o666)
    link.symlink_to(file)
    (tmp_path / "R1.cfg.new").write_text("cut off")
    archive = DiskArchive("link.cfg", SEALER, StartupFile(link))
    assert archive.startup() == "first\n"
    for text in ("second\n", "third\n"):
        archive.save(text)
    assert {path.name: path.read_text() for path in tmp_path.iterdir() if not path.is_symlink()} == {
        "R1.cfg": "third\n",
        "R1.cfg.previous": "second\n",
    }
    assert link.is_symlink() and file.stat().st_mode & 0o777 == 0o644
    file.unlink()
    with pytest.raises(LocalError, match=r"not present \(link.cfg: No such file"):
        archive.startup()
    archive.save("fourth\n")
    assert file.stat().st_mode & 0o777 == 0o600
    with pytest.raises(LocalError, match="not started with a file"):
        DiskArchive("-", SEALER, None).save("text")


def test_the_keeper_does_it_for_the_router_and_nothing_that_was_not_wanted(tmp_path: Path) -> None:
    """Read, begin and finish reach the one file it was made with; without one each is refused."""
    file = tmp_path / "R1.cfg"
    file.write_text("first\n")
    startup = StartupFile(file)
    archive = DiskArchive("R1.cfg", SEALER, startup)
    keeper = Keeper(control(tmp_path), None, startup)
    archive.by(keeper)
    archive.save("second\n")
    assert (archive.startup(), file.with_name("R1.cfg.previous").read_text()) == ("second\n", "first\n")
    keeper.close()
    with pytest.raises(LocalError, match=r"R1.cfg: "):
        archive.save("third\n")
    assert file.read_text() == "second\n"
    none = Keeper(control(tmp_path), None)
    for ask in (none.read, none.begin, none.finish):
        with pytest.raises(PermissionError):
            ask()
    none.close()


def test_a_key_file_is_made_once_and_is_its_owner_s_alone(tmp_path: Path) -> None:
    """0600, the same at each start; one that others may read, and one that is none, are refused with a remedy."""
    said: list[str] = []
    place = beside(tmp_path / "R1.cfg")
    first = KeyFile(None, str(tmp_path / "R1.cfg"))
    assert not place.exists(), "a configuration with a mistake leaves nothing behind"
    sealer = first.keep(said.extend)
    assert sealer is not None and place.name == "R1.cfg.key" and place.stat().st_mode & 0o777 == 0o600
    again = KeyFile(str(place), None).keep(said.extend)
    assert again is not None and again.name == sealer.name and [*tmp_path.iterdir()] == [place]
    place.chmod(0o640)
    with pytest.raises(LocalError, match="had mode 0640, wanted 0600: chmod 600"):
        existing(place)
    place.chmod(0o600)
    place.write_text("ikescope-key-1 c2hvcnQ=\n")
    with pytest.raises(LocalError, match="wanted one line, ikescope-key-1 and 64 octets"):
        existing(place)
    nowhere = str(tmp_path / "none" / "R1.cfg")
    assert KeyFile(None, nowhere).keep(said.extend) is None and "write memory` keeps nothing" in said[0]
    with pytest.raises(LocalError, match="No such file"):
        KeyFile(nowhere, None).keep(said.extend)
    assert KeyFile(None, None).keep(said.extend) is None


def test_what_runs_is_kept_with_its_keys_sealed() -> None:
    """`write` and `copy` keep a configuration that loads to what runs; its name is asked for as IOS asks."""
    session, router = kept(text="hostname R1\nsnmp-server location here\nntp server 192.0.2.1\n")
    said = output(session, "conf t", "crypto ikev2 nat keepalive 30", "do write")
    assert said.startswith("Building configuration...\n[OK]\n! 2 of its lines") and "memory.previous" in said
    text = router.archive.startup()
    assert KEY not in text
    again = load(text, opener=SEALER)
    peer = again.keyrings["KR"].peers[0]
    assert again.nat_keepalive == 30 and peer == msgspec.structs.replace(PEER, line=peer.line)
    session.execute("end")
    reply = session.execute("copy running-config startup-config")
    assert (reply.output, reply.prompt) == ((), "Destination filename [startup-config]? ")
    assert session.execute("").output == ("Building configuration...", "[OK]")
    assert output(session, "copy run start", "flash:x").startswith("% Error opening flash:x")
    assert "without a key file" in output(kept(None)[0], "write memory")
    for line in ("reload", "erase startup-config", "copy flash:a running-config", "configure replace flash:a", "wr er"):
        assert session.execute(line).refused, line


def test_startup_config_is_shown_without_keys_in_clear() -> None:
    """A file as its operator wrote it: keys sealed for level 15, removed for others; who only looks sees no token."""
    text = (
        "crypto ikev2 keyring KR\n peer A\n  pre-shared-key local 0 top-secret\n  pre-shared-key remote hex 00ff\n"
        "crypto ikev2 profile P\n authentication local pre-share key top-secret\nsnmp-server community top-secret\n"
    )
    session, router = kept(text=text)
    shown = output(session, "show startup-config")
    assert shown.startswith(
        f"Using {len(text)} out of 16777216 bytes\ncrypto ikev2 keyring KR\n peer A\n  pre-shared-key local 6 ike"
    )
    assert "top-secret" not in shown and "00ff" not in shown and shown.count(f"6 ikescope.1.{SEALER.name}.") == 3
    looks = Session(router, level=2)
    for line in ("show startup-config", "show running-config", "show running-config all"):
        assert "pre-shared-key <removed>" in (seen := output(looks, line)) or "local <removed>" in seen
        assert "top-secret" not in seen and "ikescope.1." not in seen
    assert "is not present" in output(kept()[0], "show startup-config")


def test_what_changed_since_is_shown_and_taken_back() -> None:
    """Differences are in IOS's form, either way round; `configure replace` asks and goes back."""
    session, router = kept()
    session.execute("write memory")
    output(session, "conf t", "crypto ikev2 profile default", "lifetime 7200", "end")
    changes = ["!Contextual Config Diffs:", "crypto ikev2 profile default", " +lifetime 7200", ""]
    assert output(session, "show archive config differences").split("\n") == changes
    back = output(session, "show archive config diff system:running-config nvram:startup-config").split("\n")
    assert back == [line.replace("+", "-") for line in changes]
    reply = session.execute("configure replace nvram:startup-config")
    assert reply.prompt.endswith("proceed. ? [no]: ") and "all necessary additions" in reply.output[0]
    assert session.execute("").output == () and router.reloaded == []
    reply = session.execute("configure replace startup-config list force")
    assert "Rollback Done" in reply.output and " -lifetime 7200" in reply.output
    assert router.reloaded == [router.archive.startup()]
    router.config = load(router.archive.startup(), opener=SEALER)
    session.execute("configure replace nvram:startup-config")
    assert session.execute("y").output == ("Total number of passes: 0", "Rollback Done", "")
    assert "!No changes were found" in output(session, "show archive config differences")
    router.archive.save("crypto map M 10 ipsec-isakmp\n")
    assert session.execute("configure replace startup-config force").output[-2] == "% nothing was changed"


@pytest.mark.netns
def test_a_router_that_gave_its_user_up_keeps_what_runs(tmp_path: Path) -> None:
    """Its directory is closed to its user; what `write memory` leaves loads with the key file to what ran, and the key
    is in no file but the one before.
    """
    file = tmp_path / "R1.cfg"
    file.write_text(configuration("R1", "127.9.32.1", "127.9.32.2", "172.16.0.1", NET_B))
    tmp_path.chmod(0o700)
    argv = ikescope("run", "--data-plane", "none", "--control", str(tmp_path), str(file))
    with Process(argv, tmp_path, "R1", env=PYTHON) as router:
        router.wait_for("is ready")
        with Client(tmp_path / "R1.sock") as client:
            for line in ("configure terminal", "crypto ikev2 window 9", "end"):
                client.command(line)
            assert client.command("write memory")["output"] == ["Building configuration...", "[OK]"]
            assert "+" not in "".join(client.command("show archive config differences")["output"])
        assert router.stop() == 0
    sealer = existing(beside(file))
    config = load(file.read_text(), opener=sealer)
    peer = config.keyrings["KR"].peers[0]
    assert config.window == 9 and peer.local_key is not None and peer.local_key.octets == KEY.encode()
    assert KEY in file.with_name("R1.cfg.previous").read_text() and KEY not in file.read_text()
    assert file.stat().st_uid == os.geteuid()
