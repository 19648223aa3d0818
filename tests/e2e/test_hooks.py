"""What the webhook address answers: good, bad and hostile requests."""
import base64
import hashlib
import json
import os
import signal
import socket
import time

import pytest

from fakes import Answer
from service import RECHARGE_SECRET, charge, checkout, order, sign_shopify, wait_for


def counts(service):
    return {line.rsplit(" ", 1)[0]: line.rsplit(" ", 1)[1] for line in service.get("/metrics")[1].splitlines()
            if line.startswith("fireorder_webhooks_total")}


def test_order_reaches_meta_then_klaviyo(store, start, destinations):
    service = start(store)
    assert service.shopify("orders/create", order(1001)) == (200, "accepted")
    destinations.wait_delivered(["ord_1001_purchase"])
    meta, klaviyo = destinations.of("ord_1001_purchase")
    assert (meta.destination, klaviyo.destination) == ("meta", "klaviyo")
    assert meta.answered < klaviyo.came
    assert meta.path == "/v25.0/1234567890/events" and meta.headers["Authorization"] == "Bearer EAAtoken"
    assert meta.name == "Purchase" and meta.json["data"][0]["custom_data"]["value"] == 129.95
    assert klaviyo.headers["Authorization"] == "Klaviyo-API-Key pk_test" and klaviyo.headers["revision"] == "2026-07-15"
    properties = klaviyo.json["data"]["attributes"]["properties"]
    assert properties["capi_event_id"] == "ord_1001_purchase" and properties["capi_status"] == "sent"
    service.wait_drained()
    assert service.metric("fireorder_order_violations_total") == 0
    assert service.metric("fireorder_steps_total", destination="meta", outcome="sent") == 1


def test_meta_gets_no_raw_person(service, destinations):
    service.shopify("orders/create", order(1002, email="Zoe.Quill@klaviyo-demo.com", phone="+15125550123"))
    destinations.wait_delivered(["ord_1002_purchase"])
    body = destinations.of("ord_1002_purchase", "meta")[0].body.decode().lower()
    for raw in ("zoe.quill", "klaviyo-demo", "5125550123", '"roth', '"ava'):
        assert raw not in body
    assert hashlib.sha256(b"zoe.quill@klaviyo-demo.com").hexdigest() in body


@pytest.mark.parametrize("headers", [
    {"X_Shopify_Hmac_Sha256": None},
    {"X_Shopify_Hmac_Sha256": "AAAA"},
    {"X_Shopify_Hmac_Sha256": sign_shopify(b"something else")},
    {"X_Shopify_Hmac_Sha256": ""},
])
def test_wrong_signature_changes_nothing(service, destinations, headers):
    assert service.shopify("orders/create", order(1003), **headers)[0] == 401
    assert service.metric("fireorder_pending") == 0
    assert service.shopify("orders/create", order(1004)) == (200, "accepted")
    destinations.wait_delivered(["ord_1004_purchase"])
    assert not destinations.of("ord_1003_purchase")


def test_unknown_shop_and_path_answer_like_a_wrong_signature(service):
    body = b"{}"
    good = {"X-Shopify-Topic": "orders/create", "X-Shopify-Hmac-Sha256": sign_shopify(body)}
    wrong = service.post("/hooks/acme/shopify", body, {**good, "X-Shopify-Hmac-Sha256": "x"})
    assert wrong[0] == 401
    for path in ("/hooks/nobody/shopify", "/hooks/acme/other", "/hooks/acme", "/hooks/", "/hooks/acme/shopify/", "/hooks/acme/recharge/charge",
                 "/hooks/acme/shopify/orders", "/hooks/acme/shopif%79", "/hooks/%2e%2e/x"):
        assert service.post(path, body, good) == wrong, path


def test_every_configured_secret_counts(start, destinations):
    service = start()
    text = service.config.read_text().replace('["${SHOPIFY_SECRET}"]', '["old", "${SHOPIFY_SECRET}", "third"]')
    service.config.write_text(text)
    service.stop()
    service.start()
    for n, secret in enumerate(["old", "shpss_test", "third"]):
        assert service.shopify("orders/create", order(1100 + n), secret=secret) == (200, "accepted")
    destinations.wait_delivered([f"ord_{1100 + n}_purchase" for n in range(3)])


