"""The guided tour, played in memory: its parts, its claims, its files."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from tests.demo.tours import Tour, flat, in_memory, texts
from tests.support import tshark
from tests.support.faults import UNSTAGED

from ikescope.capture import is_capture
from ikescope.cli import main
from ikescope.demo.breaks import BREAKS, listing, named
from ikescope.events import decode
from ikescope.explain.findings import RULES
from ikescope.explain.walk import PARTS

FILES = {
    *("walkthrough.md", "walkthrough.html", "R1-debug.txt", "R2-debug.txt", "recording.jsonl", "capture.pcapng"),
}
SPI = re.compile(r"Initiator SPI : ([0-9A-F]{16})")
ROOT = Path(__file__).resolve().parents[2]


def test_the_parts_come_in_order(whole: Tour) -> None:
    """A tour has its eight parts, each after the one before, and ends well."""
    assert whole.parts == [1, 2, 3, 4, 5, 6, 7, 8]
    assert whole.status == 0


def test_the_first_line_says_where_it_plays_and_why(whole: Tour) -> None:
    """In memory the first line says so, and names what this user lacks."""
    assert whole.text.splitlines()[0] == "No TUN device for this user: the two routers run in memory."


def test_every_claim_is_said_to_hold(whole: Tour) -> None:
    """What the tour claims is a line each, and each says yes."""
    claims = re.findall(r"^(yes|NO ) {2}(.*)$", whole.text, re.MULTILINE)
    assert len(claims) == 7
    assert {held for held, _ in claims} == {"yes"}


@pytest.mark.parametrize(
    ("part", "lines"),
    [
        (1, ["H1$ ping -c 1 10.2.0.2", "! The packet that starts it", "198.51.100.1 -> 198.51.100.2, GRE"]),
        (2, ["Num. transforms: 9", "Responder SPI : 0000000000000000", " SA KE N VID NOTIFY(NAT_DETECTION_SOURCE_IP)"]),
        (3, ["IKE_SA_INIT Exchange RESPONSE", "Completed SA init exchange", "! What comes from SKEYSEED"]),
        (4, ["Constructing IDi payload: '198.51.100.1'", " ENCR ", "! Why only ENCR", "! Who is who"]),
        (5, ["64 bytes from 10.2.0.2", "R1#show crypto ikev2 sa", "R1#show crypto ipsec sa", "! The ESP SPIs"]),
        (6, ["R1(config-ikev2-profile)#lifetime 10", "Activating new SA", "! Traffic has moved", "! The new Child SA"]),
        (7, ["R1#test crypto ikev2 liveness", "R1#clear crypto ikev2 sa", "! INFORMATIONAL with DELETE"]),
        (8, ["R1, the initiator:", "NOTIFY(AUTHENTICATION_FAILED)", "R2, the responder:", "! As R2 sees it"]),
    ],
)
def test_each_part_shows_what_it_is_about(whole: Tour, part: int, lines: list[str]) -> None:
    """The debug, the commands and the notes of a part stand under its heading."""
    found = whole.part(part)
    for line in lines:
        assert line in found
    assert PARTS[part][:12] in found.splitlines()[0]


def test_debug_stands_before_the_note_on_it(whole: Tour) -> None:
    """A note follows the lines that it speaks of."""
    part = whole.part(2)
    assert part.index("Num. transforms: 9") < part.index("! The proposal") < part.index("Sending Packet")


def test_folded_text_fits_eighty_columns(whole: Tour) -> None:
    """What is the guide's own fits 80 columns; only the debug and the shows are as wide as they are."""
    assert all(len(line) <= 80 for line in whole.text.splitlines() if line.startswith(("!", "--", "yes")))


def test_it_ends_with_the_table_and_the_files(whole: Tour) -> None:
    """Last come the table of exchanges and the list of files, each with what it is."""
    table = whole.text[whole.text.index("-- What it took") :]
    assert re.search(r"^exchange +for +messages +octets +ms$", table, re.MULTILINE)
    assert re.search(r"^IKE_AUTH +refused: AUTHENTICATION_FAILED +2 ", table, re.MULTILINE)
    assert table.index("-- Files in") > table.index("total")
    for name in FILES:
        assert re.search(rf"^  {re.escape(name)} +\S", table, re.MULTILINE)
        assert (whole.directory / name).stat().st_size > 1000


