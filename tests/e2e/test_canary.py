"""The search for people's data is itself looked into, and fed with bodies that are nothing but canaries."""
import http.client
import itertools
import json
import re
from pathlib import Path

import pytest

from canary import Canaries, forms, is_moment, left_behind, search, strings
from fakes import Answer, klaviyo_error
from service import ROOT, sign_shopify

PLANTED = "Zoë.Quill/+1 (512)@klaviyo-demo.com"


@pytest.mark.parametrize("form", sorted(forms(PLANTED)))
def test_each_form_is_found(tmp_path, form):
    file = tmp_path / "seen"
    file.write_bytes(b"\x00\xffbefore" + forms(PLANTED)[form] + b"\nafter\x00")
    assert PLANTED in {text for text, _, _ in search({PLANTED: "planted", "nobody is here": ""}, [file])}
    file.write_bytes(b"\x00\xffbefore\nafter\x00")
    assert not search({PLANTED: "planted"}, [file])


def test_what_is_searched(start, redis, tmp_path, canaries):
    """A canary in Redis (a key's name, a value), in SQLite's files, in the log, in an answer."""
    canaries.spare(*(planted := [f"planted-canary-{n}" for n in range(6)]))
    watch = Canaries()
    for text in planted:
        watch.add(text, "planted")
    service = start()
    redis.tell("SET", f"fo:{{acme}}:{planted[0]}", planted[1])
    service.kill()
    with open(tmp_path / "fireorder.db", "ab") as file, open(service.log, "a") as log:
        file.write(planted[2].encode())
        log.write(planted[3])
    (tmp_path / "spool.db-wal").write_text(planted[4])
    watch.answers.append(planted[5].encode())
    assert {text for text, _, _ in watch.found(tmp_path)} == set(planted)
    assert "fireorder.db" in {f.name for f in left_behind(tmp_path)}


# What has to stay as it is for the body to be taken for what it is.
KEEP = {"currency", "presentment_currency", "country_code", "country_code_v2", "province_code", "financial_status", "fulfillment_status", "source_name", "status", "type", "state",
        "order_interval_unit", "charge_interval_unit_type", "marketing", "analytics", "country", "origin", "price", "total_price", "subtotal_price", "quantity", "shopify_variant_id", "opt_in_level", "purchase_item_type"}
numbers = itertools.count(1)


def canary_for(key, text):
    n = next(numbers)
    if key in KEEP or is_moment(text) or re.fullmatch(r"-?[\d.]*", text) or (key in ("id", "name") and "@" not in text and not text.istitle()):
        return text
    if "email" in key or "@" in text:
        return f"Canary{n}zq@klaviyo-demo.com"
    if "phone" in key:
        return f"+1512555{n:04}"
    if key in ("ip", "browser_ip", "client_ip"):
        return f"198.51.{100 + n // 250}.{1 + n % 250}"
    if text.startswith("http"):
        return f"https://acme.example/canary{n}zq?who=canary{n}zq&fbclid=Canary{n}zqClick"
    if re.match(r"fb\.[12]\.\d+\.", text):
        return re.match(r"fb\.[12]\.\d+\.", text)[0] + f"{n:04}98115397"
    if "token" in key:
        return f"canary{n}zq" * 3
    if key in ("zip", "postal_code"):
        return f"zq{n:05}"
    return f"canary{n}zq"


def infested(node, key=""):
    if isinstance(node, dict):
        named = str(node.get("name", "")) if set(node) == {"name", "value"} else ""
        return {k: (v if k == "name" and named else infested(v, named if named and k == "value" else k)) for k, v in node.items()}
    if isinstance(node, list):
        return [infested(v, key) for v in node]
    return canary_for(key, node) if isinstance(node, str) else node


def fixture(path):
    body = json.loads((ROOT / "fixtures" / path / "request.json").read_text())
    return infested(body)


SHOPIFY = ["orders/create/with_fbp_fbc", "checkouts/create/with_email", "customers/create/*", "carts/create/two_items", "refunds/create/*", "orders/cancelled/*"]
RECHARGE = ["charge/paid/renewal", "charge/failed/card_declined", "subscription/created/monthly", "subscription/cancelled/too_much_product"]
EVENTS = ["purchase/placed_order", "back_in_stock_requested/variant", "lead/form", "custom/quiz_finished", "checkout_started/own_checkout"]


def of(folder, pattern):
    for found in sorted((ROOT / "fixtures" / folder).glob(pattern)):
        yield "/".join(found.relative_to(ROOT / "fixtures" / folder).parts[:2]), fixture(found.relative_to(ROOT / "fixtures"))


def add_all(canaries, node):
    """Every string that was put in counts, whatever its member is called."""
    for key, text in strings(node):
        if "anary" in text:
            canaries.add(text, key)
    for text in re.findall(r"[^\"\s]*[Cc]anary\d+zq[^\"\s]*|\+1512555\d{4}|198\.51\.\d+\.\d+|zq\d{5}", json.dumps(node)):
        canaries.add(text, "infested")


