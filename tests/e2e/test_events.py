"""POST /events/<shop>: people's own events, good, bad and hostile."""
import json
import random
import socket
import subprocess
import time

import pytest

from service import EVENTS_SECRET, ROOT, now, order, own_event, sign_timestamped, wait_for
from test_cli import run

PATH = "/events/acme"


def results(answer):
    return [(r["id"], r["status"]) for r in answer[1]["results"]]


def test_an_event_reaches_meta_then_klaviyo(store, start, destinations):
    service = start(store)
    event = own_event("pv_1", "view_item", value="129.95", currency="EUR", experiment={"id": "exp_7", "variant": "B"},
                      items=[{"variant_id": "808950810", "title": "Serum", "quantity": 1, "price": "129.95"}],
                      properties={"product_url": "https://acme.example/products/serum"})
    assert service.events(event) == (200, {"results": [{"id": "pv_1", "status": "accepted", "faults": []}]})
    destinations.wait_delivered(["pv_1"])
    meta, klaviyo = destinations.of("pv_1")
    assert (meta.destination, klaviyo.destination) == ("meta", "klaviyo") and meta.answered < klaviyo.came
    assert meta.name == "ViewContent" and meta.json["data"][0]["custom_data"]["value"] == 129.95
    attributes = klaviyo.json["data"]["attributes"]
    assert attributes["metric"]["data"]["attributes"]["name"] == "Viewed Product" and attributes["unique_id"] == "pv_1"
    assert attributes["properties"]["experiment_id"] == "exp_7" and attributes["properties"]["capi_status"] == "sent"
    service.wait_drained()


def test_names_of_their_own_go_to_klaviyo_alone(service, destinations):
    assert service.events(own_event("q_1", "quiz_finished", properties={"score": 3}))[0] == 200
    destinations.wait(lambda d: d.of("q_1", "klaviyo"), what="the custom event")
    attributes = destinations.of("q_1", "klaviyo")[0].json["data"]["attributes"]
    assert attributes["metric"]["data"]["attributes"]["name"] == "quiz_finished" and attributes["properties"]["score"] == 3
    service.wait_drained()
    assert not destinations.of("q_1", "meta")


def test_five_hundred_in_one_request(store, start, destinations):
    service = start(store)
    events = [own_event(f"m_{n}", "search", email=f"p{n % 40}@klaviyo-demo.com", properties={"query": "serum"}) for n in range(500)]
    began = time.monotonic()
    answer = service.events(events)
    took = time.monotonic() - began
    assert answer[0] == 200 and results(answer) == [(f"m_{n}", "accepted") for n in range(500)]
    assert took < 10, f"{took:.1f} s for 500 events"
    assert service.metric("fireorder_webhooks_total", source="events", topic="search", result="accepted") == 500
    again = service.events(events)
    assert again[0] == 200 and {status for _, status in results(again)} == {"duplicate"}
    destinations.wait_delivered([f"m_{n}" for n in range(500)], deadline=120)
    service.wait_drained(120)
    for n in range(500):
        assert len(destinations.of(f"m_{n}")) == 2
    assert service.metric("fireorder_order_violations_total") == 0
    assert service.events([own_event(f"x_{n}") for n in range(501)])[0] == 413
    assert service.metric("fireorder_webhooks_total", source="events", result="rejected_count") == 1


def test_one_bad_among_good(service, destinations):
    bad = own_event("b_2", "Search", value="CANARY-VALUE", user={"emial": "canary@klaviyo-demo.com"}, items=[{}, {}, {"price": "CANARY-PRICE"}])
    status, answer = service.events([own_event("b_1"), bad, own_event("b_3"), "b_4"])
    assert status == 200
    assert [(r["id"], r["status"]) for r in answer["results"]] == [("b_1", "accepted"), ("b_2", "invalid"), ("b_3", "accepted"), (None, "invalid")]
    faults = answer["results"][1]["faults"]
    assert sorted(f.split(":")[0] for f in faults) == ["items[2].price", "name", "user.emial", "value"]
    assert "email" in [f for f in faults if f.startswith("user.emial")][0]
    text = json.dumps(answer)
    assert "CANARY" not in text and "canary@" not in text
    destinations.wait_delivered(["b_1", "b_3"])
    service.wait_drained()
    assert "canary" not in service.log.read_text().lower()


def test_none_valid_is_422_and_stores_nothing(service):
    for body in ([], {}, 7, None, "text", [[]], [{"id": "x"}], own_event("x", time=now(600)), own_event("x", time=now(-367 * 86400)),
                 own_event("x", time="2026-11-21T10:00:00"), own_event("x", time=time.time())):
        status, answer = service.events(body)
        assert status == 422 and set(answer) == {"results"}, body
        assert all(r["status"] == "invalid" and r["faults"] for r in answer["results"])
    assert service.metric("fireorder_pending") == 0
    assert service.metric("fireorder_webhooks_total", result="accepted") == 0
    assert service.events(own_event("x", time=now(240)))[0] == 200


