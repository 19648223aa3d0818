"""fireorder report: what a known mix of orders leaves in the ledger, counted by hand, on both stores, after restarts and kills."""
import json
import signal
import time

import pytest

from fakes import Answer, good, klaviyo_error
from service import charge, checkout, fireorder, order, own_event, wait_for

SECONDS = int(time.time())
FBP = {"name": "_fbp", "value": "fb.1.1760000000000.1098115397"}
FBC = {"name": "_fbc", "value": f"fb.1.{SECONDS - 100}000.IwAR0abc"}
DAMAGED = {"name": "_fbc", "value": "fb.1.yesterday.IwAR0abc"}
DENIED = {"name": "_consent", "value": "denied"}


def buyer(number, *attributes, **more):
    return order(number, f"buyer{number}@klaviyo-demo.com", note_attributes=[FBP, *attributes], **more)


def run(service, *arguments):
    return fireorder("report", "--config", service.config, *arguments, env=service.environment)


def report(service, *arguments):
    result = run(service, "--json", *arguments)
    assert result.returncode == 0, result.stderr
    shops = json.loads(result.stdout)["shops"]
    assert [s["shop"] for s in shops] == ["acme"]
    return shops[0]


def figures(shop):
    """Without the two times, which differ from one report to the next."""
    return {k: v for k, v in shop.items() if k not in ("since", "until")}


def accepted(*answers):
    for status, _ in answers:
        assert status == 200


def send_mix(service):
    seen = {"browser_ip": "203.0.113.7", "client_details": {"user_agent": "Mozilla/5.0"}}
    for n in range(1, 7):  # the click arrives
        accepted(service.shopify("orders/create", buyer(n, FBC, **seen)))
    for n in range(11, 14):  # the click is lost on the way
        accepted(service.shopify("orders/create", buyer(n, DAMAGED)))
    for n in range(21, 25):  # no click
        accepted(service.shopify("orders/create", buyer(n)))
    for n in range(31, 33):  # consent declined
        accepted(service.shopify("orders/create", buyer(n, FBC, DENIED)))
    for n in range(41, 43):  # the first order of a subscription: Shopify's order and Recharge's charge
        accepted(service.shopify("orders/create", buyer(n)), service.recharge("charge/paid", charge(n + 900, n, kind="checkout")))
    accepted(service.recharge("charge/paid", charge(951, 51)),  # a renewal: both again
             service.shopify("orders/create", buyer(51, tags="Subscription, Subscription Recurring Order")))
    for n in range(61, 64):
        accepted(service.shopify("checkouts/create", checkout(f"chk{n}", f"buyer{n}@klaviyo-demo.com")))
    accepted(service.shopify("orders/create", {**buyer(71), "test": True}))  # ignored
    service.wait_drained()
    accepted(service.shopify("orders/paid", buyer(1, FBC, **seen)))  # once more by the same sender
    status, answer = service.events(own_event("ord_2_purchase", "purchase", value="129.95", currency="USD"))  # and by another one
    assert status in (200, 202), answer
    service.wait_drained()


def check_mix(shop):
    events = {e["event"]: e for e in shop["meta_events"]}
    assert set(events) == {"Purchase", "RecurringSubscriptionPayment", "InitiateCheckout"}
    purchase, started = events["Purchase"], events["InitiateCheckout"]
    assert (purchase["meant"], purchase["sent"], purchase["consent_denied"]) == (17, 15, 2)
    assert purchase["identity_percent"] == {"em": 100.0, "ph": 0.0, "external_id": 100.0, "fbp": 100.0, "fbc": 40.0, "ip+ua": 40.0}
    assert purchase["identity"] == 63.3  # (15 + 0 + 15 + 15 + 6 + 6) of 90
    assert (started["meant"], started["sent"]) == (3, 3) and started["identity_percent"]["em"] == 100.0 and started["identity_percent"]["fbp"] == 0.0
    assert (started["identity"], started["behind_purchase"]) == (16.7, 46.6)
    assert events["RecurringSubscriptionPayment"]["sent"] == 1
    assert shop["purchase_fbc"] == {"sent": 15, "with_fbc": 6, "percent": 40.0, "with_click": 9, "with_click_and_fbc": 6, "click_percent": 66.7}
    assert shop["consent"] == {"meant": 21, "declined": 2, "declined_percent": 9.5, "unknown": 0, "unknown_percent": 0.0}
    assert shop["double_sending"] == {"orders": 18, "told_by_two": 4, "told_by_two_percent": 22.2, "sent_twice": 0, "sent_twice_percent": 0.0}
    assert shop["klaviyo_sent"] == 21
    gap = shop["gap_ms"]
    assert (gap["events"], gap["klaviyo_first"]) == (19, 0) and 0 <= gap["p50"] <= gap["p95"] <= gap["max"] < 10_000
    assert shop["lines"] == 21 + 3 + 2  # events, mirrored orders, orders told once more
    assert shop["warnings"] == []  # nine clicks are too few to tell