def test_same_delivery_and_same_body_are_one_event(store, start, destinations):
    service = start(store)
    body = json.dumps(order(1005)).encode()
    assert service.shopify("orders/create", body, delivery="d-1") == (200, "accepted")
    assert service.shopify("orders/create", body, delivery="d-1") == (200, "duplicate")
    assert service.shopify("orders/create", body, delivery="d-2") == (200, "duplicate")
    assert service.shopify("orders/paid", order(1005), delivery="d-3") == (200, "accepted")
    service.wait_drained()
    assert [s.destination for s in destinations.of("ord_1005_purchase")] == ["meta", "klaviyo"]


def test_unknown_topic_is_recorded_as_ignored(service, destinations):
    assert service.shopify("products/update", {"id": 5}) == (200, "ignored")
    assert service.recharge("plan/created", {"plan": {"id": 5}}) == (200, "ignored")
    service.wait_drained()
    assert destinations.of() == []


@pytest.mark.parametrize("raw", [
    b"", b"not json", b"[1,2]", b'"text"', b"{} x", b'{"id":1}\x80', b'{"id":"\x00"}', b'{"id":"\\u0000"}', b'{"id":"\xff"}', b'{"a":' * 65 + b"1" + b"}" * 65,
    b'{"id":01}', b'{"id":1,}', b"\xef\xbb\xbf{}",
], ids=lambda r: repr(r[:16]))
def test_signed_but_unreadable_is_kept_and_not_retried(service, destinations, raw):
    assert service.shopify("orders/create", raw) == (200, "undecodable")
    assert service.metric("fireorder_dead") == 1
    assert destinations.of() == []


def raw_request(service, head, body=b"", wait=5.0):
    with socket.create_connection(("127.0.0.1", service.port), wait) as s:
        s.sendall(head + body)
        s.settimeout(wait)
        answer = b""
        try:
            while chunk := s.recv(65536):
                answer += chunk
        except (TimeoutError, ConnectionResetError):
            pass
    return answer


def head(*lines):
    return ("\r\n".join(["POST /hooks/acme/shopify HTTP/1.1", "Host: x", "X-Shopify-Topic: orders/create", *lines]) + "\r\n\r\n").encode()


GOOD = json.dumps(order(1200)).encode()
SIGNED = f"X-Shopify-Hmac-Sha256: {sign_shopify(GOOD)}"


@pytest.mark.parametrize("lines, status", [
    ([SIGNED], 411),
    ([SIGNED, f"Content-Length: {len(GOOD)}", f"Content-Length: {len(GOOD)}"], 400),
    ([SIGNED, f"Content-Length: +{len(GOOD)}"], 400),
    ([SIGNED, f"Content-Length: {len(GOOD)}xyz"], 400),
    ([SIGNED, "Content-Length: 0x10"], 400),
    ([SIGNED, "Content-Length: -1"], 400),
    ([SIGNED, "Transfer-Encoding: chunked"], 400),
    ([SIGNED, f"Content-Length: {len(GOOD)}", "Transfer-Encoding: chunked"], 400),
    ([SIGNED, SIGNED, f"Content-Length: {len(GOOD)}"], 400),
    ([SIGNED, f"Content-Length: {9 << 20}"], 413),
    ([SIGNED, f"Content-Length: {len(GOOD)}", *[f"X-Filler-{i}: 1" for i in range(61)]], 400),
], ids=["no length", "two lengths", "plus", "letters", "hex", "negative", "chunked", "length and chunked", "two signatures", "9 MiB",
        "many headers"])
def test_odd_requests_are_refused_and_the_connection_closed(service, destinations, lines, status):
    answer = raw_request(service, head(*lines), GOOD)
    assert answer.split(b" ")[1] == str(status).encode(), answer[:200]
    assert answer.count(b"HTTP/1.1 ") == 1
    assert service.get("/readyz")[0] == 200
    assert service.metric("fireorder_pending") == 0 and destinations.of() == []


