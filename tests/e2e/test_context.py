"""POST /context/<shop> and GET /context.js over plain HTTP: who may post, what is answered, and what a flood does."""
import collections
import concurrent.futures
import contextlib
import gzip
import hashlib
import hmac
import http.client
import json
import os
import random
import re
import socket
import threading
import time
from pathlib import Path

import pytest

from service import ROOT, checkout, order, wait_for

ORIGIN = "https://acme.example"
SHOP = "    context: { origins: [\"https://acme.example\", \"https://www.acme.example:8443\", \"null\"] }"
STRANGER = (401, '{"error":"unauthorized"}')
BUYER = "203.0.113.7"
CLICKED = f"fb.1.{int(time.time()) * 1000 - 1234}"  # a few seconds ago


@pytest.fixture
def service(start):
    return start(shop_extra=SHOP)


def send(service, method="POST", path="/context/acme", body=None, headers=None, origin=ORIGIN, kind="text/plain;charset=UTF-8"):
    """status, headers in lower case, body. None leaves a header out."""
    fields = {"Origin": origin, "Content-Type": kind, **(headers or {})}
    raw = body if isinstance(body, (bytes, type(None))) else json.dumps(body).encode()
    connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=20)
    try:
        connection.request(method, path, body=raw, headers={k: v for k, v in fields.items() if v is not None})
        response = connection.getresponse()
        return response.status, {k.lower(): v for k, v in response.getheaders()}, response.read().decode()
    finally:
        connection.close()


def counted(service, result, **labels):
    return service.metric("fireorder_context_total", result=result, **labels)


CONTEXT = {"cart_token": "c-token-1", "fbp": "fb.1.1760000000000.1098115397", "consent": {"marketing": "granted"}}


# ---- CORS

@pytest.mark.parametrize("origin", ["https://acme.example", "https://www.acme.example:8443", "null"])
def test_an_allowed_origin(service, origin):
    status, headers, body = send(service, body=CONTEXT, origin=origin)
    assert (status, body) == (204, "")
    assert headers["access-control-allow-origin"] == origin and headers["vary"] == "Origin"
    assert "access-control-allow-credentials" not in headers and "content-type" not in headers
    assert counted(service, "stored", shop="acme") == 1
    status, headers, body = send(service, "OPTIONS", origin=origin, kind=None,
                                 headers={"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type"})
    assert (status, body) == (204, "")
    assert headers["access-control-allow-origin"] == origin and headers["vary"] == "Origin"
    assert headers["access-control-allow-methods"] == "POST" and headers["access-control-allow-headers"] == "Content-Type"
    assert counted(service, "preflight", shop="acme") == 1


@pytest.mark.parametrize("origin", [None, "", "*", "https://acme.example.evil.example", "https://acme.example/", "http://acme.example",
                                    "https://acme.example:443", "https://evil.example", "https://ACME.example", "https://www.acme.example", "Null"])
@pytest.mark.parametrize("method", ["POST", "OPTIONS"])
def test_a_foreign_origin_and_an_unknown_shop_get_one_answer(service, method, origin):
    answers = [send(service, method, body=CONTEXT, origin=origin), send(service, method, "/context/nobody", CONTEXT),
               send(service, method, "/context/acme/", CONTEXT), send(service, method, "/context/", CONTEXT)]
    for status, headers, body in answers:
        assert (status, body) == STRANGER and "access-control-allow-origin" not in headers and headers["vary"] == "Origin"
    assert len({json.dumps({k: v for k, v in h.items() if k != "date"}) for _, h, _ in answers}) == 1
    assert counted(service, "rejected_origin") == 1 and counted(service, "rejected_path") == 3


def test_two_origins_are_none(service):
    with socket.create_connection(("127.0.0.1", service.port), 10) as s:
        s.sendall(b"POST /context/acme HTTP/1.1\r\nHost: x\r\nOrigin: https://acme.example\r\nOrigin: https://acme.example\r\n"
                  b"Content-Type: text/plain\r\nContent-Length: 2\r\n\r\n{}")
        assert s.recv(4096).startswith(b"HTTP/1.1 401 ")


def test_a_shop_without_origins_is_closed(start):
    service = start()
    status, headers, body = send(service, body=CONTEXT)
    assert (status, body) == STRANGER and "access-control-allow-origin" not in headers


# ---- what is taken

