"""in_flight: how many requests may be open at the destinations."""
import resource
import signal
import subprocess
import threading

import pytest

from service import FIREORDER, Service, order, wait_for


class Held:
    """Every request of which `which` says so stays open until it is let go; how many were open at a time."""

    def __init__(self, destinations, which=lambda seen: True):
        self.lock, self.go, self.which = threading.Lock(), threading.Semaphore(0), which
        self.came = self.open = self.most = 0
        destinations.observe = self.hold

    def hold(self, seen):
        if not self.which(seen):
            return
        with self.lock:
            self.came += 1
            self.open += 1
            self.most = max(self.most, self.open)
        self.go.acquire(timeout=60)
        with self.lock:
            self.open -= 1

    def let_all_go(self):
        self.which = lambda seen: False
        self.go.release(1000)


def post_orders(service, first, count, shop="acme"):
    for n in range(first, first + count):
        assert service.shopify("orders/create", order(n, email=f"p{n}@klaviyo-demo.com", customer={"id": n}), shop=shop) == (200, "accepted")
    return [f"ord_{n}_purchase" for n in range(first, first + count)]


@pytest.mark.parametrize("most", [1, 4])
def test_no_more_requests_are_open(store, start, destinations, most):
    held = Held(destinations, lambda seen: seen.destination in ("meta", "klaviyo"))
    service = start(store, extra=f"in_flight: {most}")
    events = post_orders(service, 100, 10)
    for let_go in range(2 * len(events)):  # each that is let go makes room for one more, as long as there is one
        expected = min(most + let_go, 2 * len(events) - most + 1)
        wait_for(lambda: held.came >= expected, what=f"request {expected}")
        held.go.release()
    destinations.wait_delivered(events)
    assert held.most == most


def test_a_shop_that_hangs_leaves_some_to_the_others(store, start, destinations):
    other = f"""  other:
    domain: other.myshopify.com
    shopify: {{ secrets: ["${{SHOPIFY_SECRET}}"] }}
    meta: {{ pixel_id: "777", access_token: "${{META_ACCESS_TOKEN}}", base_url: "{destinations.url}" }}
    klaviyo: {{ api_key: "${{KLAVIYO_API_KEY}}", base_url: "{destinations.url}" }}
"""
    held = Held(destinations, lambda seen: "/1234567890/" in seen.path)
    service = start(store, extra="in_flight: 5", shop_extra=other)
    kept = post_orders(service, 200, 20)
    wait_for(lambda: held.open == 4, what="as many requests as one shop may have open")
    destinations.wait_delivered(post_orders(service, 300, 10, shop="other"), deadline=8)  # before the first of the others gives up
    assert held.most == 4
    held.let_all_go()
    destinations.wait_delivered(kept)


def test_a_reload_says_that_it_takes_a_restart(service):
    service.config.write_text(service.config.read_text().replace("version: 1\n", "version: 1\nin_flight: 4\n"))
    service.process.send_signal(signal.SIGHUP)
    service.logged("not reloaded: `in_flight` changed, which takes a restart; the old configuration stays")


def test_too_few_files_are_told(tmp_path, destinations):
    """What may be open cannot be, where the system lets the process have fewer files."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    assert hard == resource.RLIM_INFINITY or hard >= 3072
    service = Service(tmp_path / "service", destinations.url, f"sqlite:{tmp_path}/fireorder.db", extra="in_flight: 600", autostart=False)
    for limit, told in ((2223, True), (2224, False)):
        service.log.write_text("")
        with open(service.log, "ab") as log:
            service.process = subprocess.Popen(["prlimit", f"--nofile={limit}:{limit}", FIREORDER, "serve", "--config", str(service.config)],
                                               stdout=log, stderr=log, env=service.environment)
        service.logged("serving webhooks")
        assert ("only 2223 files may be open, but in_flight: 600 and webhooks can take 2224" in service.log.read_text()) is told
        service.close()
