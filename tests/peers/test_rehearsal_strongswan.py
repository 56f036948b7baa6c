"""A rehearsal is right: the same two swanctl.conf, loaded by two real charons, come to the same end."""

from collections.abc import Callable
from pathlib import Path

import pytest
from tests.support.netns import NET_A, NET_B, WAN_A, WAN_B, Topology
from tests.support.process import wait_until
from tests.support.strongswan import Strongswan
from tests.support.vici import ViciError

from ikescope.explain.findings import findings
from ikescope.sim.rehearsal import Rehearsal
from ikescope.timeline import Timeline
from ikescope.tui.rehearse_files import load
from ikescope.wire.registry import EncryptionId, IntegrityId, KeyExchangeId

FILE = """connections {{
  site {{
    version = 2
    local_addrs = {here}
    remote_addrs = {there}
    proposals = {ike}
    rekey_time = 4h
    local {{
      auth = psk
      id = {me}
    }}
    remote {{
      auth = psk
      id = {other}
    }}
    children {{
      net {{
        local_ts = {local}
        remote_ts = {remote}
        esp_proposals = {esp}
        mode = tunnel
      }}
    }}
  }}
}}
secrets {{
  ike-site {{
    id-a = a.example.org
    id-b = b.example.org
    secret = "{secret}"
  }}
}}
"""
A = {
    "here": WAN_A,
    "there": WAN_B,
    "me": "a.example.org",
    "other": "b.example.org",
    "local": NET_A,
    "remote": NET_B,
    "ike": "aes256-sha512-ecp256, default",
    "esp": "aes256gcm16, default",
    "secret": "a key for both",
}
B = A | {"here": WAN_B, "there": WAN_A, "me": A["other"], "other": A["me"], "local": NET_B, "remote": NET_A}

OUTCOMES: dict[str, tuple[dict[str, str], bool, bool, str, str]] = {
    "up": ({"esp": "aes256gcm16"}, True, True, "", "CHILD_SA net.* established"),
    "up with defaults": ({"ike": "default", "esp": "default"}, True, True, "", "CHILD_SA net.* established"),
    "proposal": (
        {"ike": "aes128-sha1-modp1536"},
        False,
        False,
        "ike-proposal-mismatch",
        "received NO_PROPOSAL_CHOSEN",
    ),
    "selectors": ({"local": "10.77.0.0/24"}, True, False, "ts-mismatch", "received TS_UNACCEPTABLE"),
    "key": ({"secret": "a key for both "}, False, False, "psk-mismatch", "received AUTHENTICATION_FAILED"),
}
"""What b has otherwise -> whether the IKE SA and its Child SA stand, the finding, and charon's own words at a."""


@pytest.mark.parametrize(("other", "ike", "child", "finding", "said"), OUTCOMES.values(), ids=OUTCOMES)
def test_charon_agrees_with_the_rehearsal(
    net: Topology,
    charon: Callable[..., Strongswan],
    tmp_path: Path,
    other: dict[str, str],
    ike: bool,
    child: bool,
    finding: str,
    said: str,
) -> None:
    """Up or not, the IKE SA and the Child SA alone, and the suite that they agree on: as rehearsed, so live."""
    files = (tmp_path / "a.conf", tmp_path / "b.conf")
    for path, facts in zip(files, (A | (other if child else {}), B | other), strict=True):
        path.write_text(FILE.format(**facts))
    timeline = Timeline()
    rehearsal = Rehearsal(load([str(path) for path in files]).configs, on_record=timeline.add)
    rehearsal.run(0)
    assert rehearsal.up is child
    errors = {one.id for one in findings(timeline) if one.severity == "error"}
    assert (finding in errors) if finding else not errors

    a, b = charon(net.gw_a), charon(net.gw_b)
    a.load_file(files[0])
    b.load_file(files[1])
    if child:
        a.initiate()
    else:
        with pytest.raises(ViciError):
            a.initiate()
    a.wait_for_log(said)
    assert bool(a.children()) is child
    wait_until("b knows it too", lambda: bool(b.children()) is child)
    assert bool(a.established()) is ike
    if child and type(a) is Strongswan:
        assert agreed_live(a) == agreed_rehearsed(rehearsal)


def agreed_live(charon: Strongswan) -> tuple[str, ...]:
    """The suites that charon tells: IKE encryption, key size, PRF and group; ESP encryption, key size, integrity."""
    (sa,), (esp,) = charon.established(), charon.children()
    group = sa["dh-group"].replace("CURVE_", "CURVE")
    ike = sa["encr-alg"], sa["encr-keysize"], sa["prf-alg"], group
    return *ike, esp["encr-alg"], esp["encr-keysize"], esp.get("integ-alg", "")


def agreed_rehearsed(rehearsal: Rehearsal) -> tuple[str, ...]:
    """The same as the rehearsal tells it."""
    agreed = rehearsal.agreed(rehearsal.paths[0])
    assert agreed is not None
    cipher, prf, _, group = agreed.ike.split(" / ")
    name, _, size = cipher.rpartition("-")
    child = agreed.child
    integrity = "" if child.integrity is None else IntegrityId.of(child.integrity).label.removeprefix("AUTH_")
    return (
        name.replace("-", "_"),
        size,
        f"PRF_HMAC_SHA2_{prf.removeprefix('SHA')}",
        KeyExchangeId.of(int(group.removeprefix("group "))).label,
        EncryptionId.of(child.encryption).label.removeprefix("ENCR_"),
        str(child.key_length),
        integrity,
    )