@pytest.mark.parametrize("offset, status", [(0, 200), (-290, 200), (290, 200), (-310, 401), (310, 401), (-86400, 401)])
def test_the_window_of_the_signature(service, offset, status):
    assert service.events(own_event(f"w_{offset}"), at=time.time() + offset)[0] == status


def test_whoever_cannot_sign_learns_nothing(service):
    raw = json.dumps(own_event("s_1")).encode()
    good = {"X-Fireorder-Signature": sign_timestamped(raw, EVENTS_SECRET)}
    refused = (401, {"error": "unauthorized"})
    t, v1 = good["X-Fireorder-Signature"].split(",")
    for value in ("", "x", t, v1, f"{t},v1={'0' * 64}", f"{t},{v1[:-1]}", f"t=1,{v1}", f"{t},{t},{v1}", f"{t},{v1.upper()[:3]}{v1[3:]}x", f"t= {t[2:]},{v1}",
                  sign_timestamped(raw, "other"), sign_timestamped(raw + b" ", EVENTS_SECRET)):
        assert service.post_json(PATH, raw, {"X-Fireorder-Signature": value}) == refused, value
    assert service.post_json(PATH, raw, {}) == refused
    for path in ("/events/nobody", "/events/", "/events/acme/", "/events/acme/x", "/events/closed", "/hooks/acme/events"):
        assert service.post_json(path, raw, good) == refused, path
    assert service.post_json(PATH, b"not JSON", good) == refused
    assert service.metric("fireorder_webhooks_total", result="accepted") == 0
    several = f"{t},v1={'1' * 64}, {v1},v2=later"
    assert service.post_json(PATH, raw, {"X-Fireorder-Signature": several})[0] == 200


def test_a_replay_is_a_duplicate_whatever_it_says(store, start, destinations):
    service = start(store)
    raw = json.dumps(own_event("r_1", "lead")).encode()
    header = {"X-Fireorder-Signature": sign_timestamped(raw, EVENTS_SECRET)}
    answers = [service.post_json(PATH, raw, header) for _ in range(5)]
    assert [results(a)[0][1] for a in answers] == ["accepted"] + ["duplicate"] * 4
    other = service.events([own_event("r_1", "search", email="mia@klaviyo-demo.com"), own_event("r_2"), own_event("r_2")])
    assert results(other) == [("r_1", "duplicate"), ("r_2", "accepted"), ("r_2", "duplicate")]
    destinations.wait_delivered(["r_1", "r_2"])
    service.wait_drained()
    assert [d.destination for d in destinations.of("r_1")] == ["meta", "klaviyo"]
    service.kill()
    service.start()
    assert results(service.events(own_event("r_2"))) == [("r_2", "duplicate")]


def test_an_id_that_a_webhook_made_is_not_sent_again(service, destinations):
    assert service.shopify("orders/create", order(7001)) == (200, "accepted")
    destinations.wait_delivered(["ord_7001_purchase"])
    service.wait_drained()
    assert service.events(own_event("ord_7001_purchase", "purchase", value="1.00", currency="USD"))[0] == 200
    service.wait_drained()
    assert len(destinations.of("ord_7001_purchase")) == 2


def test_events_of_one_person_keep_their_order(service, destinations):
    ids = [f"o_{n}" for n in range(30)]
    assert service.events([own_event(i, "search", properties={"query": i}) for i in ids])[0] == 200
    destinations.wait_delivered(ids)
    service.wait_drained()
    assert [d.event_id for d in destinations.seen if d.destination == "meta"] == ids


@pytest.mark.parametrize("body", [
    b"", b"[", b"]", b"{", b"[{}", b"[{},]", b"[,{}]", b"{}{}", b"[]x", b"\xff", b"[\"\xff\"]", b"{\"id\":\"\\ud800\"}", b"{\"a\":1,}", b"NaN", b"[01]",
    b"[" * 100 + b"]" * 100, b"[" * 100000, b"{\"a\":" * 70 + b"1" + b"}" * 70, b"\xef\xbb\xbf[]", b"'x'", b"[1 2]", b"\x00", b"[\"\\u0000\"]",
], ids=lambda b: repr(b[:20]))
def test_what_is_no_list_of_events_is_malformed(service, body):
    status, answer = service.events(body)
    assert status == 400 and set(answer) == {"error"}
    assert service.metric("fireorder_pending") == 0


