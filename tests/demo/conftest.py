"""Tours that several tests look at, played once."""

import pytest
from tests.demo.tours import Tour, in_memory

from ikescope.demo import namespaces

NO_TUN = namespaces.Obstacle("No TUN device for this user", "/dev/net/tun is not open to this user")


@pytest.fixture
def without_tun(monkeypatch: pytest.MonkeyPatch) -> None:
    """No TUN device for whoever runs the tests."""
    monkeypatch.setattr(namespaces, "obstacle", lambda: NO_TUN)


@pytest.fixture(scope="session")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Tour:
    """The whole tour in memory, with keys."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(namespaces, "obstacle", lambda: NO_TUN)
        return in_memory(tmp_path_factory.mktemp("whole"), write_keys=True)