@pytest.mark.parametrize("kind,expected", [("text/plain", 204), ("text/plain;charset=UTF-8", 204), ("application/json", 204),
                                           ("Application/JSON; charset=utf-8", 204), (None, 415), ("", 415), ("text/html", 415),
                                           ("application/x-www-form-urlencoded", 415), ("multipart/form-data; boundary=x", 415)])
def test_content_types(service, kind, expected):
    assert send(service, body=CONTEXT, kind=kind)[0] == expected


def test_sizes(service):
    def padded(n):
        raw = json.dumps({**CONTEXT, "page_url": "https://acme.example/"}).encode()
        return raw + b" " * (n - len(raw))
    assert send(service, body=padded(4096))[0] == 204
    status, headers, body = send(service, body=padded(4097))
    assert headers["access-control-allow-origin"] == ORIGIN and headers["vary"] == "Origin"
    assert status == 413 and counted(service, "rejected_too_large", shop="acme") == 1
    assert "access-control-allow-origin" not in send(service, body=padded(4097), origin="https://evil.example")[1]
    with socket.create_connection(("127.0.0.1", service.port), 10) as s:  # refused on its announcement alone
        s.sendall(b"POST /context/acme HTTP/1.1\r\nHost: x\r\nOrigin: https://acme.example\r\nContent-Type: text/plain\r\nContent-Length: 8000000\r\n\r\n")
        assert s.recv(4096).startswith(b"HTTP/1.1 413 ")


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "PATCH"])
def test_other_methods(service, method):
    status, headers, _ = send(service, method, body=b"" if method in ("PUT", "PATCH") else None)
    assert status == 405 and headers["access-control-allow-origin"] == ORIGIN and headers["allow"] == "POST"


SECRET = "Xq7secretzz"


@pytest.mark.parametrize("body", [
    b"", b"{", b"[]", b"null", b"\xff\xfe", b'{"cart_token":"' + SECRET.encode() + b'"', {"nothing": SECRET}, {"cart_token": SECRET, "ip": "1.2.3.4"},
    {"cart_token": {"a": SECRET}}, {"cart_token": "x" * 3000}, {"fbp": SECRET}, {"cart_token": SECRET, "consent": {"marketing": "<script>"}},
    {"cart_token": "<script>alert(1)</script>\r\nX: y"}, b"[" * 4000, {"cart_token": SECRET, "email": "a" * 400}])
def test_what_is_malformed_is_answered_with_a_constant(service, body):
    status, headers, text = send(service, body=body)
    assert (status, text) == (400, '{"error":"malformed context"}')
    assert counted(service, "rejected_body", shop="acme") == 1
    assert SECRET not in service.log.read_text()


def test_nothing_is_echoed(service):
    for body in (CONTEXT | {"cart_token": SECRET}, {"cart_token": SECRET, "x": SECRET}, SECRET.encode()):
        for path in ("/context/acme", f"/context/{SECRET}", f"/context/acme?{SECRET}"):
            status, headers, text = send(service, path=path, body=body, headers={"X-Forwarded-For": SECRET, "Access-Control-Request-Headers": SECRET})
            assert SECRET not in text and SECRET not in str(headers)
    status, headers, _ = send(service, "OPTIONS", body=None, origin=ORIGIN, headers={"Access-Control-Request-Headers": SECRET})
    assert status == 204 and SECRET not in str(headers)
    assert SECRET not in service.log.read_text() and SECRET not in service.get("/metrics")[1]


# ---- keeping and joining

def test_it_is_stored_sealed_and_makes_no_job(service, destinations):
    assert send(service, body=CONTEXT, headers={"X-Forwarded-For": BUYER, "User-Agent": "Mozilla/5.0 (Test)"})[0] == 204
    for file in service.folder.parent.glob("fireorder.db*"):
        raw = file.read_bytes()
        for text in (b"c-token-1", b"1098115397", BUYER.encode(), b"Mozilla"):
            assert text not in raw, f"{text} is readable in {file.name}"
    assert service.metric("fireorder_pending") == 0 and service.metric("fireorder_webhooks_total") == 0
    assert not destinations.seen


def user_data(destinations, number):
    return destinations.of(f"ord_{number}_purchase", "meta")[0].json["data"][0]["user_data"]


def plain_order(number, **more):
    return order(number, note_attributes=[], browser_ip=None, client_details=None, **more)


