"""Cadence and next charge of a renewal: Recharge tells them of the subscription, not of its charges."""
from service import charge, now, wait_for

SUBSCRIPTION = 401220087


def subscription(number=SUBSCRIPTION, at=0, customer=None, **more):
    body = {"subscription": {"id": number, "customer_id": 9001, "status": "active", "price": "29.20", "quantity": 1, "order_interval_frequency": 1,
                             "order_interval_unit": "month", "charge_interval_frequency": 1, "created_at": now(-86400 * 40), "updated_at": now(at),
                             "next_charge_scheduled_at": day(30), **more}}
    return {**body, "customer": customer} if customer else body


def day(offset):
    return now(offset * 86400)[:10]


def renewal(number, subscription_id=SUBSCRIPTION, **more):
    body = charge(number)
    body["charge"]["customer"]["id"] = 9001
    body["charge"]["line_items"][0].update(purchase_item_id=subscription_id, purchase_item_type="subscription")
    body["charge"].update(more)
    return body


def told(destinations, event_id):
    """What Klaviyo's event of that renewal says of the schedule; every attempt says the same."""
    destinations.wait(lambda d: d.of(event_id, "klaviyo", ok=True), what=event_id)
    said = {(p.get("cadence"), p.get("next_charge_date"))
            for p in (s.json["data"]["attributes"]["properties"] for s in destinations.of(event_id, "klaviyo"))}
    assert len(said) == 1
    return said.pop()


def test_a_renewal_says_what_its_subscription_told(start, store, destinations):
    service = start(store)
    assert service.recharge("subscription/updated", subscription()) == (200, "accepted")
    assert service.recharge("charge/paid", renewal(1)) == (200, "accepted")
    assert told(destinations, "rc_charge_1_renewal") == ("1 month", day(30))
    failed = renewal(2, status="error", last_charge_attempt=now(), retry_date=day(3))
    assert service.recharge("charge/failed", failed) == (200, "accepted")
    assert told(destinations, "rc_charge_2_failed") == ("1 month", day(30))
    service.wait_drained()
    assert service.metric("fireorder_dead") == 0


def test_one_charge_is_one_renewal_before_and_after_its_order(start, store, destinations):
    service = start(store)
    for number, orders in ((2, (None, "5552")), (3, ("5553", None))):
        for order in orders:
            assert service.recharge("charge/paid", renewal(number, external_order_id={"ecommerce": order}, updated_at=now())) == (200, "accepted")
            service.wait_drained()
    sent = {s.event_id for s in destinations.of(destination="klaviyo")}
    assert sent == {"rc_charge_2_renewal", "ord_5553_renewal"} == {s.event_id for s in destinations.of(destination="meta")}
    assert service.log.read_text().count('reason="duplicate event"') == 2
    assert service.metric("fireorder_dead") == 0


def test_of_two_that_overtook_each_other_the_newer_counts(start, store, destinations):
    service = start(store)
    assert service.recharge("subscription/created", subscription(at=-300, customer={"id": 9001, "email": "ava@klaviyo-demo.com"}))[0] == 200
    assert service.recharge("subscription/updated", subscription(at=-60, order_interval_frequency=2, next_charge_scheduled_at=day(60)))[0] == 200
    assert service.recharge("subscription/updated", subscription(at=-200, next_charge_scheduled_at=day(31)))[0] == 200
    service.wait_drained()
    service.kill()  # and it outlives the process
    service.start()
    assert service.recharge("charge/paid", renewal(1))[0] == 200
    assert told(destinations, "rc_charge_1_renewal") == ("2 months", day(60))
    assert destinations.of(f"sub_{SUBSCRIPTION}_started", "klaviyo")


def test_what_was_told_before_the_charge_is_moved_on_or_left_out(service, destinations):
    assert service.recharge("subscription/updated", subscription(order_interval_unit="week", next_charge_scheduled_at=day(0)))[0] == 200
    assert service.recharge("charge/paid", renewal(1, scheduled_at=day(0)))[0] == 200
    assert told(destinations, "rc_charge_1_renewal") == ("1 week", day(7))
    assert service.recharge("charge/paid", renewal(2, scheduled_at=day(-9)))[0] == 200  # another one, tried again and again
    assert told(destinations, "rc_charge_2_renewal") == ("1 week", None)


def test_nothing_told_nothing_said(service, destinations):
    assert service.recharge("charge/paid", renewal(1)) == (200, "accepted")
    assert told(destinations, "rc_charge_1_renewal") == (None, None)
    assert service.recharge("subscription/updated", subscription(number=7)) == (200, "accepted")  # another subscription
    assert service.recharge("charge/paid", renewal(2)) == (200, "accepted")
    assert told(destinations, "rc_charge_2_renewal") == (None, None)
    assert service.recharge("subscription/updated", subscription()) == (200, "accepted")
    assert service.recharge("charge/paid", renewal(3)) == (200, "accepted")
    assert told(destinations, "rc_charge_3_renewal") == ("1 month", day(30))


def test_two_processes_take_turns(start, redis, destinations):
    """Subscriptions told by one and charged at the other; each version of a schedule in a lane of its own, so that both work at once."""
    services = [start(redis.url) for _ in range(2)]
    subscriptions, versions = range(100, 110), 8
    for version in range(versions):
        for number in subscriptions:
            body = subscription(number, at=version - 600, order_interval_frequency=version + 2, customer_id=number * 100 + version)
            assert services[(number + version) % 2].recharge("subscription/updated", body) == (200, "accepted")
    wait_for(lambda: services[0].metric("fireorder_pending") == 0, what="an empty store")
    for number in subscriptions:
        assert services[number % 2].recharge("charge/paid", renewal(number, number)) == (200, "accepted")
    for number in subscriptions:
        assert told(destinations, f"rc_charge_{number}_renewal") == (f"{versions + 1} months", day(30))
    services[0].wait_drained()
    assert services[0].metric("fireorder_dead") == 0