def test_what_is_behind_a_refused_request_is_not_answered(service):
    second = head(SIGNED, f"Content-Length: {len(GOOD)}") + GOOD
    answer = raw_request(service, second.replace(b"Sha256: ", b"Sha256: x", 1) + second)
    assert answer.count(b"HTTP/1.1 ") == 1 and b" 401 " in answer.split(b"\r\n")[0]
    assert service.metric("fireorder_pending") == 0


def test_no_identity_skips_klaviyo_only(service, destinations):
    body = order(1300, email=None, customer=None, browser_ip="203.0.113.7",
                 client_details={"browser_ip": "203.0.113.7", "user_agent": "Mozilla/5.0"})
    assert service.shopify("orders/create", body) == (200, "accepted")
    destinations.wait_delivered(["ord_1300_purchase"], ["meta"])
    service.wait_drained()
    assert [s.destination for s in destinations.of("ord_1300_purchase")] == ["meta"]
    assert service.metric("fireorder_steps_total", destination="klaviyo.event", outcome="skipped") == 1


def test_ids_beyond_doubles_survive(service, destinations):
    service.shopify("orders/create", json.dumps(order(820982911946154508)).encode())
    destinations.wait_delivered(["ord_820982911946154508_purchase"])


def test_recharge_signatures(service):
    assert service.recharge("charge/failed", charge(1), legacy=False) == (200, "accepted")
    assert service.recharge("charge/failed", charge(2), secret="wrong")[0] == 401
    assert service.recharge("charge/failed", charge(3), at=time.time() - 49 * 3600)[0] == 401
    # The timestamped signature has been seen: leaving it out is a downgrade from now on, and survives a restart.
    assert service.recharge("charge/failed", charge(4), timestamped=False)[0] == 401
    service.stop()
    service.start()
    assert service.recharge("charge/failed", charge(5), timestamped=False)[0] == 401
    assert service.recharge("charge/failed", charge(6)) == (200, "accepted")


def test_recharge_legacy_until_pinned(service):
    assert service.recharge("charge/failed", charge(7), timestamped=False) == (200, "accepted")
    assert service.recharge("charge/failed", charge(8), timestamped=False) == (200, "accepted")


def test_renewal_and_its_mirror_are_one_event(store, start, destinations):
    service = start(store)
    mirror = order(5006149877931, source_name="subscription_contract_checkout_one", tags="Subscription, Subscription Recurring Order")
    assert service.shopify("orders/create", mirror)[0] == 200
    assert service.recharge("charge/paid", charge(580825303, 5006149877931)) == (200, "accepted")
    assert service.recharge("charge/paid", charge(580825303, 5006149877931))[1] in ("accepted", "duplicate")
    destinations.wait_delivered(["ord_5006149877931_renewal"])
    service.wait_drained()
    events = [s for s in destinations.of() if s.destination != "profile"]
    assert [(s.destination, s.event_id) for s in events] == [("meta", "ord_5006149877931_renewal"), ("klaviyo", "ord_5006149877931_renewal")]


def test_a_refund_knows_who_bought(store, start, destinations):
    service = start(store)
    service.shopify("orders/create", order(1400))
    service.shopify("refunds/create", {"id": 9, "order_id": 1400, "created_at": "2026-11-20T10:00:00Z", "refund_line_items": [],
                                       "transactions": [{"kind": "refund", "status": "success", "amount": "20.00", "currency": "USD"}]})
    destinations.wait_delivered(["ord_1400_refund_9"], ["klaviyo"])
    profile = destinations.of("ord_1400_refund_9", "klaviyo")[0].json["data"]["attributes"]["profile"]["data"]["attributes"]
    assert profile["email"] == "ava@klaviyo-demo.com"


def test_checkout_then_order(store, start, destinations):
    service = start(store)
    assert service.shopify("checkouts/create", checkout("tok1")) == (200, "accepted")
    assert service.shopify("orders/create", order(1500, checkout_token="tok1")) == (200, "accepted")
    destinations.wait_delivered(["chk_tok1_started", "ord_1500_purchase"])
    order_of_klaviyo = [s.event_id for s in destinations.of(destination="klaviyo", ok=True)]
    assert order_of_klaviyo == ["chk_tok1_started", "ord_1500_purchase"]