def test_an_order_gets_what_its_browser_told(start, store, destinations):
    service = start(store, shop_extra=SHOP)
    agent = "Mozilla/5.0 (Test)"
    body = {"cart_token": "c-77", "fbp": "fb.1.1760000000000.1098115397", "fbc": f"{CLICKED}.click_77", "consent": {"marketing": "granted"},
            "page_url": "https://acme.example/products/serum"}
    assert send(service, body=body, headers={"X-Forwarded-For": f"1.1.1.1, {BUYER}", "User-Agent": agent})[0] == 204
    assert service.shopify("orders/create", plain_order(77, cart_token="c-77"))[0] == 200
    destinations.wait(lambda d: d.of("ord_77_purchase", "meta"), what="the purchase")
    user = user_data(destinations, 77)
    assert user["fbp"] == "fb.1.1760000000000.1098115397" and user["fbc"] == f"{CLICKED}.click_77"
    assert user["client_ip_address"] == BUYER and user["client_user_agent"] == agent
    service.wait_drained()


def test_the_proxy_is_never_the_buyer(service, destinations):
    assert send(service, body={**CONTEXT, "cart_token": "c-78"})[0] == 204  # no X-Forwarded-For: 127.0.0.1 is a trusted proxy
    assert service.shopify("orders/create", plain_order(78, cart_token="c-78"))[0] == 200
    destinations.wait(lambda d: d.of("ord_78_purchase", "meta"), what="the purchase")
    user = user_data(destinations, 78)
    assert user["fbp"] == CONTEXT["fbp"] and "client_ip_address" not in user
    service.wait_drained()


def test_posts_of_one_visit_are_merged(service, destinations):
    assert send(service, body={"cart_token": "c-79", "fbp": CONTEXT["fbp"]})[0] == 204
    assert send(service, body={"cart_token": "c-79", "fbc": f"{CLICKED}.click_79"})[0] == 204
    assert service.shopify("orders/create", plain_order(79, cart_token="c-79"))[0] == 200
    destinations.wait(lambda d: d.of("ord_79_purchase", "meta"), what="the purchase")
    user = user_data(destinations, 79)
    assert user["fbp"] == CONTEXT["fbp"] and user["fbc"] == f"{CLICKED}.click_79"
    service.wait_drained()


def test_a_denial_takes_the_rest_away(start, store, destinations):
    service = start(store, shop_extra=SHOP)
    assert send(service, body={**CONTEXT, "cart_token": "c-80"})[0] == 204
    assert send(service, body={"cart_token": "c-80", "fbp": CONTEXT["fbp"], "consent": {"marketing": "denied"}})[0] == 204
    assert counted(service, "denied", shop="acme") == 1
    assert service.shopify("orders/create", plain_order(80, cart_token="c-80"))[0] == 200
    service.wait_drained()
    assert not destinations.of("ord_80_purchase", "meta")


def test_a_denial_reaches_the_customers_next_order(start, store, destinations):
    """context.js takes consent back under the cart's token alone."""
    service = start(store, shop_extra=SHOP.replace(" }", ', customer_secret: "${CUSTOMER_SECRET}" }'), environment={"CUSTOMER_SECRET": "theme-secret"})
    for number, taken_back in ((85, False), (86, True)):
        customer = str(7_000_000 + number)
        signature = hmac.new(b"theme-secret", customer.encode(), hashlib.sha256).hexdigest()
        cart = {"cart_token": f"c-{number}"}
        assert send(service, body={**CONTEXT, **cart, "customer_id": customer, "customer_signature": signature})[0] == 204
        if taken_back:
            assert send(service, body={**cart, "consent": {"marketing": "denied", "analytics": "denied"}})[0] == 204
        assert service.shopify("orders/create", plain_order(number, cart_token="another"))[0] == 200
        destinations.wait_delivered([f"ord_{number}_purchase"], ["klaviyo"])
    assert user_data(destinations, 85)["fbp"] == CONTEXT["fbp"] and not destinations.of("ord_86_purchase", "meta")
    service.wait_drained()


def test_what_is_dropped_is_counted_once(start, destinations):
    service = start(shop_extra=SHOP)
    assert send(service, body={"cart_token": "c-87", "fbp": "rubbish", "fbclid": "a b"})[0] == 204
    attributes = [{"name": "_fbp", "value": "rubbish"}, {"name": "_fbc", "value": "fb.1.yesterday.x"}]
    assert service.shopify("orders/create", order(87, note_attributes=attributes))[0] == 200
    service.wait_drained()
    dropped = lambda identifier, source: service.metric("fireorder_identifiers_dropped_total", shop="acme", identifier=identifier, **{"from": source})
    assert (dropped("fbp", "context"), dropped("fbclid", "context"), dropped("fbc", "context")) == (1, 1, 0)
    assert (dropped("fbp", "note_attribute"), dropped("fbc", "note_attribute")) == (1, 1)


