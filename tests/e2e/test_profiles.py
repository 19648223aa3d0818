"""Klaviyo profiles before the event, first and repeated purchases, and mapping files that change under load."""
import json
import signal
import threading

import pytest

from fakes import Answer, good, klaviyo_error
from service import now, order, wait_for


def buyer(n, **more):
    return {"id": 7000 + n, "email": f"buyer{n}@klaviyo-demo.com", "first_name": f"Name{n}", **more}


def bought(number, n, **more):
    customer = buyer(n)
    return order(number, email=customer["email"], customer=customer, checkout_token=f"token{number}", **more)


def test_a_profile_is_sent_when_it_changed_and_before_its_event(start, store, destinations):
    service = start(store)
    for number in range(12):  # two customers take turns, nothing changes
        assert service.shopify("orders/create", bought(2000 + number, number % 2)) == (200, "accepted")
    destinations.wait_delivered([f"ord_{2000 + n}_purchase" for n in range(12)])
    service.wait_drained()
    assert len(destinations.of(destination="profile")) == 2
    for n in range(2):
        profile = destinations.of(f"buyer{n}@klaviyo-demo.com", "profile")[0]
        first = min(s.came for s in destinations.of(destination="klaviyo") if f"buyer{n}@" in s.body.decode())
        assert profile.answered < first
    renamed = bought(2100, 0)
    renamed["customer"]["first_name"] = "Other"
    renamed["billing_address"] = {**renamed.get("billing_address", {}), "first_name": "Other"}
    assert service.shopify("orders/create", renamed) == (200, "accepted")
    destinations.wait_delivered(["ord_2100_purchase"])
    assert len(destinations.of("buyer0@klaviyo-demo.com", "profile")) == 2


def test_an_event_that_says_less_changes_no_profile(service, destinations):
    for n in range(5):
        assert service.shopify("orders/create", bought(2150 + n, 0)) == (200, "accepted")
        less = bought(2170 + n, 0)
        del less["customer"]["first_name"]
        assert service.shopify("orders/create", less) == (200, "accepted")
    destinations.wait_delivered([f"ord_{base + n}_purchase" for n in range(5) for base in (2150, 2170)])
    service.wait_drained()
    assert len(destinations.of(destination="profile")) == 1


def test_a_test_order_is_nobodys_first(start, destinations):
    service = start()
    service.stop()
    service.config.write_text(service.config.read_text().replace("meta: {", "meta: { test_event_code: TEST1,"))
    service.start()
    assert service.shopify("orders/create", bought(2190, 0, test=True)) == (200, "accepted")
    service.wait_drained()
    assert service.shopify("orders/create", bought(2191, 0)) == (200, "accepted")
    destinations.wait_delivered(["ord_2191_purchase"])
    assert [s.name for s in destinations.of(destination="klaviyo")] == ["post_purchase_ready"]


def test_a_profile_outlives_a_restart(start, destinations):
    service = start()
    assert service.shopify("orders/create", bought(2200, 0)) == (200, "accepted")
    destinations.wait_delivered(["ord_2200_purchase"])
    service.wait_drained()
    service.kill()
    service.start()
    assert service.shopify("orders/create", bought(2201, 0)) == (200, "accepted")
    destinations.wait_delivered(["ord_2201_purchase"])
    assert len(destinations.of(destination="profile")) == 1


def test_a_profile_that_klaviyo_refuses_does_not_keep_its_event(service, destinations):
    destinations.script["profile", "*"] = [klaviyo_error(400)]
    assert service.shopify("orders/create", bought(2300, 0)) == (200, "accepted")
    destinations.wait_delivered(["ord_2300_purchase"])
    service.wait_drained()
    assert service.metric("fireorder_dead") == 0
    assert service.shopify("orders/create", bought(2301, 0)) == (200, "accepted")  # what was refused is not remembered as sent
    destinations.wait_delivered(["ord_2301_purchase"])
    assert len(destinations.of(destination="profile", ok=True)) == 1


