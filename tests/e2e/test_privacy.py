"""Shopify's three compliance topics: what is told, what is forgotten, here and at Klaviyo; and seal keys that are replaced."""
import base64
import itertools
import json
import re

import pytest

from fakes import Answer, klaviyo_error
from service import charge, checkout, now, order, own_event, wait_for
from test_context import SHOP as CONTEXT_SHOP, send as send_context

numbers = itertools.count(1)


def person(n):
    return {"id": 7_000_000 + n, "email": f"person{n}@klaviyo-demo.com", "phone": None}


def redact(n, **more):
    return {"shop_id": 954889, "shop_domain": "acme.myshopify.com", "customer": person(n), "orders_to_redact": [n], **more}


def reason_of(service, topic, state="done"):
    found = [j for j in (service.jobs(state) or {}).values() if j["topic"] == topic]
    return found[0]["reason"] if found else None


def settled(service, topic, state="done", deadline=20):
    return wait_for(lambda: reason_of(service, topic, state), deadline, f"{topic} to be {state}")


def buy(service, number, delivery=None, **more):
    assert service.shopify("orders/create", order(number, email=f"person{number}@klaviyo-demo.com", **more), delivery) == (200, "accepted")


def refund(number):
    return {"id": 880000 + number, "order_id": number, "created_at": now(), "processed_at": now(),
            "refund_line_items": [{"id": 1, "quantity": 1, "subtotal": "29.20", "line_item": {"id": 1, "product_id": 1, "variant_id": 808950810, "price": "29.20"}}],
            "transactions": [{"id": 1, "kind": "refund", "status": "success", "amount": "29.20", "currency": "USD"}]}


def test_what_is_kept_of_a_customer_is_counted(store, start, destinations):
    service = start(store)
    for n in (4001, 4002):
        buy(service, n)
    service.wait_drained()
    request = {**redact(4001), "data_request": {"id": 1}, "orders_requested": [4001]}
    del request["orders_to_redact"]
    assert service.shopify("customers/data_request", request) == (200, "accepted")
    assert settled(service, "customers/data_request") == "kept: 1 webhooks (0 of them waiting) and 1 remembered values"
    service.logged(r"privacy shop=acme topic=customers/data_request job=\w{32} kept webhooks=1 waiting=0 values=1")
    assert service.shopify("refunds/create", refund(4001)) == (200, "accepted")
    service.wait_drained()
    assert "person4001@klaviyo-demo.com" in destinations.of(destination="klaviyo")[-1].body.decode()  # it was asked, not forgotten


def test_a_customer_is_forgotten(store, start, destinations):
    """Remembered person, context, request that waits for stock, what waits elsewhere, what is kept; and nobody else's."""
    service = start(store, extra="trusted_proxies: [10.0.0.1/32]", shop_extra=CONTEXT_SHOP)
    for n in (4101, 4102):
        assert send_context(service, body={"cart_token": f"cart-of-{n}", "fbp": "fb.1.1760000000000.1098115397", "consent": {"marketing": "granted"}})[0] == 204
        buy(service, n, cart_token=f"cart-of-{n}")
        assert service.events(own_event(f"bis{n}", "back_in_stock_requested", f"person{n}@klaviyo-demo.com",
                                        items=[{"variant_id": "808950810", "quantity": "1"}], consent={"marketing": "granted"}))[0] == 200
    service.wait_drained()
    destinations.always["meta"] = Answer(503)
    for n in (4101, 4102):  # in lanes of their own
        assert service.recharge("charge/paid", charge(520000 + n, email=f"person{n}@klaviyo-demo.com", customer=7_000_000 + n))[0] == 200
    wait_for(lambda: len([s for s in destinations.seen if s.status == 503]) >= 2, what="both charges to wait")
    assert service.shopify("customers/redact", redact(4101)) == (200, "accepted")
    ended = settled(service, "customers/redact")
    assert re.fullmatch(r"erased 3 webhooks \(1 of them waiting\) and [34] remembered values", ended), ended
    service.logged(r"privacy shop=acme topic=customers/redact job=\w{32} erased webhooks=3 waiting=1 values=")
    wait_for(lambda: reason_of(service, "charge/paid", "ignored") == "redacted", 60, "the waiting charge to be dropped when it is due again")
    destinations.always["meta"] = None
    before = len(destinations.seen)
    assert service.shopify("refunds/create", refund(4101)) == (200, "accepted")
    assert service.shopify("refunds/create", refund(4102)) == (200, "accepted")
    assert service.shopify("variants/in_stock", {"id": 808950810, "product_id": 1, "title": "Serum", "inventory_quantity": 3, "updated_at": now(),
                                                "admin_graphql_api_id": "gid://shopify/ProductVariant/808950810"}) == (200, "accepted")
    service.wait_drained()
    assert not [s for s in destinations.seen[before:] if b"person4101" in s.body or b"7004101" in s.body]
    assert {s.name for s in destinations.seen[before:] if b"person4102@" in s.body} == {"Back in Stock", "refund_recorded"}