def test_the_files_are_what_they_are_called(whole: Tour) -> None:
    """The recording decodes, the capture is one, the walkthrough has the parts and fetches nothing."""
    records = [decode(line) for line in whole.file("recording.jsonl").splitlines()]
    assert {record.stamp.router for record in records} == {"R1", "R2"}
    assert is_capture(whole.file("capture.pcapng"))
    walkthrough = whole.file("walkthrough.md").decode()
    assert re.findall(r"^## (\d)\. ", walkthrough, re.MULTILINE) == list("12345678")
    assert "R1#show crypto ikev2 sa" in walkthrough
    assert "http" not in whole.file("walkthrough.html").decode().lower().replace("http-equiv", "")
    assert whole.file("R2-debug.txt").count(b"AUTHENTICATION_FAILED") == 1


def test_keys_are_written_where_they_are_asked_for(whole: Tour) -> None:
    """`--write-keys` leaves both tables: two IKE SAs of the tour and one of the wrong key; two ESP SAs a Child SA."""
    assert len(whole.file("keys/ikev2_decryption_table").splitlines()) == 3
    assert len(whole.file("keys/esp_sa").splitlines()) == 6


@pytest.mark.peers
def test_wireshark_opens_the_capture_with_the_keys(whole: Tour) -> None:
    """Nothing in the capture is malformed, and the tour's key tables open every IKE message and ESP packet."""
    packets = tshark.decode(whole.directory / "capture.pcapng", tables=whole.directory / "keys")
    assert len(packets) > 100
    tshark.assert_clean(packets)
    assert tshark.unopened(packets) == []


@pytest.mark.usefixtures("without_tun")
def test_another_tour_has_other_spis_and_no_old_keys(tmp_path: Path) -> None:
    """Two tours share no SPI; without `--write-keys` the keys of the tour before are gone."""
    first = in_memory(tmp_path, write_keys=True)
    second = in_memory(tmp_path)
    spis = [set(SPI.findall(tour.text)) for tour in (first, second)]
    assert len(spis[0]) == len(spis[1]) == 3
    assert not spis[0] & spis[1]
    assert not list((tmp_path / "keys").iterdir())


def test_no_pre_shared_key_anywhere(whole: Tour) -> None:
    """Neither key, the right one or the wrong one, is printed or written."""
    for key in (b"ike-scope-tour", b"some-other-key"):
        assert key in texts()["R1"].encode() or key == b"some-other-key"
        assert key not in whole.text.encode()
        for path in whole.directory.rglob("*"):
            assert path.is_dir() or key not in path.read_bytes(), path


def _regrouped(text: str) -> str:
    lines = (
        "crypto ikev2 proposal P\n encryption aes-cbc-128\n prf sha256\n integrity sha256\n group 20 19\n"
        "crypto ikev2 policy P\n proposal P\n"
    )
    return text.replace("crypto ikev2 keyring KR", f"{lines}crypto ikev2 keyring KR")


def _moved(text: str) -> str:
    return re.sub(r"10\.([12])\.1\.", r"10.\1.77.", text)


def _shortened(text: str) -> str:
    return text.replace(" keyring local KR", " keyring local KR\n lifetime 7200")


@pytest.mark.usefixtures("without_tun")
def test_sentences_follow_the_configuration(tmp_path: Path) -> None:
    """Another proposal, another access list, another lifetime: each is what the sentences say then."""
    pair = {name: _shortened(_moved(_regrouped(text))) for name, text in texts().items()}
    tour = in_memory(tmp_path, pair)
    notes = tour.notes
    assert tour.status == 0
    assert (
        "5 transforms: 1 encryption (AES-CBC-128), 1 PRF (SHA256), 1 integrity (SHA256), 2 key exchange (20, 19)"
        in notes
    )
    assert "Agreed: AES-CBC-128, PRF SHA256, integrity SHA256, group 20: 4 of the 5 transforms offered" in notes
    assert "SK_d (32 octets)" in notes
    assert "may live 7200 s (2 h)" in notes
    assert "from 7200 s (2 h) to 10 s" in notes
    assert "10.1.77.0/24 -> 10.2.77.0/24" in notes
    for old in ("group 19", "AES-CBC-256", "86400", "10.1.1."):
        assert old not in notes