def test_two_profiles_for_one_person_are_told_by_email_alone(start, store, destinations):
    """The number is another profile's: Klaviyo refuses whatever names both, the profile and the event alike."""
    service = start(store)
    conflict = json.dumps({"errors": [{"status": 409, "code": "duplicate_profile", "meta": {"duplicate_profile_id": "01X"}}]}).encode()

    def answer(destination, event_id, n):
        body = destinations.seen[-1].body.decode()
        if destination in ("profile", "klaviyo") and '"email"' in body and '"phone_number"' in body:
            return Answer(409, conflict)
        return Answer(500, b"oops") if destination == "klaviyo" and n < 3 else good(destination)

    destinations.answer_with = answer
    body = bought(2400, 0)
    body["phone"] = "+15125550123"
    assert service.shopify("orders/create", body) == (200, "accepted")
    destinations.wait(lambda d: d.of("ord_2400_purchase", "klaviyo"), what="the first try of the event")
    service.stop()
    service.start()
    destinations.wait_delivered(["ord_2400_purchase"], deadline=60)
    service.wait_drained()
    attempts = destinations.of(destination="profile")
    assert [("phone_number" in a.json["data"]["attributes"]) for a in attempts] == [True, False]
    events = destinations.of("ord_2400_purchase", "klaviyo")
    assert len(events) >= 3 and len({s.body for s in events}) == 1
    person = events[0].json["data"]["attributes"]["profile"]["data"]["attributes"]
    assert person["email"] == "buyer0@klaviyo-demo.com" and "phone_number" not in person
    assert service.metric("fireorder_dead") == 0


def test_who_has_a_number_alone_is_known_by_it(service, destinations):
    event = {"id": "search_1", "name": "search", "time": now(), "user": {"phone": "+15125550123"}, "properties": {"query": "serum"}}
    assert service.events(event)[0] == 200
    destinations.wait_taken({("klaviyo", "search_1")})
    assert destinations.of("search_1", "klaviyo")[0].json["data"]["attributes"]["profile"]["data"]["attributes"] == {"phone_number": "+15125550123"}


def test_who_is_nobody_to_klaviyo_is_warned_of(service, destinations):
    event = {"id": "search_2", "name": "search", "time": now(), "properties": {"query": "serum"},
             "user": {"ip": "203.0.113.7", "user_agent": "Mozilla/5.0", "fbp": "fb.1.1795165200000.1098115397"}}
    assert service.events([event, {**event, "id": "search_3", "user": {"phone": "+15125550123"}}])[0] == 200
    destinations.wait_taken({("meta", "search_2"), ("klaviyo", "search_3")})
    service.wait_drained()
    lines = {name: service.logged(f"^.*event={name}.*$")[0] for name in ("search_2", "search_3")}
    assert " warn " in lines["search_2"] and "klaviyo.event=skipped(no identifier)" in lines["search_2"] and " info " in lines["search_3"]


def test_a_profile_that_cannot_be_reached_lets_the_event_go(service, destinations):
    destinations.always["profile"] = Answer(500, b"oops")
    assert service.shopify("orders/create", bought(2500, 0)) == (200, "accepted")
    destinations.wait_delivered(["ord_2500_purchase"], deadline=40)
    service.wait_drained()
    destinations.always["profile"] = None
    assert service.shopify("orders/create", bought(2501, 0)) == (200, "accepted")
    destinations.wait(lambda d: d.of(destination="profile", ok=True), what="the profile")


def test_the_second_order_is_a_repeated_purchase_and_a_copy_is_not(start, store, destinations):
    service = start(store)
    first, second = bought(2600, 0), bought(2601, 0)
    for topic, body, delivery in (("orders/create", first, "a"), ("orders/paid", first, "b"), ("orders/create", first, "c"),
                                  ("orders/create", second, "d"), ("orders/paid", second, "e")):
        assert service.shopify(topic, body, delivery)[0] == 200
    assert service.shopify("orders/create", bought(2602, 1), "f")[0] == 200
    destinations.wait_delivered(["ord_2600_purchase", "ord_2601_purchase", "ord_2602_purchase"])
    service.wait_drained()
    names = {s.event_id: s.name for s in destinations.of(destination="klaviyo")}
    assert names == {"ord_2600_purchase": "post_purchase_ready", "ord_2601_purchase": "Placed Repeat Order",
                     "ord_2602_purchase": "post_purchase_ready"}
    assert {s.name for s in destinations.of(destination="meta")} == {"Purchase"}


MAPPING = """version: 1
rules:
  purchase:
    meta: {{ data: {{ edition: {{ constant: "{0}" }} }} }}
    klaviyo: {{ properties: {{ edition: {{ constant: "{0}" }} }} }}
"""