def test_hostile_arrays_harm_nobody(service, destinations):
    hostile = [
        [[]] * 500,
        [None] * 500,
        [{f"k{n}": n for n in range(2000)}] * 20,
        [own_event(f"h_{n}", properties={"deep": json.loads("[" * 40 + "]" * 40)}) for n in range(50)],
        [own_event("h_x", items=[{}] * 4001)],
        [own_event("h_y", items=[{"a": 1}] * 4000)],
        [own_event("h_z", properties={f"p{n}": n for n in range(49)})],
        [own_event("h_s", properties={"text": "x" * 102401})],
        [own_event("i" * 256), own_event("a b"), own_event("ü"), own_event("\n")],
        [{"\u001b[31m": 1, "__proto__": {}, "x" * 100000: 1}],
    ]
    for body in hostile:
        status, answer = service.events(body)
        assert status == 422 and all(r["faults"] for r in answer["results"]), json.dumps(body)[:100]
        assert max(len(r["faults"]) for r in answer["results"]) <= 65
        assert all(len(f) < 400 for r in answer["results"] for f in r["faults"])
    dice = random.Random(7)
    raw = json.dumps([own_event(f"f_{n}", items=[{"sku": "a", "price": "1.00"}], properties={"a": [1, {"b": None}]}) for n in range(5)]).encode()
    for _ in range(150):
        broken = bytearray(raw)
        for _ in range(dice.randint(1, 4)):
            broken[dice.randrange(len(broken))] = dice.choice(b'{}[]",:\\0a\x00\xff')
        status, answer = service.events(bytes(broken))
        assert status in (200, 400, 422), (status, bytes(broken))
    assert service.events(own_event("after"))[0] == 200
    destinations.wait_delivered(["after"])


def test_four_thousand_items_are_taken(service, destinations):
    items = [{"variant_id": n, "title": "Serum", "quantity": 1, "price": "1.00"} for n in range(4000)]
    assert service.events(own_event("big_1", "add_to_cart", items=items, value="4000.00", currency="EUR"))[0] == 200
    destinations.wait(lambda d: d.of("big_1", "meta"), what="the large event")
    service.wait_drained()


def test_sizes(service):
    with socket.create_connection(("127.0.0.1", service.port), 10) as s:
        s.sendall(b"POST /events/acme HTTP/1.1\r\nHost: x\r\nContent-Length: 8388609\r\n\r\n")
        assert b" 413 " in s.recv(100)
    with socket.create_connection(("127.0.0.1", service.port), 10) as s:
        s.sendall(b"POST /events/acme HTTP/1.1\r\nHost: x\r\n\r\n")
        assert b" 411 " in s.recv(100)
    with socket.create_connection(("127.0.0.1", service.port), 10) as s:
        s.sendall(b"GET /events/acme HTTP/1.1\r\nHost: x\r\n\r\n")
        assert b" 405 " in s.recv(100)


def test_full_request_of_eight_mebibytes(service):
    events = [own_event(f"e_{n}", properties={f"p{k}": "x" * 300 for k in range(46)}) for n in range(500)]
    raw = json.dumps(events).encode()
    assert 6 << 20 < len(raw) < 8 << 20
    answer = service.events(raw)
    assert answer[0] == 200 and len(answer[1]["results"]) == 500
    assert {status for _, status in results(answer)} == {"accepted"}


def test_a_store_that_is_away_accepts_none(redis, start):
    service = start(redis.url)
    redis.kill()
    status, answer = service.events([own_event("d_1"), own_event("d_2")])
    assert status == 503 and "error" in answer
    redis.start()
    wait_for(lambda: service.events([own_event("d_1"), own_event("d_2")])[0] == 200, what="the store again")


def test_several_secrets_and_a_closed_shop(start):
    service = start()
    text = service.config.read_text()
    service.config.write_text(text.replace('events: { secrets: ["${EVENTS_SECRET}"] }', 'events: { secrets: ["old", "${EVENTS_SECRET}"] }'))
    service.stop()
    service.start()
    for n, secret in enumerate(["old", EVENTS_SECRET]):
        assert service.events(own_event(f"k_{n}"), secret=secret)[0] == 200
    assert service.events(own_event("k_9"), secret="third")[0] == 401
    service.config.write_text("\n".join(line for line in text.splitlines() if "events:" not in line))
    service.stop()
    service.start()
    assert service.events(own_event("k_10"))[0] == 401


def test_fixtures_are_sent_as_people_would(service, destinations):
    folder = ROOT / "fixtures/events/product_viewed/with_browser"
    for expected in ("accepted", "duplicate"):
        result = run("send", folder, "--config", service.config, "--now", env=service.environment)
        assert result.returncode == 0 and expected in result.stdout, result.stdout + result.stderr
    destinations.wait_delivered(["pv_8841"])
    mapped = run("map", folder / "request.json", "--json")
    assert json.loads(mapped.stdout)["events"][0]["event"]["name"] == "product_viewed"
    wrong = run("map", ROOT / "fixtures/events/product_viewed")
    assert wrong.returncode == 1 and "events/<name>/<case>" in wrong.stderr


def test_the_curl_of_the_documentation(service):
    text = (ROOT / "docs/event.md").read_text()
    lines = [line[4:] for line in text[text.index("    body="):].split("\n\n")[0].splitlines()]
    script = "\n".join(lines).replace("2026-11-21T10:00:00Z", now())
    result = subprocess.run(["bash", "-c", script], capture_output=True, text=True, timeout=60,
                            env={**service.environment, "URL": f"http://127.0.0.1:{service.port}"})
    assert json.loads(result.stdout)["results"] == [{"id": "pv_8841", "status": "accepted", "faults": []}], result.stderr