def test_a_known_mix(start, store):
    service = start(store)
    send_mix(service)
    shop = report(service)
    check_mix(shop)

    status, text = service.get("/report?since=7d&shop=acme")
    assert status == 200 and figures(json.loads(text)["shops"][0]) == figures(shop)
    metric = service.metric
    assert metric("fireorder_meta_events_total", shop="acme", event="purchase", outcome="sent") == 15
    assert metric("fireorder_meta_events_total", event="purchase", outcome="consent_denied") == 2
    assert metric("fireorder_meta_identity_total", event="purchase", identifier="fbc") == 6
    assert metric("fireorder_meta_identity_total", event="purchase", identifier="ph") == 0
    assert (metric("fireorder_orders_with_click_total"), metric("fireorder_orders_with_click_and_fbc_total")) == (9, 6)
    assert metric("fireorder_order_reports_total", result="repeated") == 5
    assert metric("fireorder_order_reports_total", source="recharge", result="told") == 1

    table = run(service).stdout
    assert "40.0 % of all (6 of 15), 66.7 % where a click was seen (6 of 9)" in table and "declined  9.5 % (2 of 21)" in table
    assert "22.2 % of orders told by two senders (4 of 18), 0.0 % sent to Meta twice (0)" in table and "No threshold is crossed." in table
    assert "klaviyo-demo.com" not in table + text

    service.stop()
    service.start()
    assert figures(report(service)) == figures(shop)
    time.sleep(1.1)  # the clock has to move: nothing was told in the last second
    assert report(service, "--since", "1s")["lines"] == 0


def test_an_order_that_is_sent_twice_under_another_id(start):
    service = start()
    accepted(service.shopify("orders/create", buyer(1)), service.shopify("orders/create", buyer(2)))
    for number, event_id in ((1, "mine-1"), (2, "ord_2")):
        status, answer = service.events(own_event(event_id, "purchase", value="129.95", currency="USD", properties={"order_id": str(number)}))
        assert status in (200, 202), answer
    service.wait_drained()
    assert report(service)["double_sending"] == {"orders": 2, "told_by_two": 2, "told_by_two_percent": 100.0, "sent_twice": 2, "sent_twice_percent": 100.0}


def test_custom_names_are_one_in_the_metrics(start):
    service = start()
    for n in range(5):
        service.events(own_event(f"q{n}", f"quiz_{n}"))
    service.wait_drained()
    assert service.metric("fireorder_meta_events_total", event="custom") == 5
    assert "quiz_" not in service.get("/metrics")[1]


def test_warnings(start, destinations):
    service = start()
    for n in range(1, 13):
        accepted(service.shopify("orders/create", buyer(n, DAMAGED if n > 3 else FBC, browser_ip="203.0.113.7", client_details={"user_agent": "Mozilla/5.0"})))
    for n in range(21, 32):
        accepted(service.shopify("checkouts/create", checkout(f"chk{n}", f"buyer{n}@klaviyo-demo.com")))
    # One order under two names: Shopify's order does not say that it is a renewal, Recharge's charge does.
    accepted(service.recharge("charge/paid", charge(901, 1)))
    service.wait_drained()
    shop = report(service)
    assert shop["double_sending"]["sent_twice"] == 1
    warnings = shop["warnings"]
    assert len(warnings) == 3 and "9 of 12 Purchases" in warnings[0] and "InitiateCheckout carries" in warnings[1] and "1 order twice" in warnings[2]
    assert run(service).stdout.count("\n  ! ") == 3


