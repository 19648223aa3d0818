import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from fakes import Destinations  # noqa: E402
from service import Redis, Service  # noqa: E402


@pytest.fixture
def destinations():
    d = Destinations()
    yield d
    d.close()


@pytest.fixture
def redis(tmp_path):
    folder = tmp_path / "redis"
    folder.mkdir()
    r = Redis(folder)
    yield r
    r.close()


@pytest.fixture(params=["sqlite", "redis"])
def store(request, tmp_path):
    """The URL of an empty store of each kind."""
    if request.param == "sqlite":
        return f"sqlite:{tmp_path}/fireorder.db"
    return request.getfixturevalue("redis").url


@pytest.fixture
def start(tmp_path, destinations):
    """start(store=..., **Service arguments): a running service that is stopped, and looked over, at the end."""
    running = []

    def go(store=None, **arguments):
        s = Service(tmp_path / f"service{len(running)}", destinations.url, store or f"sqlite:{tmp_path}/fireorder.db", **arguments)
        running.append(s)
        return s

    yield go
    for s in running:
        s.close()


@pytest.fixture
def service(start):
    return start()
