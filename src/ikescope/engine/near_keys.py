"""After an AUTH that did not verify: would a key near to ours have? Told to our operator, never to the peer."""

from __future__ import annotations

from collections import deque

from ikescope.config.model import Address
from ikescope.engine.context import Core
from ikescope.engine.sa import IkeSa
from ikescope.events import UNSET
from ikescope.events.negotiation import AuthNearMiss
from ikescope.policy.near_keys import near_keys_of, near_miss
from ikescope.policy.peers import Key

AFTER = 0.25
"""Seconds after the AUTH was refused: our answer is gone by then, and its timing the same."""
PERIOD, MOST_TESTS = 60.0, 8
"""In so many seconds so many AUTH values are tried, and one of each address."""


def try_near_keys(core: Core, sa: IkeSa, key: Key, octets: bytes, auth: bytes) -> None:
    """Have the near keys tried in a while, unless that was done lately; `octets` are those that `auth` signs.

    Whoever sends it has authenticated nothing, so the work is bounded: see `PERIOD`.
    """
    assert sa.profile is not None and sa.suite is not None
    profile, prf, config = sa.profile, sa.suite.prf, core.config
    if not may_test(core.near_tests, sa.path.remote, core.now):
        return

    def test() -> None:
        found = near_miss(prf, octets, auth, near_keys_of(config, profile, key))
        if found is not None:
            by = UNSET if found.by is None else found.by
            core.emit(AuthNearMiss(kind=found.kind, by=by, keyring_block=found.block or key.block or UNSET), sa)

    core.timers.arm(core.now + AFTER, test)


def may_test(tests: deque[tuple[float, Address]], remote: Address, now: float) -> bool:
    """Whether an AUTH value of an address may be tried now; `tests` are those of the last minute, and it joins them."""
    while tests and tests[0][0] <= now - PERIOD:
        tests.popleft()
    if len(tests) >= MOST_TESTS or any(address == remote for _, address in tests):
        return False
    tests.append((now, remote))
    return True