def test_one_click_has_one_time(start, store, destinations):
    """A checkout 50 minutes before its order, with nothing but the landing page to tell of the click."""
    service = start(store)
    page = "/products/serum?fbclid=IwAR0_click-89"
    began = int(time.time()) - 3000
    stamp = lambda s: time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(s))
    assert service.shopify("checkouts/create", checkout("k-89", "buyer89@klaviyo-demo.com", created_at=stamp(began), landing_site=page))[0] == 200
    service.wait_drained()
    assert service.shopify("orders/create", plain_order(89, landing_site=page))[0] == 200
    service.wait_drained()
    started = destinations.of("chk_k-89_started", "meta")[0].json["data"][0]["user_data"]
    assert started["fbc"] == user_data(destinations, 89)["fbc"] == f"fb.1.{began}000.IwAR0_click-89"


def test_nobody_denies_for_a_customer_whom_the_theme_did_not_sign(start, store, destinations):
    def denied(number, **more):
        assert send(service, body={"cart_token": "foreign", "customer_id": 7_000_000 + number, "consent": {"marketing": "denied"}, **more})[0] == 204
        assert service.shopify("orders/create", plain_order(number, cart_token=f"c-{number}"))[0] == 200
        destinations.wait_delivered([f"ord_{number}_purchase"], ["klaviyo"])
        return not destinations.of(f"ord_{number}_purchase", "meta")

    service = start(store, shop_extra=SHOP.replace(" }", ', customer_secret: "${CUSTOMER_SECRET}" }'), environment={"CUSTOMER_SECRET": "theme-secret"})
    sign = lambda number: hmac.new(b"theme-secret", str(7_000_000 + number).encode(), hashlib.sha256).hexdigest()
    assert not denied(82)
    assert not denied(83, customer_signature=sign(82))
    assert denied(84, customer_signature=sign(84))
    assert counted(service, "denied") == 3
    service.wait_drained()


def test_two_copies_lose_nothing_of_one_visit(redis, start, destinations):
    """Four posts of one visit at the same moment, two at each copy: each tells something that the others do not."""
    copies = [start(redis.url, shop_extra=SHOP) for _ in range(2)]
    numbers = range(400, 460)

    def post(number, part):
        body = [{"fbp": CONTEXT["fbp"]}, {"fbc": f"{CLICKED}.click_{number}"}, {"user_agent": f"Agent/{number}"}, {"page_url": f"https://acme.example/{number}"}][part]
        barrier.wait(20)
        return send(copies[part % 2], body={"cart_token": f"c-{number}", **body}, headers={"X-Forwarded-For": f"203.0.113.{number - 399}", "User-Agent": ""})[0]

    barrier = threading.Barrier(4)
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        for number in numbers:
            assert list(pool.map(post, [number] * 4, range(4))) == [204] * 4
    for number in numbers:
        assert copies[number % 2].shopify("orders/create", plain_order(number, cart_token=f"c-{number}"))[0] == 200
    destinations.wait_delivered([f"ord_{number}_purchase" for number in numbers])
    for number in numbers:
        event = destinations.of(f"ord_{number}_purchase", "meta")[0].json["data"][0]
        user = event["user_data"]
        assert (user["fbp"], user["fbc"], user["client_user_agent"]) == (CONTEXT["fbp"], f"{CLICKED}.click_{number}", f"Agent/{number}")
        assert event["event_source_url"] == f"https://acme.example/{number}" and user["client_ip_address"] == f"203.0.113.{number - 399}"


# ---- rates

def forged(n):
    return {"X-Forwarded-For": f"198.{18 + n // 65536 % 2}.{n // 256 % 256}.{n % 256}"}


def test_an_address_that_posts_too_often(service):
    statuses = [send(service, body=CONTEXT, headers={"X-Forwarded-For": BUYER})[0] for _ in range(120)]
    assert statuses[:60] == [204] * 60 and statuses.count(429) > 20 and set(statuses) == {204, 429}
    assert counted(service, "rejected_address_rate", shop="acme") == statuses.count(429)
    connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=10)
    for _ in range(60):
        connection.request("POST", "/context/acme", body=b"{}", headers={"Origin": ORIGIN, "X-Forwarded-For": BUYER})
        response = connection.getresponse()
        response.read()
        if response.status == 429:
            break
    assert response.status == 429 and int(response.getheader("Retry-After")) >= 1 and response.getheader("Access-Control-Allow-Origin") == ORIGIN
    assert send(service, body=CONTEXT, headers={"X-Forwarded-For": "203.0.113.8"})[0] == 204  # somebody else may