def test_full_disk_answers_503_and_keeps_what_was_acknowledged(tmp_path, start, destinations):
    import subprocess
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", str(disk)], capture_output=True).returncode:
        pytest.skip("needs the right to mount a tmpfs")
    try:
        destinations.always["meta"] = destinations.always["klaviyo"] = None
        service = start(f"sqlite:{disk}/fireorder.db")
        taken, statuses, number = [], [], 0
        # random text: it does not compress, so that the disk fills soon
        while 503 not in statuses and number < 400:
            number += 1
            status, _ = service.shopify("orders/create", order(20000 + number, note=os.urandom(20000).hex()))
            statuses.append(status)
            if status == 200:
                taken.append(f"ord_{20000 + number}_purchase")
        assert 503 in statuses and set(statuses) <= {200, 503}
        service.kill()
        subprocess.run(["mount", "-o", "remount,size=64m", str(disk)], check=True)
        service.start()
        destinations.wait_delivered(taken)
        service.close()
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


def test_store_away_is_503(redis, start, destinations):
    service = start(redis.url)
    redis.kill()
    status, _ = service.shopify("orders/create", order(1600))
    assert status == 503
    wait_for(lambda: service.get("/readyz")[0] == 503, what="readyz to say no")
    redis.start()
    wait_for(lambda: service.get("/readyz")[0] == 200, what="readyz to say yes")
    assert service.shopify("orders/create", order(1600)) == (200, "accepted")
    destinations.wait_delivered(["ord_1600_purchase"])


def test_length_extension_of_the_legacy_signature_proves_nothing(service, destinations):
    # What a forger can reach: a valid digest over body + padding + suffix. The bytes after the object are not JSON.
    raw = json.dumps(charge(9)).encode() + b"\x80" + b"\x00" * 20 + b'{"charge":{"id":1}}'
    digest = hashlib.sha256(RECHARGE_SECRET.encode() + raw).hexdigest()
    assert service.post("/hooks/acme/recharge/charge/paid", raw, {"X-Recharge-Hmac-Sha256": digest}) == (401, None)
    assert service.metric("fireorder_dead") == 0 and service.metric("fireorder_webhooks_total", result="rejected_signature") == 1
    assert destinations.of() == []


def test_redis_that_comes_back_less_durable_is_not_trusted(start, redis, destinations):
    service = start(redis.url)
    assert service.shopify("orders/create", order(1700)) == (200, "accepted")
    destinations.wait_delivered(["ord_1700_purchase"])
    redis.kill()
    redis.settings = ("--appendfsync", "everysec")
    redis.start()
    wait_for(lambda: "appendfsync" in service.log.read_text(), what="the complaint")
    assert service.get("/readyz")[0] == 503
    assert service.shopify("orders/create", order(1701))[0] == 503
    redis.kill()
    redis.settings = ()
    redis.start()
    wait_for(lambda: service.shopify("orders/create", order(1701))[0] == 200, what="the store to be trusted again")
    destinations.wait_delivered(["ord_1701_purchase"])


def test_another_seal_key_stops_the_start(service, start):
    assert service.shopify("orders/create", order(1710)) == (200, "accepted")
    service.kill()
    service.environment["FIREORDER_SEAL_KEY"] = base64.b64encode(b"j" * 32).decode()
    service.start(wait=False)
    assert service.process.wait(20) == 1
    assert "seal_key" in service.log.read_text()


def test_throttled_meta_is_heeded_as_it_says(service, destinations):
    destinations.script["meta", "*"] = [Answer(429, b"{}", {"Retry-After": "1"})]
    for n in range(20):
        assert service.shopify("orders/create", order(1720 + n, email=f"t{n}@klaviyo-demo.com", customer={"id": 8000 + n}))[0] == 200
    destinations.wait_delivered([f"ord_{1720 + n}_purchase" for n in range(20)], deadline=15)


def test_reload_without_a_seal_key_in_the_configuration(start, tmp_path, destinations):
    service = start()
    service.stop()
    service.config.write_text("".join(line for line in service.config.read_text().splitlines(True) if not line.startswith("seal_key")))
    (tmp_path / "fireorder.db").unlink()
    service.start()
    service.process.send_signal(signal.SIGHUP)
    wait_for(lambda: "reloaded" in service.log.read_text(), what="the reload")
    assert "not reloaded" not in service.log.read_text()
