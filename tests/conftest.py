"""Tests that this machine cannot run are left out and named at the end; under IKESCOPE_STRICT=1 nothing is left out."""

import gc
from collections.abc import Generator

import pytest
from tests.support import machine


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the tests whose marker names something that this machine lacks."""
    if machine.strict():
        return
    lacking = machine.missing().keys()
    left_out = [item for item in items if any(mark.name in lacking for mark in item.iter_markers())]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in set(left_out)]


def pytest_collection_finish() -> None:
    """What was collected stays to the end: the collector of garbage need not look at it again and again."""
    gc.collect()
    gc.freeze()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Under IKESCOPE_STRICT=1 a skipped test has failed: what continuous integration reports ran."""
    outcome = yield
    if machine.strict() and outcome.skipped:
        outcome.outcome = "failed"
        outcome.longrepr = f"{item.nodeid} was skipped: {call.excinfo.value if call.excinfo else 'no reason given'}"
    return outcome


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say last, above pytest's closing line, what did not run here and why."""
    for line in machine.report():
        terminalreporter.write_line(line)
