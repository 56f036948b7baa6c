"""A session in memory becomes a capture that Wireshark opens with our key tables."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.support.tshark import assert_clean, decode, unopened, write_tables
from tests.support.world import Side, ike_keys, pair

from ikescope.capture import from_records
from ikescope.daemon.keyfile import ike_line
from ikescope.engine.commands import Rekey
from ikescope.events.message import MessageSent

pytestmark = pytest.mark.peers


@pytest.mark.parametrize("suite", ["cbc", "gcm"])
@pytest.mark.parametrize("encapsulated", [False, True])
def test_wireshark_opens_the_capture_of_a_recording(tmp_path: Path, suite: str, encapsulated: bool) -> None:
    """Every message of the recording is in the capture, not malformed, and opens with a correct integrity value."""
    both = pair(Side(ike=suite, force_encap=encapsulated)).up()
    both.ask("R1", Rekey(sa=both.world.status("R1").ike[0].id))
    both.world.run(2)
    records = both.station("R1").records
    path = tmp_path / "session.pcapng"
    path.write_bytes(from_records(records, ethernet=encapsulated))
    lines = [line for keys in ike_keys(both.station("R1")) if (line := ike_line(keys)) is not None]
    packets = decode(path, tables=write_tables(tmp_path / "tables", ike=lines))
    assert len(packets) == 2 * sum(isinstance(one.event, MessageSent) for one in records)
    assert_clean(packets)
    assert not unopened(packets)
