"""What happens when a destination does not take an event: retries, hold, pause, dead letter, restart, stop, reload."""
import signal
import time

from fakes import Answer, good, klaviyo_error, meta_error
from service import checkout, order, wait_for


def status_of(destinations, event_id):
    return destinations.of(event_id, "klaviyo", ok=True)[0].json["data"]["attributes"]["properties"]["capi_status"]


def test_meta_is_tried_again_with_the_same_bytes(store, start, destinations):
    destinations.script["meta", "ord_1_purchase"] = [Answer(500, b"x"), Answer(reset="after")]
    service = start(store)
    service.shopify("orders/create", order(1))
    destinations.wait_delivered(["ord_1_purchase"])
    tries = destinations.of("ord_1_purchase", "meta")
    assert len(tries) == 3 and len({t.body for t in tries}) == 1
    assert status_of(destinations, "ord_1_purchase") == "sent"


def test_retry_after_is_obeyed(service, destinations):
    destinations.script["klaviyo", "ord_2_purchase"] = [klaviyo_error(429, "throttled", Retry_After=2)]
    service.shopify("orders/create", order(2))
    destinations.wait_delivered(["ord_2_purchase"])
    first, second = destinations.of("ord_2_purchase", "klaviyo")
    assert second.at - first.at >= 1.9


def test_a_purchase_goes_on_without_meta_after_ten_seconds(store, start, destinations):
    destinations.always["meta"] = Answer(500, b"x")
    service = start(store)
    service.shopify("orders/create", order(3))
    destinations.wait_delivered(["ord_3_purchase"], ["klaviyo"], deadline=40)
    meta, klaviyo = destinations.of("ord_3_purchase", "meta")[0], destinations.of("ord_3_purchase", "klaviyo")[0]
    assert 8 < klaviyo.at - meta.at < 20
    assert status_of(destinations, "ord_3_purchase") == "retrying"
    # Meta is retried aside, and the lane has gone on meanwhile.
    service.shopify("orders/cancelled", order(3, cancelled_at="2026-11-20T10:00:00Z", cancel_reason="customer"))
    destinations.wait(lambda d: d.of("ord_3_cancelled", "klaviyo", ok=True), 30, "the cancellation")
    assert service.metric("fireorder_pending") >= 1
    destinations.always["meta"] = None
    destinations.wait_delivered(["ord_3_purchase"], ["meta"], deadline=90)
    assert len({s.body for s in destinations.of("ord_3_purchase", "meta")}) == 1
    service.wait_drained()


def test_after_an_outage_nobody_waits_for_a_back_off(store, start, destinations):
    destinations.always["meta"] = Answer(503, b"")
    service = start(store)
    for n in range(40):
        service.shopify("orders/create", order(100 + n, email=f"p{n}@klaviyo-demo.com"))
    destinations.wait(lambda d: len(d.of(destination="meta")) >= 160, 40, "four tries of each: the next ones are up to 8 s off")
    destinations.always["meta"] = None
    destinations.wait_delivered([f"ord_{100 + n}_purchase" for n in range(40)], deadline=5)
    assert max(len(destinations.of(f"ord_{100 + n}_purchase", "meta")) for n in range(40)) < 12


def test_a_checkout_holds_but_not_the_purchase_behind_it(store, start, destinations):
    destinations.always["meta"] = Answer(503, b"")
    service = start(store)
    service.shopify("checkouts/create", checkout("hold1"))
    destinations.wait(lambda d: len(d.of("chk_hold1_started", "meta")) >= 2, 30, "two tries")
    assert not destinations.of("chk_hold1_started", "klaviyo")
    service.shopify("orders/create", order(4, checkout_token="hold1"))
    destinations.wait_delivered(["chk_hold1_started", "ord_4_purchase"], ["klaviyo"], deadline=60)
    assert [s.event_id for s in destinations.of(destination="klaviyo", ok=True)] == ["chk_hold1_started", "ord_4_purchase"]
    destinations.always["meta"] = None


def test_a_bad_event_is_dead_lettered_alone(store, start, destinations):
    destinations.script["meta", "ord_5_purchase"] = [meta_error(100, 2804019)]
    destinations.script["klaviyo", "ord_6_purchase"] = [klaviyo_error(400)]
    service = start(store)
    for n in (5, 6, 7):
        service.shopify("orders/create", order(n, email=f"p{n}@klaviyo-demo.com"))
    destinations.wait_delivered(["ord_5_purchase"], ["klaviyo"])
    destinations.wait_delivered(["ord_6_purchase"], ["meta"])
    destinations.wait_delivered(["ord_7_purchase"])
    service.wait_drained()
    assert status_of(destinations, "ord_5_purchase") == "failed"
    assert service.metric("fireorder_dead") == 2
    assert len(destinations.of("ord_6_purchase", "klaviyo")) == 1