CHANGES = {
    "psk": ["the pre-shared keys differ", "Change: the pre-shared key"],
    "proposal": ["no common IKE proposal", "R2 wants group 20", "Change: key exchange in the IKE proposal"],
    "selectors": [
        "the traffic selectors do not meet",
        "R2 has 10.1.9.0/24 -> 10.2.1.0/24",
        "Change: tunnel mode, access",
    ],
    "port-4500": ["no answer on UDP 4500", "Change: the filter between", "As R2 sees it: silence"],
}


@pytest.mark.usefixtures("without_tun")
@pytest.mark.parametrize("name", BREAKS)
def test_a_failure_is_shown_with_its_verdict(tmp_path: Path, name: str) -> None:
    """`--break` shows that failure instead: the verdict, both sides, the finding, the pair with its remedy."""
    tour = in_memory(tmp_path, break_=name)
    text, fault = flat(tour.text), BREAKS[name]
    assert tour.status == 0
    assert tour.parts == [8]
    for part in CHANGES.get(name, ()):
        assert part in text
    assert (
        tour.text.index("R1, the initiator:") < tour.text.index("R2, the responder:") < tour.text.index("finds in both")
    )
    if fault.act is None:
        assert tour.text.index("\nNot up:") < tour.text.index("R1, the initiator:")
        assert "1 packet transmitted, 0 received, 100% packet loss" in text
    assert re.search(rf"^(error|warning|note): {fault.id} ", tour.text, re.MULTILINE)
    mended = "The same pair with" in text
    assert mended == (f"note: {fault.id}" not in text and fault.mends)
    assert not mended or "1 packet transmitted, 1 received, 0% packet loss" in text.partition("The same pair with")[2]
    assert "NO " not in re.findall(r"^(yes|NO ) {2}", tour.text, re.MULTILINE)
    assert {path.name for path in tmp_path.iterdir()} >= FILES
    assert not any(b"ike-scope-tour" in path.read_bytes() for path in tmp_path.iterdir() if path.is_file())


@pytest.mark.usefixtures("without_tun")
def test_keep_in_memory_says_that_it_cannot(tmp_path: Path) -> None:
    """Routers in memory end with the command, and `--keep` says so."""
    tour = in_memory(tmp_path, keep=True, break_="psk")
    assert "--keep: routers in memory end with this command" in flat(tour.text)


def test_every_break_of_the_command_line_is_staged(capsys: pytest.CaptureFixture[str]) -> None:
    """`--break ?` lists each by name and finding; either is taken, anything else is refused with the list."""
    assert main(["demo", "--break", "?"]) == 0
    assert capsys.readouterr().out.splitlines() == listing()
    for name, fault in BREAKS.items():
        assert any(line.split()[:2] == [name, fault.id] for line in listing())
        assert named(name) == named(fault.id) == name
    assert main(["demo", "--break", "nothing"]) == 2
    assert "had nothing, wanted ? for the list, or psk, proposal" in capsys.readouterr().err


def test_what_cannot_be_staged_says_why() -> None:
    """Each finding of the table of rules has a failure here, or a reason why two ikescopes cannot show it."""
    assert {rule.id for rule in RULES} - {fault.id for fault in BREAKS.values()} <= UNSTAGED.keys() | {
        "data-plane-refused"
    }


def test_the_examples_are_the_tours_own_configurations() -> None:
    """`examples/` shows the very files that the tour runs."""
    for name, text in texts().items():
        assert (ROOT / "examples" / f"{name}.cfg").read_text() == text
