"""People who ask to be told when a variant is in stock again: each request is answered once, whatever comes in between."""
import itertools
import time

from service import now, own_event, wait_for
from test_context import ORIGIN, SHOP, send

_levels = itertools.count(1)


def request(n, variant="808950810", **more):
    return own_event(f"w_{n}", "back_in_stock_requested", email=f"p{n}@klaviyo-demo.com",
                     items=[{"variant_id": variant, "title": "Serum as asked for", "url": "https://acme.example/products/serum"}],
                     properties={"signup_form": "product page"}, **more)


def in_stock(service, variant=808950810, **more):
    body = {"id": variant, "product_id": 632910392, "title": "Default Title", "sku": "SKU-481", "price": "129.95",
            "inventory_quantity": next(_levels), "updated_at": now(), **more}
    assert service.shopify("variants/in_stock", body) == (200, "accepted")


def told(destinations):
    return sorted(s.event_id for s in destinations.of(destination="klaviyo", ok=True))


def answers(numbers):
    return [("klaviyo", f"w_{n}_restocked") for n in numbers]


def test_each_is_told_once(store, start, destinations):
    service = start(store)
    in_stock(service)
    wait_for(lambda: "it says nobody who waits for it" in service.log.read_text(), what="the reason in the log")
    assert service.events([request(n) for n in (1, 2, 3)] + [request(9, variant="1")])[0] == 200
    assert [r["status"] for r in service.events([request(1), request(2)])[1]["results"]] == ["duplicate"] * 2
    service.wait_drained()
    assert told(destinations) == []
    assert sorted(s.event_id for s in destinations.of(destination="profile")) == [f"p{n}@klaviyo-demo.com" for n in (1, 2, 3, 9)]
    in_stock(service)
    in_stock(service)
    destinations.wait_taken(set(answers((1, 2, 3))))
    service.wait_drained()
    in_stock(service)
    service.wait_drained()
    assert told(destinations) == ["w_1_restocked", "w_2_restocked", "w_3_restocked"]
    attributes = destinations.of("w_2_restocked", "klaviyo")[0].json["data"]["attributes"]
    assert attributes["metric"]["data"]["attributes"]["name"] == "Back in Stock"
    assert attributes["profile"]["data"]["attributes"]["email"] == "p2@klaviyo-demo.com"
    says = {"ProductName": "Serum as asked for", "SKU": "SKU-481", "Price": 129.95, "URL": "https://acme.example/products/serum", "signup_form": "product page",
            "product_id": "632910392", "variant_id": "808950810"}
    assert says.items() <= attributes["properties"].items() and "Default Title" not in str(attributes)
    assert service.events(request(4))[0] == 200
    service.wait_drained()
    in_stock(service)
    destinations.wait_taken(set(answers([4])))
    service.wait_drained()
    assert told(destinations) == [f"w_{n}_restocked" for n in (1, 2, 3, 4)]
    service.logged("told 3 waiting people")
    service.logged("told 1 waiting person")
    assert service.metric("fireorder_dead") == 0


def test_killed_in_the_middle(store, start, destinations):
    service = start(store)
    people = range(400)
    assert service.events([request(n) for n in people])[0] == 200
    service.wait_drained(120)
    in_stock(service)
    destinations.wait(lambda d: len(d.of(destination="klaviyo")) >= 5, what="the first ones who are told")
    service.kill()
    service.start()
    destinations.wait_taken(set(answers(people)), 120)
    service.wait_drained(120)
    before = len(destinations.of(destination="klaviyo"))
    assert len(bodies(destinations)) == len(people)  # what was sent again was the same
    in_stock(service)
    service.wait_drained()
    assert len(destinations.of(destination="klaviyo")) == before


def bodies(destinations):
    return {(s.event_id, s.body) for s in destinations.of(destination="klaviyo")}


def test_who_took_consent_back_is_not_told(store, start, destinations):
    service = start(store, shop_extra=SHOP + "\n    consent: { klaviyo: { purpose: marketing } }")
    for n in (1, 2):
        event = request(n, time=now(-60), consent={"marketing": "granted"})
        event["user"]["external_id"] = f"70{n}"
        assert service.events(event)[0] == 200
    service.wait_drained()
    assert send(service, body={"cart_token": "c-702", "customer_id": "702", "consent": {"marketing": "denied"}}, origin=ORIGIN)[0] == 204
    in_stock(service, updated_at=now(60))
    destinations.wait_taken(set(answers([1])))
    service.wait_drained()
    assert told(destinations) == ["w_1_restocked"]
    service.logged("consent denied")


def test_nobody_else_waits_for_them(start, destinations):
    """While hundreds are told, somebody's own event goes through."""
    service = start()
    people = range(300)
    assert service.events([request(n) for n in people])[0] == 200
    service.wait_drained(120)
    in_stock(service)
    began = time.monotonic()
    assert service.events(own_event("s_1", email="else@klaviyo-demo.com"))[0] == 200
    destinations.wait_delivered(["s_1"], deadline=30)
    assert time.monotonic() - began < 15
    destinations.wait_taken(set(answers(people)), 120)


def test_a_request_that_cannot_be_answered_is_refused(service):
    good = request(1)
    for change, fault in (({"user": {"external_id": "7"}}, "user: needs an email"), ({"items": []}, "items[0]: needs a variant_id"),
                          ({"items": [{"title": "Serum"}]}, "items[0]: needs a variant_id"), ({"properties": {"note": "x" * 16384}}, "larger than 16 KB"), ({"consent": {"marketing": "granted", "at": now(60)}}, "consent.at: later")):
        status, answer = service.events({**good, **change})
        assert status == 422 and answer["results"][0]["faults"][0].startswith(fault), answer
    assert service.events({**good, "items": [{"inventory_item_id": 39072856}], "consent": {"marketing": "granted", "at": now(-3600)}})[0] == 200
