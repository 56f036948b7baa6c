"""The page as values and as one file: what it holds, what it never lets through."""

from __future__ import annotations

import hashlib
import json
import re
from base64 import b64encode
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.support_records import Made

from ikescope.events import IdentityFact, Record
from ikescope.events.life import SessionUp
from ikescope.events.negotiation import PeerIdentified
from ikescope.views import html, html_links, tree
from ikescope.views.html_model import Model
from ikescope.views.ladder import Ladder
from ikescope.views.read import render

HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(2)>"


def embedded(text: str) -> dict[str, Any]:
    """The data of a page."""
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)
    assert found is not None
    told: dict[str, Any] = json.loads(found[1])
    return told


def whole(records: list[Record]) -> str:
    """The page of a session, as `read --as html` writes it."""
    return "\n".join(render(records, "html")) + "\n"


def test_every_message_of_the_recording_is_a_row_with_its_inside() -> None:
    """Rows are those of the ladder, in its order; each message has a detail with octets and tree."""
    records = Made().whole().records
    told = embedded(whole(records))
    ladder = Ladder().extend(records)
    assert [row["text"] for row in told["rows"]] == [row.text for row in ladder.rows]
    messages = [str(row["n"]) for row in told["rows"] if row["kind"] == "message"]
    assert list(told["details"]["messages"]) == messages
    assert all(one["tree"] and one["octets"] for one in told["details"]["messages"].values())


def test_the_first_message_tells_of_its_proposal() -> None:
    """What the walk says stands with the message that it speaks of: before it is sent, and after it came."""
    model = Model().extend(Made().whole().records)
    first, second = (row["n"] for row in model.rows if row["kind"] == "message" and row["name"] == "IKE_SA_INIT")
    request, response = model.detail(first), model.detail(second)
    assert request is not None and response is not None
    assert {"The proposal", "The payloads"} <= {note[0] for note in request["notes"]}
    assert {"The answer", "What was agreed"} <= {note[0] for note in response["notes"]}
    values = request["strings"]
    assert "IKE (1), 9 transforms" in values
    assert model.detail(0) is None, "no message stands there"


def spoken_of(model: Model, number: int, title: str) -> list[list[str]]:
    """The fields that each sentence of a note leads to."""
    row = next(row for row in model.ladder.rows if row.index == number)
    assert row.message is not None
    nodes = list(html_links.flat(tree.nodes(row.message)))
    detail = model.detail(number)
    assert detail is not None
    note = next(note for note in detail["notes"] if note[0] == title)
    return [[nodes[place].name for place in places] for _, places in note[1:]]


def test_a_sentence_leads_to_the_octets_that_it_speaks_of() -> None:
    """Proposal, header fields, payloads and notifies that a sentence names are linked; an IKE SA is no SA payload."""
    model = Model().extend(Made().whole().records)
    first = next(row["n"] for row in model.rows if row["kind"] == "message")
    assert spoken_of(model, first, "The proposal")[0] == ["SA"]
    header = spoken_of(model, first, "The header: SPIs and message ID")
    assert header[0] == ["IKE SA Initiator's SPI", "IKE SA Responder's SPI"] and header[-1] == ["Message ID"]
    assert ["NOTIFY(NAT_DETECTION_SOURCE_IP)", "NOTIFY(NAT_DETECTION_DESTINATION_IP)"] in spoken_of(
        model, first, "The payloads"
    )
    nodes = list(html_links.flat(tree.nodes(next(row.message for row in model.ladder.rows if row.message))))
    assert html_links.links("The running SA is to be replaced, and the IKE SA stays.", nodes) == []
    assert html_links.links("It has no notify, no KEY and nothing else.", nodes) == []


def test_a_tree_keeps_every_octet_of_its_message() -> None:
    """Ranges of the first level follow each other from the first octet to the last."""
    told = embedded(whole(Made().whole().records))
    for one in told["details"]["messages"].values():
        at = 0
        for _, _, offset, length, *_ in one["tree"]:
            assert offset == at
            at += length
        assert at == len(one["octets"]) // 2


def test_both_generations_of_a_rekey_know_each_other() -> None:
    """A family lists its IKE SAs, each with what it came from and what superseded it, and Child SAs likewise."""
    model = Model().extend(Made().whole().records)
    family = next(one for one in model.families if one["router"] == "R1")
    old, new = family["generations"][0], family["generations"][1]
    assert (old["superseded_by"], new["rekeyed_from"]) == (new["spi_i"], old["spi_i"])
    replaced = [child for child in family["children"] if child["replaced_by"]]
    assert replaced and {child["inbound"] for child in family["children"]} >= {one["replaced_by"] for one in replaced}


