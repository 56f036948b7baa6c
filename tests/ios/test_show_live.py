"""The shows of two routers in a world of memory, read by the parsers that network people use."""

import json
from typing import Any

import pytest
from ntc_templates.parse import parse_output
from tests.support.world import BOTH, Pair, Side, pair

from ikescope import __version__
from ikescope.demo.memory import Desk
from ikescope.ios.exec import Session
from ikescope.node.statistics import CHILD_REKEY, DPD, IKE_REKEY


@pytest.fixture(scope="module")
def world() -> Pair:
    """A tunnel that was rekeyed, with an echo across."""
    one = pair(Side(mode="gre"))
    one.up()
    session = console(one)
    for line in ("test crypto ikev2 rekey child", "test crypto ikev2 rekey ike", "test crypto ikev2 liveness"):
        assert not session.execute(line).refused
        one.world.run(2)
    echo(one)
    return one


def echo(one: Pair) -> None:
    """One echo crosses the tunnel."""
    ping = one.ping("R1")
    one.world.run(1)
    assert ping.received is not None


def console(one: Pair, name: str = "R1") -> Session:
    """A console of one of the routers."""
    return Session(Desk(one.world, one.world.stations[name]))


def shown(one: Pair, line: str, name: str = "R1") -> list[str]:
    """What a show prints."""
    reply = console(one, name).execute(line)
    assert not reply.refused, reply
    return list(reply.output)


def data(one: Pair, line: str) -> dict[str, Any]:
    """What stands behind a show."""
    found: dict[str, Any] = json.loads("\n".join(shown(one, f"{line} | json")))
    return found


def test_exchanges_are_counted_by_kind_way_and_end(world: Pair) -> None:
    """What R1 sent as a request R2 received as one: IKE_SA_INIT, IKE_AUTH, each rekey, the liveness check."""
    columns = {}
    for name in BOTH:
        rows = (line.split() for line in shown(world, "show crypto ikev2 stats exchange", name))
        columns[name] = {
            row[0]: [int(number) for number in row[1:]] for row in rows if len(row) == 5 and row[1] != "TX(REQ)"
        }
    ours, theirs = columns["R1"], columns["R2"]
    for what, times in (("IKE_SA_INIT", 1), ("IKE_AUTH", 1), (CHILD_REKEY, 1), (IKE_REKEY, 1), (DPD, 1)):
        assert ours[what] == [times, 0, 0, times], what
    assert {name: [*row[2:], *row[:2]] for name, row in theirs.items()} == ours
    assert ours["REKEY_SA"] == [1, 0, 0, 0] and ours["NAT_DETECTION_SOURCE_IP"] == [1, 0, 0, 1]


def test_stats_count_anew_when_told(world: Pair) -> None:
    """`clear crypto ikev2 stats` clears counts, not SAs; the other router's stay."""
    assert any("Incoming IKEv2 Requests: 1" in line for line in shown(world, "show crypto ikev2 stats", "R2"))
    console(world, "R2").execute("clear crypto ikev2 stats")
    assert any("Incoming IKEv2 Requests: 0" in line for line in shown(world, "show crypto ikev2 stats", "R2"))
    assert any("Outgoing IKEv2 Requests: 1" in line for line in shown(world, "show crypto ikev2 stats"))
    assert data(world, "show crypto ikev2 stats")["outgoing"]["active"] == 1


def test_counters_of_esp_count_anew_when_told(world: Pair) -> None:
    """`clear crypto sa counters`: packets from then on; what its lifetime goes by stays."""
    session = console(world)
    assert not session.execute("clear crypto sa counters").refused
    assert any("#pkts encaps: 0, #pkts encrypt: 0" in line for line in shown(world, "show crypto ipsec sa"))
    echo(world)
    assert any("#pkts encaps: 1, #pkts encrypt: 1" in line for line in shown(world, "show crypto ipsec sa"))
    assert data(world, "show crypto ipsec sa")["tunnels"][0]["child_sas"][0]["sent"]["packets"] == 2


