import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from canary import Canaries, Tap  # noqa: E402
from fakes import Destinations  # noqa: E402
from service import Redis, Service  # noqa: E402
from storefront import SHOPIFY, Storefront, browse  # noqa: E402


@pytest.fixture(autouse=True)
def canaries(tmp_path):
    """Every test is also a search for what it sent (canary.py). The first to begin, so the last to end: all services have stopped."""
    c = Canaries()
    with Tap(c):
        yield c
    found = c.found(tmp_path)
    assert not found, "seen outside of the store:\n" + "\n".join(f"{c.sent[text]}: {text!r} as {form} in {file}" for text, form, file in found[:40])


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
def start(tmp_path, destinations, canaries):
    """start(store=..., **Service arguments): a running service that is stopped, and looked over, at the end."""
    running = []

    def go(store=None, **arguments):
        s = Service(tmp_path / f"service{len(running)}", destinations.url, store or f"sqlite:{tmp_path}/fireorder.db", **arguments)
        running.append(s)
        canaries.add_service(s)
        return s

    yield go
    for s in running:
        s.survey()
    for s in running:
        s.close()


@pytest.fixture
def service(start):
    return start()


@pytest.fixture
def visit(start, tmp_path):
    """visit(scenario, ...): a storefront and a service after one page was seen in a browser to the end of its scenario."""
    storefronts = []

    def go(scenario, before=SHOPIFY, query="", signature=None, context="", shop_extra="", **arguments):
        shop = Storefront()
        storefronts.append(shop)
        service = start(extra="trusted_proxies: [10.0.0.1/32]",
                        shop_extra=f'    context: {{ origins: ["{shop.origin}", "null"]{context} }}\n{shop_extra}', **arguments)
        shop.show(f"http://127.0.0.1:{service.port}", before, scenario, signature)
        browse(f"{shop.origin}/{query}", tmp_path / f"browser{len(storefronts)}", lambda: "end" in shop.reports)
        assert not shop.reports["end"]["failures"]
        return shop, service

    yield go
    for shop in storefronts:
        shop.close()