def test_a_wrong_key_gives_the_finding() -> None:
    """The row of a refusal is an error and says what was wrong and what to change."""
    rows = Model().extend(Made().wrong_key().records).rows
    found = [row for row in rows if row.get("what", "").startswith("the pre-shared keys differ")]
    assert found and all(row["severity"] == "error" and "keyring" in row["change"] for row in found)


def test_the_page_runs_its_own_script_and_no_other() -> None:
    """The policy names script and style by their hashes and allows nothing else, not even a connection."""
    text = whole(Made().up().records)
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]*)"', text)
    assert policy is not None
    for tag, rule in (("script", "script-src"), ("style", "style-src")):
        body = re.search(rf"<{tag}>(.*?)</{tag}>", text, re.DOTALL)
        assert body is not None
        digest = b64encode(hashlib.sha256(body[1].encode()).digest()).decode()
        assert f"{rule} 'sha256-{digest}'" in policy[1]
    assert "default-src 'none'" in policy[1] and "unsafe" not in policy[1] and "connect-src" not in policy[1]


def hostile(record: Record) -> Record:
    """The record with an identity that would be markup."""
    identity = IdentityFact(type=2, value=HOSTILE)
    if isinstance(record.event, PeerIdentified):
        return Record(record.stamp, msgspec.structs.replace(record.event, identity=identity))
    if isinstance(record.event, SessionUp):
        return Record(record.stamp, msgspec.structs.replace(record.event, remote=identity))
    return record


def test_a_hostile_identity_is_text_in_the_page_and_in_its_data() -> None:
    """An identity of the peer can neither end the data nor become an element."""
    text = whole([hostile(record) for record in Made().whole().records])
    assert "<script>alert" not in text and "<img" not in text and "</script><script>" not in text
    ids = [one["remote_id"] for family in embedded(text)["families"] for one in family["generations"]]
    assert any(one and HOSTILE in one for one in ids)


def test_the_script_puts_no_markup_together() -> None:
    """Nothing in the script makes elements of text, evaluates text or reaches another place."""
    for word in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "Function(", "http"):
        assert word not in html.script(), word


@pytest.mark.parametrize("session", ["whole", "wrong_key", "no_proposal", "unmatched_selectors", "silence"])
def test_record_by_record_is_all_at_once(session: str) -> None:
    """A model that grows and one made at the end say the same, whenever they were looked at."""
    records = getattr(Made(), session)().records
    growing = Model()
    for record in records:
        growing.add(record)
        assert growing.rows is not None
    assert growing.snapshot() == Model().extend(records).snapshot()
    assert growing.details() == Model().extend(records).details()


def test_no_records_make_a_bare_page() -> None:
    """A page of nothing says so."""
    told = embedded(whole([]))
    assert told["rows"] == [] and told["families"] == [] and "Nothing to judge" in told["verdict"][0]


def test_the_shell_fetches_only_from_its_own_server() -> None:
    """The page of a running router names its style, its script and nothing of another host."""
    text = html.shell("R1 <&>")
    assert re.findall(r'(?:src|href)="([^"#]*)"', text) == ["page.css", "page.js"]
    assert "R1 &lt;&amp;&gt;" in text and "<style" not in text


def test_the_first_failure_of_an_ike_sa_has_the_finding() -> None:
    """What only follows from a refusal is red too, without saying the same once more."""
    rows = [row for row in Model().extend(Made().wrong_key().records).rows if row["kind"] == "failure"]
    found = {row["at"]: sum("what" in one for one in rows if one["at"] == row["at"]) for row in rows}
    assert found == {"R1": 1, "R2": 1} and len(rows) > 2


@pytest.mark.parametrize("name", ["page-light.png", "page-dark.png"])
def test_the_pictures_are_small_and_linked(name: str) -> None:
    """Each picture of the page is a PNG below 300 KB that the README leads to."""
    root = Path(__file__).resolve().parents[2]
    picture = (root / "docs" / name).read_bytes()
    assert picture[:8] == b"\x89PNG\r\n\x1a\n" and len(picture) < 300_000
    assert f"(docs/{name})" in (root / "README.md").read_text()
