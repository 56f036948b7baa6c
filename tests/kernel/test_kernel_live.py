"""What changes under a running router whose ESP the kernel carries."""

from pathlib import Path

import pytest
from tests.daemon.test_live import live

pytestmark = [pytest.mark.kernel, pytest.mark.netns, pytest.mark.tun]
KERNEL = ("--data-plane", "kernel")


def test_tunnels_come_change_and_go_over_the_kernel(tmp_path: Path) -> None:
    """As over user space: a tunnel comes up with its last line, and what happens beside it costs it no packet."""
    live(tmp_path, "gre ip", far=KERNEL, near=KERNEL)


@pytest.mark.xfrm_interface
def test_an_xfrm_device_comes_and_goes(tmp_path: Path) -> None:
    """The second tunnel is one of IPsec, whose device is another kind."""
    live(tmp_path, "ipsec ipv4", far=KERNEL, near=KERNEL)