def test_an_ipv6_network_is_one_address(service):
    statuses = [send(service, body=CONTEXT, headers={"X-Forwarded-For": f"2001:db8:1:2:{n:x}::{n:x}"})[0] for n in range(1, 121)]
    assert 429 in statuses
    assert send(service, body=CONTEXT, headers={"X-Forwarded-For": "2001:db8:1:3::1"})[0] == 204


def test_strangers_learn_no_shop_from_the_rates(service):
    known = [send(service, body=CONTEXT, origin="https://evil.example", headers={"X-Forwarded-For": "198.51.100.1"})[0] for _ in range(80)]
    unknown = [send(service, path="/context/nobody", body=CONTEXT, headers={"X-Forwarded-For": "198.51.100.2"})[0] for _ in range(80)]
    assert known[:60] == unknown[:60] == [401] * 60 and known[-1] == unknown[-1]


VICTIM = {"cart_token": "c-81", "fbp": "fb.1.1760000000000.666", "consent": {"marketing": "denied"}}  # posted only where it is refused anyway
KINDS = {  # each: the status that is documented for it, beside 429, and how it is posted
    "noise": (400, lambda rng, n: dict(body=rng.randbytes(rng.randrange(200)))),
    "broken": (400, lambda rng, n: dict(body=json.dumps({"cart_token": f"flood-{n}", "fbp": "x" * 99}).encode()[:rng.randrange(1, 60)])),
    "deep": (400, lambda rng, n: dict(body=rng.choice([b"[", b"{", b'{"a":', b"[{"]) * rng.randrange(1, 800))),
    "wrong type": (400, lambda rng, n: dict(body={"cart_token": f"flood-{n}", rng.choice(["fbp", "consent", "gpc", "email", "page_url"]): rng.choice([7, [], {"a": 1}])})),
    "unknown": (400, lambda rng, n: dict(body={"cart_token": f"flood-{n}", rng.choice(["ip", "id", "__proto__", "x" * 99]): "1.2.3.4"})),
    "no token": (400, lambda rng, n: dict(body={"fbp": CONTEXT["fbp"]})),
    "large": (413, lambda rng, n: dict(body=b" " * rng.randrange(4097, 9000))),
    "origin": (401, lambda rng, n: dict(body=VICTIM, origin=rng.choice(["https://evil.example", None, "*"]))),
    "shop": (401, lambda rng, n: dict(body=VICTIM, path=f"/context/shop{n}")),
    "type": (415, lambda rng, n: dict(body=VICTIM, kind=rng.choice(["text/html", None]))),
    "method": (405, lambda rng, n: dict(body=b"{}", method=rng.choice(["PUT", "DELETE", "PATCH"]))),
    "preflight": (204, lambda rng, n: dict(method="OPTIONS", body=None)),
    "forged token": (204, lambda rng, n: dict(body={"cart_token": f"flood-{n}", "fbp": f"fb.1.1760000000000.{n + 1}", "consent": {"marketing": rng.choice(["denied", "granted"])}})),
}
SENDERS = [  # the test's address is a trusted proxy; what stands left of the last address anybody may have written
    lambda rng, n: {},
    lambda rng, n: forged(n),
    lambda rng, n: {"X-Forwarded-For": f"{rng.randrange(1, 224)}.{n % 256}.1.1, 203.0.113.99"},
    lambda rng, n: {"X-Forwarded-For": rng.choice(["unknown", "1.2.3", "'; DROP", "999.1.1.1", "," * 50])},
]