def send_all(service, canaries):
    answered = []
    for pattern in SHOPIFY:
        for topic, body in of("shopify", pattern):
            add_all(canaries, body)
            answered.append(service.shopify(topic, body, f"canary-{next(numbers)}"))
    for pattern in RECHARGE:
        for topic, body in of("recharge", pattern):
            add_all(canaries, body)
            answered.append(service.recharge(topic, body))
    for pattern in EVENTS:
        for _, body in of("events", pattern):
            add_all(canaries, body)
            status, told = service.events(body)
            answered.append((status, told["results"][0]["status"] if status == 200 else told))
    return answered


def send_wrong_ones(service, canaries):
    """What is refused is not told either; of an event of one's own the names of its members are, to the one who signed it."""
    body = {"id": 1, "email": canary_for("email", ""), "Canary-member-zq1": {canary_for("", "x"): canary_for("", "x")}}
    raw = json.dumps(body).encode()
    add_all(canaries, body)
    canaries.add("Canary-member-zq1", "infested")
    canaries.add("canary-token-zq", "infested")
    assert service.shopify("orders/create", body, secret="canary-token-zq")[0] == 401
    assert service.shopify("orders/create", raw[:-3])[0] == 200  # signed, and no JSON: a dead letter
    assert service.shopify("canary/member", body)[0] == 200
    assert service.recharge("charge/paid", raw[:-3])[0] == 200
    assert service.events({"id": "e1", "name": "lead", "time": "canary2zq-time", "user": {"email": "canary-is-no-email-zq", "canary-key-zq": "canary-value-zq"}})[0] == 422
    assert service.events(raw[:-3])[0] == 400
    for path in ("/hooks/canary-shop-zq/shopify", "/canary-path-zq", "/events/acme?email=canary-query-zq"):
        service.post_text(path, raw, {"X-Shopify-Hmac-Sha256": sign_shopify(raw), "X-Shopify-Topic": "canary/topic-zq"})
        service.get(path)
    for text in ("canary-shop-zq", "canary-path-zq", "canary-query-zq", "canary-is-no-email-zq", "canary-value-zq", "canary2zq-time"):
        canaries.add(text, "refused")


def visit(service, canaries):
    context = {"cart_token": "canary-cart-zq", "fbp": "fb.1.1760000000000.9988776655", "email": "Canary.Visit@klaviyo-demo.com",
               "page_url": "https://acme.example/canary-page-zq", "consent": {"marketing": "granted"}}
    for body, status in ((context, 204), ({**context, "canary-member-zq": "canary-value-zq"}, 400)):
        connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=20)
        connection.request("POST", "/context/acme", body=json.dumps(body), headers={
            "Origin": "https://acme.example", "Content-Type": "text/plain", "User-Agent": "Canary/1.0 (agent)", "X-Forwarded-For": "198.51.99.77"})
        response = connection.getresponse()
        assert (response.status, response.read() is None) == (status, False)
        connection.close()
    canaries.add("canary-member-zq", "context")


def echoes(destinations):
    """Both complain, and quote what they were sent."""
    said = "canary1zq Canary2zq@klaviyo-demo.com"
    destinations.script["meta", "*"] = [Answer(400, json.dumps({"error": {"message": said, "error_user_msg": said, "type": said, "code": 100, "fbtrace_id": said}}).encode())] * 2
    refused = klaviyo_error(400)
    refused.body = json.dumps({"errors": [{"id": said, "code": said, "title": said, "detail": said, "source": {"pointer": "/data/" + said}}]}).encode()
    destinations.script["klaviyo", "*"] = [refused] * 2


def test_nothing_but_canaries(store, start, destinations, canaries):
    canaries.add("canary1zq", "an answer")
    canaries.add("Canary2zq@klaviyo-demo.com", "an answer")
    service = start(store, extra="trusted_proxies: [127.0.0.1/32]", shop_extra='    context: { origins: ["https://acme.example"] }')
    visit(service, canaries)
    echoes(destinations)
    answered = send_all(service, canaries)
    assert {status for status, _ in answered} == {200} and [a for _, a in answered].count("accepted") >= 12, answered
    send_wrong_ones(service, canaries)
    service.wait_drained()
    assert len(canaries.sent) > 150
    found = service.jobs("dead", "done")
    assert {j["state"] for j in found.values()} == {"dead", "done"}
    assert len({s.name for s in destinations.seen if s.taken}) > 8


def test_no_core_and_no_secret_in_the_command_line(service):
    limits = Path(f"/proc/{service.process.pid}/limits").read_text()
    assert re.search(r"^Max core file size +0 +0 ", limits, re.M), limits
    assert b"shpss" not in Path(f"/proc/{service.process.pid}/cmdline").read_bytes()
