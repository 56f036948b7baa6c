"""`| json`: every show of the grammar gives its data as one object; the other modifiers choose lines."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.support.world import Side, pair

from ikescope.demo.memory import Desk
from ikescope.ios.commands import EXEC_ROWS
from ikescope.ios.exec import Session
from ikescope.ios.exec_shows import SHOWS
from ikescope.ios.show_json import DATA, SCHEMA

KEY = "a-key-nobody-may-see"
VARIANTS = {
    "show crypto ikev2 sa": ("remote 192.0.2.2", "detailed", "remote 192.0.2.99"),
    "show crypto ikev2 profile": ("PR", "NOBODY"),
    "show crypto ipsec sa": ("interface Tunnel0", "peer 192.0.2.2", "peer 192.0.2.99"),
    "show crypto session": ("detail",),
    "show interfaces": ("Tunnel0",),
}


@pytest.fixture(scope="module")
def session() -> Session:
    """R1 at its prompt, its tunnel up."""
    both = pair(Side(key=KEY, mode="acl", dpd="10 3 periodic")).up()
    found = Session(Desk(both.world, both.station("R1")))
    found.execute("debug crypto ikev2")
    return found


def shown(session: Session, command: str) -> dict[str, Any]:
    """The one object that a show gives as JSON."""
    reply = session.execute(f"{command} | json")
    assert not reply.refused, (command, reply.output)
    (line,) = reply.output
    found: dict[str, Any] = json.loads(line)
    return found


def test_every_show_of_the_grammar_has_its_data() -> None:
    """No show without JSON, no JSON without a show."""
    names = {row.name for row in EXEC_ROWS if row.name.startswith("show ")}
    assert names == set(DATA) == set(SHOWS)


@pytest.mark.parametrize("command", sorted(DATA))
def test_a_show_as_json_is_one_object_with_schema_and_type(session: Session, command: str) -> None:
    """One line, one object, its schema, its type the command's name, the router; no key in any of them."""
    for words in ("", *VARIANTS.get(command, ())):
        found = shown(session, f"{command} {words}")
        assert (found["schema"], found["type"], found["router"]) == (SCHEMA, command, "R1")
        assert KEY not in json.dumps(found)


def test_the_data_is_what_the_layouts_print(session: Session) -> None:
    """SPIs, states, counters, routes and configured names are in it, as values."""
    (ike,) = shown(session, "show crypto ikev2 sa")["ike_sas"]
    assert ike["spi_local"].upper() in "\n".join(session.execute("show crypto ikev2 sa detailed").output)
    assert (ike["state"], ike["remote"], ike["dpd"]) == (
        "READY",
        "192.0.2.2",
        {"interval": 10, "retry": 3, "on_demand": False},
    )
    (told,) = shown(session, "show crypto ipsec sa")["tunnels"]
    assert told["tunnel"]["name"] == "Tunnel0" and told["child_sas"][0]["sent"]["packets"] == 1
    (one,) = shown(session, "show crypto session")["sessions"]
    assert (one["status"], one["ike_sas"][0]["id"]) == ("UP-ACTIVE", ike["id"])
    routes = shown(session, "show ip route")["routes"]
    assert {"code": "S", "prefix": "10.2.0.0/24", "interface": "Tunnel0", "next_hop": None, "distance": 1} in routes
    configuration = shown(session, "show running-config")["configuration"]
    assert configuration["keyrings"]["K"]["peers"][0]["local_key"] == "<removed>"
    assert shown(session, "show debugging")["levels"] == ["default"]
    events = [one["event"]["event"] for one in shown(session, "show logging")["records"]]
    assert "ike.created" in events
    assert shown(session, "show crypto ikev2 stats")["outgoing"] == {"sas": 1, "active": 1, "negotiating": 0}


def test_what_a_show_is_asked_for_chooses_its_data(session: Session) -> None:
    """A peer, an interface or a name that is not there gives no items."""
    assert shown(session, "show crypto ikev2 sa remote 192.0.2.99")["ike_sas"] == []
    assert shown(session, "show crypto ipsec sa peer 192.0.2.99")["tunnels"] == []
    assert shown(session, "show crypto ikev2 profile NOBODY")["profiles"] == []
    assert session.execute("show crypto ikev2 sa remote 192.0.2.99").output == ()


def test_the_other_modifiers_choose_lines(session: Session) -> None:
    """include, exclude, begin and section act on what a show prints; an unknown one is refused at its place."""
    assert session.execute("show running-config | include hostname").output == ("hostname R1",)
    section = session.execute("show running-config | section crypto ikev2 policy PO").output
    assert section == ("crypto ikev2 policy PO", " proposal P")
    assert "hostname R1" not in session.execute("show running-config | exclude hostname").output
    assert session.execute("show running-config | begin ^interface Tunnel0").output[0] == "interface Tunnel0"
    for line in ("show version | jsonx", "show version | json x", "show version |"):
        assert session.execute(line).refused