def test_a_bad_credential_pauses_and_keeps_the_events(store, start, destinations):
    destinations.always["klaviyo"] = klaviyo_error(401, "authentication_failed")
    service = start(store)
    for n in range(10, 30):
        service.shopify("orders/create", order(n, email=f"p{n}@klaviyo-demo.com"))
    destinations.wait_delivered([f"ord_{n}_purchase" for n in range(10, 30)], ["meta"])
    wait_for(lambda: service.metric("fireorder_destination_paused", destination="klaviyo") == 1
             or service.metric("fireorder_destination_paused") >= 1, what="the pause")
    tried = len(destinations.of(destination="klaviyo"))
    assert tried <= 20 and service.metric("fireorder_dead") == 0
    destinations.always["klaviyo"] = None
    service.process.send_signal(signal.SIGHUP)
    destinations.wait_delivered([f"ord_{n}_purchase" for n in range(10, 30)], deadline=40)
    service.wait_drained()
    assert service.metric("fireorder_destination_paused") == 0


def test_sigterm_gives_leases_back_and_a_restart_goes_on_at_the_same_step(store, start, destinations):
    service = start(store)
    destinations.script["klaviyo", "ord_40_purchase"] = [Answer(503, b"", {"Retry-After": "3"})]
    service.shopify("orders/create", order(40))
    destinations.wait(lambda d: d.of("ord_40_purchase", "klaviyo"), what="Klaviyo's first try")
    began = time.monotonic()
    service.stop()
    assert time.monotonic() - began < 15
    service.start()
    destinations.wait_delivered(["ord_40_purchase"], deadline=40)
    assert len(destinations.of("ord_40_purchase", "meta")) == 1, "Meta had answered before the restart"


def test_sigterm_lets_a_request_in_flight_finish(store, start, destinations):
    service = start(store)
    destinations.script["meta", "ord_41_purchase"] = [Answer(200, good("meta").body, delay=2)]
    service.shopify("orders/create", order(41))
    destinations.wait(lambda d: d.of("ord_41_purchase", "meta"), what="Meta's request")
    service.stop()
    service.start()
    destinations.wait_delivered(["ord_41_purchase"], deadline=40)
    assert len(destinations.of("ord_41_purchase", "meta")) == 1


def test_reload_takes_new_secrets_and_keeps_the_old_file_on_a_fault(service, destinations):
    good_text = service.config.read_text()
    service.config.write_text(good_text.replace('["${SHOPIFY_SECRET}"]', '["second"]'))
    service.process.send_signal(signal.SIGHUP)
    wait_for(lambda: service.shopify("products/update", {"id": 1}, secret="second")[0] == 200, what="the new secret")
    assert service.shopify("products/update", {"id": 1})[0] == 401
    service.config.write_text(good_text + "\nnonsense: 1\n")
    service.process.send_signal(signal.SIGHUP)
    wait_for(lambda: "nonsense" in service.log.read_text(), what="the fault in the log")
    assert service.shopify("products/update", {"id": 2}, secret="second")[0] == 200


def test_old_orders_are_too_late_for_meta_and_backfill_for_klaviyo(service, destinations):
    old = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - 20 * 86400))
    service.shopify("orders/create", order(50, created_at=old, processed_at=old))
    destinations.wait_delivered(["ord_50_purchase"], ["klaviyo"])
    attributes = destinations.of("ord_50_purchase", "klaviyo")[0].json["data"]["attributes"]
    assert attributes["backfill"] is True
    assert attributes["properties"]["capi_status"] == "skipped" and "expired" in attributes["properties"]["capi_reason"]
    assert not destinations.of("ord_50_purchase", "meta")


def test_denied_consent_never_reaches_meta(service, destinations):
    service.shopify("orders/create", order(60, note_attributes=[{"name": "_consent", "value": "denied"}]))
    destinations.wait_delivered(["ord_60_purchase"], ["klaviyo"])
    assert status_of(destinations, "ord_60_purchase") == "skipped"
    assert not destinations.of("ord_60_purchase", "meta")