def test_a_mapping_that_changes_under_load_is_never_mixed_in_one_event(start, tmp_path, destinations):
    mapping = tmp_path / "shop.yaml"
    mapping.write_text(MAPPING.format("v0"))
    service = start(shop_extra=f"    mapping: {mapping}")
    dice = __import__("random").Random(5)
    destinations.answer_with = lambda destination, event_id, n: Answer(500, b"oops") if dice.random() < 0.2 and n < 5 else (
        Answer(200, b'{"events_received":1,"messages":[]}') if destination == "meta" else Answer(202, b""))
    posted = []

    def post():
        for n in range(300):
            assert service.shopify("orders/create", bought(3000 + n, n))[0] == 200
            posted.append(f"ord_{3000 + n}_purchase")

    sender = threading.Thread(target=post)
    sender.start()
    for edition in range(1, 101):
        mapping.write_text(MAPPING.format(f"v{edition}") if edition % 10 else "version: 1\nrules: { purchase: { metaa: {} } }\n")
        before = service.log.read_text().count("reloaded")
        service.process.send_signal(signal.SIGHUP)
        wait_for(lambda: service.log.read_text().count("reloaded") > before, what="an answer to SIGHUP")
    sender.join()
    destinations.wait_delivered(posted, deadline=60)
    seen = {}
    for s in destinations.of():
        if s.destination == "meta":
            seen.setdefault(s.event_id, set()).add(s.json["data"][0]["custom_data"]["edition"])
        elif s.destination == "klaviyo":
            seen.setdefault(s.event_id, set()).add(s.json["data"]["attributes"]["properties"]["edition"])
    assert all(len(editions) == 1 for editions in seen.values())
    assert len({next(iter(e)) for e in seen.values()}) > 3
    assert "did you mean" in service.log.read_text()


@pytest.mark.parametrize("content, said", [
    ("version: 1\nrules: { purchse: { meta: { event: X } } }\n", 'shop.yaml:2: event "purchse": did you mean "purchase"?'),
    ("version: 1\nrules:\n  purchase:\n    klaviyo:\n      properties: { A: usr.email }\n", "shop.yaml:5: A: unknown path"),
])
def test_a_faulty_mapping_stops_the_start_and_says_where(start, tmp_path, content, said):
    (tmp_path / "shop.yaml").write_text(content)
    with pytest.raises(AssertionError, match="shop.yaml"):
        start(shop_extra=f"    mapping: {tmp_path / 'shop.yaml'}")
    assert said in (tmp_path / "service0" / "serve.log").read_text()


def test_a_guest_who_opens_an_account_stays_the_same_buyer(service, destinations):
    guest = bought(2700, 0)
    guest["customer"] = None
    assert service.shopify("orders/create", guest) == (200, "accepted")
    destinations.wait_delivered(["ord_2700_purchase"])
    assert service.shopify("orders/create", bought(2701, 0)) == (200, "accepted")
    destinations.wait_delivered(["ord_2701_purchase"])
    assert destinations.of("ord_2701_purchase", "klaviyo")[0].name == "Placed Repeat Order"


def test_a_buyer_with_another_address_is_no_new_buyer(start, store, destinations):
    service = start(store)
    for n, email in enumerate(("a@klaviyo-demo.com", "b@klaviyo-demo.com", None)):
        customer = {"id": 7100, "email": email, "first_name": "Ava"}
        assert service.shopify("orders/create", order(2800 + n, email=email, customer=customer, checkout_token=f"t{n}")) == (200, "accepted")
        service.wait_drained()
    assert [s.name for s in destinations.of(destination="klaviyo")] == ["post_purchase_ready", "Placed Repeat Order", "Placed Repeat Order"]


def test_a_number_that_comes_back_is_told_again(start, store, destinations):
    service = start(store)
    for n, number in enumerate(("+15125550601", "+15125550602", "+15125550601")):
        event = {"id": f"search_{n}", "name": "search", "time": now(), "user": {"email": "ava@klaviyo-demo.com", "phone": number}}
        assert service.events(event)[0] == 200
        service.wait_drained()
    told = [s.json["data"]["attributes"]["phone_number"] for s in destinations.of(destination="profile")]
    assert told == ["+15125550601", "+15125550602", "+15125550601"]