def test_ntc_templates_read_the_session(world: Pair) -> None:
    """`show crypto session detail` of a live tunnel, parsed: peer, status, profile and SAs are the engine's."""
    [row] = parse_output(
        "cisco_ios", "show crypto session detail", "\n".join(shown(world, "show crypto session detail"))
    )
    session = data(world, "show crypto session detail")["sessions"][0]
    ike = session["ike_sas"][0]
    wanted = {"interface": session["interface"], "peer": session["peer"], "session_status": session["status"]}
    wanted |= {"profile": ike["profile"], "phase1_id": ike["remote_id"]["value"], "conn_id": str(ike["id"])}
    wanted |= {"local_ip": ike["local"], "remote_port": str(ike["remote_port"]), "permit": "47", "active_sa": "2"}
    assert row == {**row, **wanted}


def test_ntc_templates_read_the_ipsec_sas(world: Pair) -> None:
    """`show crypto ipsec sa detail` of a live tunnel, parsed: SPIs, selectors and endpoints are the engine's."""
    rows = parse_output(
        "cisco_ios", "show crypto ipsec sa detail", "\n".join(shown(world, "show crypto ipsec sa detail"))
    )
    child = data(world, "show crypto ipsec sa detail")["tunnels"][0]["child_sas"][0]
    for row, way, counted in zip(rows, ("inbound", "outbound"), ("received", "sent"), strict=True):
        wanted = {"sa_orientation": way, "sa_spi_dec": str(child[way]), "current_peer": child["remote_address"]}
        wanted |= {"local_crypto_endpt": child["local_address"], "local_ident_addr": child["local"][0]["start"]}
        wanted |= {"sa_transform": "esp-256-aes esp-sha512-hmac", "sa_replay_window_size": str(child["replay_window"])}
        packets = "pkts_encaps" if counted == "sent" else "pkts_decaps"
        wanted[packets] = str(child[counted]["packets"] - child[f"cleared_{'out' if counted == 'sent' else 'in'}"][0])
        assert row == {**row, **wanted}


def test_a_session_is_its_ike_sa_and_its_child_sas(world: Pair) -> None:
    """`show crypto ikev2 session [detailed]`: SPIs in and out, selectors of both sides, in IOS's words."""
    child = data(world, "show crypto ikev2 session")["sessions"][0]["child_sas"][0]
    spis = f"          ESP spi in/out: 0x{child['inbound']:X}/0x{child['outbound']:X}  "
    lines = shown(world, "show crypto ikev2 session")
    assert "Session-id:1, Status:UP-ACTIVE, IKE count:1, CHILD count:1" in lines
    assert (
        lines[-4:-1]
        == [
            "Child sa: local selector  192.0.2.1/0 - 192.0.2.1/65535",
            "          remote selector 192.0.2.2/0 - 192.0.2.2/65535",
            spis,
        ]
        or spis in lines
    )
    assert spis in shown(world, "show crypto ikev2 session detailed")


@pytest.mark.parametrize(
    ("line", "there"),
    [
        ("show crypto ikev2 sa local 192.0.2.1", True),
        ("show crypto ikev2 sa local 192.0.2.9 detailed", False),
        ("show crypto session remote 192.0.2.2 detail", True),
        ("show crypto session remote 192.0.2.9", False),
        ("show crypto session interface Tunnel0 detail", True),
        ("show crypto map interface Tunnel0", True),
        ("show crypto sockets", True),
        ("show crypto engine connections active", True),
    ],
)
def test_shows_are_narrowed(world: Pair, line: str, there: bool) -> None:
    """By address of either end or by interface: what is shown belongs to it."""
    assert any("192.0.2.1" in one for one in shown(world, line)) is there


def test_tech_support_is_for_strangers(world: Pair) -> None:
    """All shows one after the other, each under its name; no key in any form."""
    text = "\n".join(shown(world, "show tech-support ipsec"))
    assert text.count("\n------------------ show ") > 25
    assert "pre-shared-key <removed>" in text and "a-key-of-these-tests" not in text
    assert "pre-shared-key 6" not in text


def test_parsers_of_show_version_find_what_they_look_for_where_that_is_asked_for() -> None:
    """`ikescope compatibility cisco-parsers`: version, image and uptime parse; without it no line claims anything."""
    one = pair()
    plain = shown(one, "show version")
    session = console(one)
    for line in ("configure terminal", "ikescope compatibility cisco-parsers", "end"):
        assert not session.execute(line).refused
    [row] = parse_output("cisco_ios", "show version", "\n".join(shown(one, "show version")))
    wanted = {"version": __version__, "software_image": "IKESCOPE-PYTHON", "hostname": "R1", "hardware": ["IKESCOPE"]}
    assert row == {**row, **wanted}
    assert not any("Cisco IOS Software" in line for line in plain)