def test_a_request_that_is_under_way_is_the_last(store, start, destinations):
    """Claimed, in another lane, before the customer is forgotten: its worker loses the lease with the body."""
    service = start(store)
    destinations.script["meta", "*"] = [Answer(500, delay=3)]
    assert service.events(own_event("late", "lead", "friend@klaviyo-demo.com", properties={"customer_id": "7004201"}))[0] == 200
    wait_for(lambda: destinations.of("late"), what="its first request")
    assert service.shopify("customers/redact", redact(4201)) == (200, "accepted")
    assert settled(service, "customers/redact") == "erased 1 webhooks (1 of them waiting) and 0 remembered values"
    wait_for(lambda: reason_of(service, "lead", "ignored") == "redacted", what="it to be dropped")
    service.wait_drained()
    assert len(destinations.of("late")) == 1


def test_a_shop_is_forgotten(store, start, destinations):
    service = start(store)
    for n in (4301, 4302, 4303):
        buy(service, n)
    assert service.shopify("orders/create", b'{"email": "person4304@klaviyo-demo.com"') == (200, "undecodable")
    service.wait_drained()
    assert service.shopify("shop/redact", {"shop_id": 954889, "shop_domain": "acme.myshopify.com"}) == (200, "accepted")
    assert settled(service, "shop/redact") == "erased 4 webhooks (0 of them waiting) and 3 remembered values"
    assert service.redrive(service.jobs("dead")) == ["redriven"]
    service.wait_drained()
    assert not service.jobs("dead")
    assert [j["reason"] for j in service.jobs("ignored").values()] == ["redacted"]  # there is nothing left to try


@pytest.mark.parametrize("topic, body", [
    ("shop/redact", redact(4401)),                                                   # another topic's body, as anybody could have recorded it
    ("shop/redact", {"shop_id": 1, "shop_domain": "acme.myshopify.com", "id": 5}),
    ("shop/redact", {"shop_id": 1, "shop_domain": "other.myshopify.com"}),
    ("customers/redact", {**redact(4401), "data_request": {"id": 1}}),
    ("customers/redact", {**redact(4401), "shop_domain": "other.myshopify.com"}),
    ("customers/redact", {**redact(4401), "customer": {}}),
    ("customers/redact", order(4401, email="person4401@klaviyo-demo.com")),
])
def test_what_has_not_its_form_erases_nothing(start, destinations, topic, body):
    service = start()
    buy(service, 4401)
    service.wait_drained()
    assert service.shopify(topic, body) == (200, "accepted")
    assert settled(service, topic, "dead").startswith("undecodable: body ")
    assert service.shopify("refunds/create", refund(4401)) == (200, "accepted")
    service.wait_drained()
    assert any(b"person4401@" in s.body for s in destinations.of(destination="klaviyo")[1:])


def with_deletion(service):
    service.config.write_text(service.config.read_text().replace('api_key: "${KLAVIYO_API_KEY}",', 'api_key: "${KLAVIYO_API_KEY}", delete_on_redact: true,'))
    service.stop()
    service.start()


def deletions(destinations):
    return [s for s in destinations.seen if s.path == "/api/data-privacy-deletion-jobs"]


def test_klaviyo_deletes_too_when_it_is_told_to(store, start, destinations):
    service = start(store)
    buy(service, 4501)
    service.wait_drained()
    assert service.shopify("customers/redact", redact(4501)) == (200, "accepted")
    settled(service, "customers/redact")
    assert not deletions(destinations)
    with_deletion(service)
    assert service.shopify("customers/redact", redact(4502)) == (200, "accepted")
    wait_for(lambda: deletions(destinations), what="the deletion")
    assert deletions(destinations)[0].json == {"data": {"type": "data-privacy-deletion-job", "attributes": {"profile": {"data": {
        "type": "profile", "attributes": {"email": "person4502@klaviyo-demo.com"}}}}}}
    service.wait_drained()
    assert len(deletions(destinations)) == 1


