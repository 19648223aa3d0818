"""The whole story: somebody comes by an ad, answers the banner, fills a cart and buys; the order's webhook comes two minutes later.

The two minutes pass on the wall clock of the program alone (clock.c): its real clock, moved, and not a word to it about a test."""
import base64
import http.client
import json
import os
import re
import subprocess
from pathlib import Path

import pytest

from service import now, order, wait_for
from storefront import SHOPIFY, TOKEN, needs_chromium

pytestmark = needs_chromium
WAIT_MS = 120_000
WEBHOOK_FROM, WEBHOOK_AGENT = "127.0.0.2", "Shopify-Captain-Hook"


class Clock:
    """Moves the wall clock of the programs that are started in its environment."""

    def __init__(self, folder):
        library, self.file = folder / "clock.so", folder / "moved"
        subprocess.run([os.environ.get("CC", "cc"), "-shared", "-fPIC", "-O1", "-o", library, Path(__file__).with_name("clock.c")], check=True)
        self.move(0)
        sanitizer = os.environ.get("ASAN_OPTIONS", "")
        self.environment = {"LD_PRELOAD": str(library), "MOVED_CLOCK": str(self.file), "ASAN_OPTIONS": f"{sanitizer}:verify_asan_link_order=0".lstrip(":")}

    def move(self, ms):
        with open(os.open(self.file, os.O_WRONLY | os.O_CREAT), "wb") as file:
            file.write(ms.to_bytes(8, "little", signed=True))


@pytest.fixture
def clock(tmp_path):
    return Clock(tmp_path)


def buy(service, number, **more):
    """The webhook of an order that says nothing of the browser, from a Shopify whose clock shows the same moved time."""
    service.sender = WEBHOOK_FROM
    at = now(WAIT_MS // 1000)
    body = order(number, note_attributes=[], cart_token=TOKEN, client_details=None, browser_ip=None, **{"created_at": at, "processed_at": at, **more})
    assert service.shopify("orders/create", body, User_Agent=WEBHOOK_AGENT)[0] == 200


def one(destinations, number, destination):
    requests = destinations.of(f"ord_{number}_purchase", destination)
    assert len(requests) == 1
    return requests[0]


def klaviyo_properties(destinations, number):
    return one(destinations, number, "klaviyo").json["data"]["attributes"]["properties"]


def test_consent_and_an_order_two_minutes_later(visit, clock, destinations):
    shop, service = visit("""
        await settled(); await report('undecided');
        answer = { marketing: 'yes', analytics: 'yes' };
        await settled(); await add(); await settled();
        """, query="?fbclid=IwAR0_story-91", environment=clock.environment)
    undecided, end = shop.reports["undecided"], shop.reports["end"]
    cookies = dict(c.split("=", 1) for c in end["cookie"].split("; "))
    seen = int(re.fullmatch(r"fb\.1\.(\d{13})\.IwAR0_story-91", cookies["_fbc"]).group(1))
    assert undecided["cookie"] == "" and end["opened"] - 1 < seen < undecided["at"]
    assert service.metric("fireorder_context_total", result="stored") == 1

    clock.move(WAIT_MS)
    buy(service, 91)
    destinations.wait_delivered(["ord_91_purchase"])
    meta, klaviyo = one(destinations, 91, "meta"), one(destinations, 91, "klaviyo")
    event = meta.json["data"][0]
    user = event["user_data"]
    assert (user["fbp"], user["fbc"]) == (cookies["_fbp"], cookies["_fbc"])
    assert event["event_time"] * 1000 - seen >= WAIT_MS  # the click's time is not the order's
    assert (user["client_ip_address"], user["client_user_agent"]) == ("127.0.0.1", end["agent"])
    for request in (meta, klaviyo):
        assert WEBHOOK_FROM.encode() not in request.body and WEBHOOK_AGENT.encode() not in request.body
    assert meta.answered < klaviyo.came and klaviyo_properties(destinations, 91)["capi_status"] == "sent"
    done = wait_for(lambda: [line for line in service.log.read_text().splitlines() if "ord_91_purchase" in line], what="the line in the log")
    assert now(WAIT_MS // 1000 - 30)[:19] < done[0][:19] <= now(WAIT_MS // 1000)[:19]  # so says the program's own clock
    service.wait_drained()


def spellings(text):
    """The text as bytes in a file: plain, in hex, and in base64 wherever in a longer text it begins."""
    raw = text.encode()
    yield raw
    yield raw.hex().encode()
    yield raw.hex().upper().encode()
    for before in range(3):
        whole = base64.b64encode(b"\0" * before + raw)
        yield whole[(0, 2, 3)[before]:len(whole) // 4 * 4 - 4]  # without what depends on the neighbours


def readable(service, text):
    """The store's files in which the text can be read."""
    files = list(service.folder.parent.glob("fireorder.db*"))
    assert any(f.name.endswith("-wal") and f.stat().st_size > 0 for f in files)
    return [f.name for f in files if any(s in f.read_bytes() for s in spellings(text))]


def post_grant(shop, service, sender, agent):
    """Somebody says later that this cart may be tracked after all, and nothing else."""
    connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=20, source_address=(sender, 0))
    body = json.dumps({"cart_token": TOKEN, "consent": {"marketing": "granted"}})
    connection.request("POST", "/context/acme", body, {"Origin": shop.origin, "Content-Type": "text/plain", "User-Agent": agent})
    assert connection.getresponse().status == 204
    connection.close()


COOKIES = {"_fbp": "fb.1.1790000000000.1098115397", "_fbc": "fb.1.1790000000000.IwAR0_before-92"}  # of Meta's own pixel


def test_denial_and_an_order_two_minutes_later(visit, clock, destinations):
    shop, service = visit("""
        await settled(); await report('undecided');
        answer = { marketing: 'no', analytics: 'no' };
        await settled(); await add(); await settled();
        """, query="?fbclid=IwAR0_story-92", environment=clock.environment,
        before="".join(f"document.cookie = '{name}={value};path=/';" for name, value in COOKIES.items()) + SHOPIFY)
    assert set(shop.reports["undecided"]["cookie"].split("; ")) == {f"{n}={v}" for n, v in COOKIES.items()} and shop.reports["end"]["cookie"] == ""
    assert service.metric("fireorder_context_total", result="denied") == 1 and service.metric("fireorder_context_total", result="stored") == 0

    clock.move(WAIT_MS)
    buy(service, 92)
    destinations.wait_delivered(["ord_92_purchase"], ["klaviyo"])
    service.wait_drained()
    assert not destinations.of(destination="meta")
    properties = klaviyo_properties(destinations, 92)
    assert properties["capi_status"] == "skipped" and properties["capi_reason"]

    agent = shop.reports["end"]["agent"]
    assert readable(service, "shopify") and readable(service, "acme")  # the search does find what is there in clear
    for text in (*COOKIES.values(), "1098115397", "IwAR0_before-92", "IwAR0_story-92", agent, "127.0.0.1"):
        assert not readable(service, text), text

    # What is sealed nobody can read here; but had it been kept, a later permission would bring it out.
    post_grant(shop, service, "127.0.0.3", "Later/1.0")
    buy(service, 93)
    destinations.wait_delivered(["ord_93_purchase"])
    user = one(destinations, 93, "meta").json["data"][0]["user_data"]
    assert (user["client_ip_address"], user["client_user_agent"]) == ("127.0.0.3", "Later/1.0")
    assert "fbp" not in user and "fbc" not in user
    for request in destinations.of():
        for text in (*COOKIES.values(), "IwAR0_story-92", agent):
            assert text.encode() not in request.body
    service.wait_drained()
