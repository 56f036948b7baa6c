"""Fixtures of the tests that need a kernel with ESP: two sites in namespaces, routers and foreign peers in gateways.

`make test-kernel ARGS="-k gre"` boots such a kernel and runs them in it; where this machine's own kernel carries ESP,
`pytest tests/kernel` does without.
"""

import os
import signal
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack
from pathlib import Path
from types import FrameType

import pytest
from tests.support.guest import KernelLibreswan, KernelStrongswan, remains
from tests.support.ikescope import ENDS, Ikescope, Site
from tests.support.libreswan import Connection as LibreswanConnection
from tests.support.netns import Namespace, Topology, topology

HERE = Path(__file__).parent
SECONDS = 300
"""What one test may take before it has failed: nothing here waits for anything for so long."""


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> Generator[None, None, None]:
    """Every test in this directory needs a kernel that carries ESP. Of several guests each runs its share."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.kernel)
    yield
    share, guests = (int(number) for number in os.environ.get("IKESCOPE_SHARE", "1/1").split("/"))
    others = [item for index, item in enumerate(items) if index % guests != share - 1]
    if others:
        config.hook.pytest_deselected(items=others)
        items[:] = items[share - 1 :: guests]


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """A guest for which no test is left has not failed."""
    if exitstatus == pytest.ExitCode.NO_TESTS_COLLECTED and "IKESCOPE_SHARE" in os.environ:
        session.exitstatus = pytest.ExitCode.OK


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, None, None]:
    """A test that hangs has failed, and the others still run."""

    def up(_number: int, _frame: FrameType | None) -> None:
        raise AssertionError(f"had not ended after {SECONDS} s")

    before = signal.signal(signal.SIGALRM, up)
    signal.alarm(SECONDS)
    try:
        return (yield)
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


@pytest.fixture
def net() -> Iterator[Topology]:
    """host_a -- gw_a == gw_b -- host_b, made for one test and deleted with all that still runs inside."""
    with topology() as made:
        yield made


@pytest.fixture
def router(net: Topology, tmp_path: Path) -> Iterator[Callable[..., Ikescope]]:
    """Starts ikescope in the gateway of a site (`router(Site(which="a"), plane="kernel")`).

    `address` is that of the gateway where it is not the site's own. It is stopped after the test, and then nothing of
    it is left in its gateway.
    """
    started: dict[str, Namespace] = {}
    with ExitStack() as stack:

        def start(site: Site, *, plane: str = "kernel", address: str = "") -> Ikescope:
            namespace = {"a": net.gw_a, "b": net.gw_b}[site.which]
            own = f" ip address {ENDS[site.which][0]} "
            text = site.text.replace(own, f" ip address {address} ") if address else site.text
            started[site.which] = namespace
            return stack.enter_context(Ikescope(namespace, text, tmp_path, site.which, plane=plane))

        yield start
    left = {which: remains(namespace) for which, namespace in started.items()}
    assert not any(left.values()), f"left behind: {left}"


@pytest.fixture
def charon(net: Topology) -> Iterator[Callable[..., KernelStrongswan]]:
    """Starts a charon over the kernel's ESP in a namespace (`charon(net.gw_b)`); stopped after the test."""
    with ExitStack() as stack:

        def start(namespace: Namespace, *, settings: str = "") -> KernelStrongswan:
            return stack.enter_context(KernelStrongswan(namespace, settings=settings))

        yield start


@pytest.fixture
def pluto(net: Topology) -> Iterator[Callable[..., KernelLibreswan]]:
    """Starts a pluto over the kernel's ESP in the gateway of site b with its connections; stopped after the test."""
    with ExitStack() as stack:

        def start(*connections: LibreswanConnection) -> KernelLibreswan:
            return stack.enter_context(KernelLibreswan(net.gw_b, *connections))

        yield start