def test_a_gap_is_measured_from_metas_answer(start, destinations):
    destinations.answer_with = lambda destination, event_id, n: Answer(500, b"") if (destination, n) == ("meta", 1) else good(destination)
    service = start()
    accepted(service.shopify("orders/create", buyer(1)))
    service.wait_drained()
    gap = report(service)["gap_ms"]
    meta, klaviyo = destinations.of("ord_1_purchase", "meta", ok=True)[0], destinations.of("ord_1_purchase", "klaviyo")[0]
    assert meta.answered < klaviyo.came
    assert gap["events"] == 1 and gap["max"] <= (klaviyo.at - meta.at) * 1000 + 1


def test_a_gap_lasts_while_klaviyo_is_paused(start, destinations):
    destinations.script["profile", "*"] = [klaviyo_error(401)]
    service = start()
    accepted(service.shopify("orders/create", buyer(1)))
    wait_for(lambda: service.metric("fireorder_destination_paused", destination="klaviyo") == 1, what="the pause")
    service.events(own_event("s1"))  # its profile has nothing to say: the event itself is held back
    destinations.wait_delivered(["s1"], ["meta"])
    time.sleep(0.5)  # the gap that is to be seen
    service.process.send_signal(signal.SIGHUP)
    service.wait_drained()
    gap = report(service)["gap_ms"]
    assert gap["events"] == 2 and gap["p50"] >= 450 and gap["klaviyo_first"] == 0  # the purchase waited for its profile
    assert service.metric("fireorder_gap_seconds_count") == 2


def test_nothing_is_counted_twice_after_kills(start, store, destinations):
    service = start(store)
    destinations.always = {d: Answer(good(d).status, good(d).body, delay=0.03) for d in ("meta", "profile", "klaviyo")}
    for n in range(1, 61):
        accepted(service.shopify("orders/create", buyer(n)))
        if n % 15 == 0:
            destinations.wait(lambda d: len(d.of(destination="klaviyo", ok=True)) >= n // 3, what="some deliveries")
            service.kill()
            service.start()
    service.wait_drained()
    shop = report(service)
    assert shop["lines"] == 60 and shop["meta_events"][0]["sent"] == 60 and shop["klaviyo_sent"] == 60
    assert shop["double_sending"]["orders"] == 60 and shop["double_sending"]["sent_twice"] == 0


def test_who_may_ask_and_how(start):
    service = start(extra="admin_token: sesame-open")
    bearer = {"Authorization": "Bearer sesame-open"}
    assert service.get("/report")[0] == 401 and service.get("/report", {"Authorization": "Bearer wrong"})[0] == 401
    assert service.get("/report", bearer)[0] == 200
    for query, expected in [("since=7d", 200), ("since=30m&shop=acme", 200), ("shop=acme", 200), ("since=", 400), ("since=7", 400), ("since=0d", 400), ("since=-1d", 400),
                            ("since=91d", 400), ("since=%37d", 400), ("since=7d&x=1", 400), ("shop=", 404), ("shop=nobody", 404), ("&", 400)]:
        assert (query, service.get(f"/report?{query}", bearer)[0]) == (query, expected)
    assert report(service)["lines"] == 0
    config = service.config.read_text()
    service.config.write_text(config.replace("sesame-open", "another"))
    result = run(service)
    assert result.returncode == 1 and "admin_token" in result.stderr
    service.config.write_text(config)


def test_the_command_says_what_is_wrong(start):
    service = start()
    for arguments, words in [(["--since", "7"], "--since 7: not a duration"), (["--since", "91d"], "report_lifetime"), (["--shop", "nobody"], "no shop nobody"),
                             (["--admin", "http://127.0.0.1:1"], "--admin")]:
        result = run(service, *arguments)
        assert result.returncode != 0 and words in result.stderr and result.stdout == "", arguments
    assert report(service, "--admin", f"http://127.0.0.1:{service.admin}/", "--shop", "acme", "--since", "30m")["lines"] == 0
    service.stop()
    result = run(service)
    assert result.returncode == 1 and "start `fireorder serve`, or name it with --admin URL" in result.stderr
    assert fireorder("report").returncode == 2
    assert "--since" in fireorder("report", "--help").stdout