def test_a_deletion_that_klaviyo_refuses_is_a_dead_letter(start, destinations):
    service = start()
    with_deletion(service)
    destinations.script["deletion", "*"] = [klaviyo_error(403, "permission_denied")]
    assert service.shopify("customers/redact", redact(4601)) == (200, "accepted")
    assert settled(service, "customers/redact", "dead").startswith("klaviyo.deletion: 403")
    assert service.redrive(service.jobs("dead")) is not None
    wait_for(lambda: reason_of(service, "customers/redact"), what="the second attempt")
    assert len(deletions(destinations)) == 2


# ---- seal keys

def key(letter):
    return base64.b64encode(letter.encode() * 32).decode()


def with_keys(service, *letters):
    text = re.sub(r"^seal_key:.*$", "seal_key: [" + ", ".join(key(x) for x in letters) + "]", service.config.read_text(), flags=re.M)
    service.config.write_text(text)
    service.start()


def test_keys_are_replaced_under_webhooks_that_wait(store, start, destinations):
    service = start(store)
    destinations.always["meta"] = Answer(503)
    buy(service, 4701)
    back = refund(4701)
    assert service.shopify("refunds/create", back) == (200, "accepted")
    wait_for(lambda: destinations.of("ord_4701_purchase", "meta"), what="the first attempt")
    service.stop()
    with_keys(service, "n", "k")
    buy(service, 4702)
    assert service.shopify("refunds/create", back) == (200, "duplicate")
    destinations.always["meta"] = None
    service.wait_drained()
    assert not service.jobs("dead")
    sequence = [s for s in destinations.of(destination="klaviyo") if b"4701" in s.body]
    assert sequence[0].event_id == "ord_4701_purchase" and b"person4701@" in sequence[-1].body
    service.stop()
    with_keys(service, "n")
    assert service.shopify("refunds/create", back) == (200, "duplicate")
    buy(service, 4703)
    service.wait_drained()
    assert not service.jobs("dead")


def test_a_key_that_is_missing_is_told(start, destinations):
    service = start()
    destinations.always["meta"] = Answer(503)
    buy(service, 4801)
    wait_for(lambda: destinations.of("ord_4801_purchase", "meta"), what="the first attempt")
    service.stop()
    with_keys(service, "n", "k")
    named = re.search(r"seal_key: \w{8} seals, (\w{8}) opens", service.log.read_text())[1]
    service.stop()
    with_keys(service, "n")
    dead = wait_for(lambda: service.jobs("dead"), what="the dead letter")
    assert f"the key {named} that sealed this" in next(iter(dead.values()))["reason"]
    service.stop()
    destinations.always["meta"] = None
    with_keys(service, "n", "k")
    assert service.redrive(dead) is not None
    destinations.wait_delivered(["ord_4801_purchase"])


def test_keys_are_replaced_while_redis_is_away(start, redis, tmp_path, destinations):
    """The spool says of which key the hashes are; with that one gone the start waits for Redis."""
    service = start(redis.url, extra=f"spool: {tmp_path}/spool.db")
    buy(service, 4901, delivery="once")
    service.wait_drained()
    service.stop()
    redis.kill()
    with_keys(service, "n", "k")
    buy(service, 4902, delivery="later")
    assert service.metric("fireorder_spooled") == 1
    redis.start()
    wait_for(lambda: service.metric("fireorder_spooled") == 0, what="it to be forwarded")
    destinations.wait_delivered(["ord_4902_purchase"])
    assert service.shopify("orders/create", order(4901), "once") == (200, "duplicate")
    assert service.shopify("orders/create", order(4902), "later") == (200, "duplicate")
    service.stop()
    redis.kill()
    service.config.write_text(re.sub(r"^seal_key:.*$", f"seal_key: {key('n')}", service.config.read_text(), flags=re.M))
    service.start(wait=False)
    assert service.process.wait(20) == 1
    redis.start()
    service.start()
    assert service.shopify("orders/create", order(4902), "later") == (200, "duplicate")