def memory(service):
    return int(re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{service.process.pid}/status").read_text()).group(1))


def test_ten_thousand_hostile_posts_change_nothing(start, destinations):
    # freed memory goes back at once, where a sanitizer would keep it to find later uses of it
    service = start(shop_extra=SHOP, environment={"ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "") + ":quarantine_size_mb=1:thread_local_quarantine_size_kb=16"})
    assert send(service, body={**CONTEXT, "cart_token": "c-81"}, headers={"X-Forwarded-For": BUYER})[0] == 204
    seen = collections.Counter()  # (kind, sender, status)

    def post(n):
        rng = random.Random(n)
        kind, sender = rng.choice(list(KINDS)), rng.randrange(len(SENDERS))
        return kind, sender, send(service, headers=SENDERS[sender](rng, n), **KINDS[kind][1](rng, n))[0]

    def buy(number):
        return service.shopify("orders/create", plain_order(number, cart_token=f"c-{number}"))[0]

    began = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(8) as floods, concurrent.futures.ThreadPoolExecutor(1) as shop:
        orders = shop.map(buy, range(500, 600))
        seen.update(floods.map(post, range(5000)))
        assert list(orders) == [200] * 100
        destinations.wait_delivered([f"ord_{number}_purchase" for number in range(500, 600)], deadline=60)
        before = memory(service)
        seen.update(floods.map(post, range(5000, 10_000)))
    took, grown = time.monotonic() - began, memory(service) - before
    assert grown < 16_000, f"{grown} kB more for the second half, without an order"
    for kind, (documented, _) in KINDS.items():
        statuses = {status for k, _, status in seen if k == kind}
        assert {documented} <= statuses <= {documented, 429}, (kind, statuses)
    taken = sum(n for (kind, _, status), n in seen.items() if kind == "forged token" and status == 204)
    assert sum(seen.values()) == 10_000 and counted(service, "stored") + counted(service, "denied") == taken + 1
    assert taken <= 500 + 100 * (took + 2)
    for senders in ({0, 3}, {2}):  # each is one address, whatever it writes: the proxy's own, and the one that the proxy names
        passed = sum(n for (_, sender, status), n in seen.items() if sender in senders and status not in (429, 405))
        assert passed <= 60 + 5 * (took + 2), (senders, passed)
    assert service.metric("fireorder_context_total") == 10_001
    service.wait_drained()
    assert service.metric("fireorder_webhooks_total") == 100 and len(destinations.of(destination="meta")) == 100
    text = service.get("/metrics")[1]
    assert "flood" not in text and "shop9" not in text and len([x for x in text.splitlines() if x.startswith("fireorder_context_total")]) < 40
    assert service.shopify("orders/create", plain_order(81, cart_token="c-81"))[0] == 200
    destinations.wait(lambda d: d.of("ord_81_purchase", "meta"), what="the purchase")
    user = user_data(destinations, 81)
    assert (user["fbp"], user["client_ip_address"]) == (CONTEXT["fbp"], BUYER)
    service.wait_drained()


def test_slow_posts_leave_threads_to_the_webhooks(service, destinations):
    """More posts than there are threads, each announcing more than it sends, from as many addresses: an order does not wait until they time out."""
    head = b"POST /context/acme HTTP/1.1\r\nHost: x\r\nOrigin: https://acme.example\r\nContent-Type: text/plain\r\nContent-Length: 99\r\nX-Forwarded-For: %s\r\n\r\n{"
    with contextlib.ExitStack() as open_ones:
        slow = [open_ones.enter_context(socket.create_connection(("127.0.0.1", service.port), 20)) for _ in range(320)]
        for n, s in enumerate(slow):
            s.sendall(head % forged(n)["X-Forwarded-For"].encode())
        wait_for(lambda: counted(service, "rejected_busy") == 320 - 64, what="all places to be taken")
        assert service.shopify("orders/create", plain_order(87))[0] == 200
        assert counted(service, "rejected_timeout") == 0
        wait_for(lambda: counted(service, "rejected_timeout") == 64, what="the slow ones to be given up")
    assert send(service, body=CONTEXT)[0] == 204  # and their places are free again
    destinations.wait_delivered(["ord_87_purchase"])
    service.wait_drained()


# ---- the script

def test_the_script(service):
    status, headers, body = send(service, "GET", "/context.js", kind=None, origin=None)
    assert status == 200 and headers["content-type"] == "text/javascript; charset=utf-8"
    assert headers["cache-control"] == "public, max-age=3600" and headers["x-content-type-options"] == "nosniff"
    assert body == (ROOT / "server" / "context" / "context.js").read_text()
    assert len(gzip.compress(body.encode(), 9)) < 1500
    tag = headers["etag"]
    for known in (tag, f"W/{tag}", f'"other", {tag}', "*"):
        status, headers, body = send(service, "GET", "/context.js", kind=None, origin=None, headers={"If-None-Match": known})
        assert (status, body, headers["etag"]) == (304, "", tag)
    assert send(service, "GET", "/context.js", kind=None, headers={"If-None-Match": '"other"'})[0] == 200
    assert send(service, "HEAD", "/context.js", kind=None)[2] == ""
    assert send(service, "POST", "/context.js", body=b"{}")[0] == 405
    assert send(service, "GET", "/context.jsx", kind=None)[0] == 404
