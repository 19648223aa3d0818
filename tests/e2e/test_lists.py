"""Sign-ups and the shop's list at Klaviyo: subscribed on consent, once; unsubscribed only who was subscribed from here; newest state wins."""
import signal

from fakes import klaviyo_error
from service import now, order, wait_for



def with_list(start, store=None, more=""):
    service = start(store)
    text = service.config.read_text().replace('klaviyo: { api_key:', f'klaviyo: {{ list_id: "Y6nRLr", {more} api_key:')
    service.stop()
    service.config.write_text(text)
    service.start()
    return service


def consent(customer, state, age=0, level="single_opt_in"):
    return {"customer_id": customer, "email_address": f"reader{customer}@klaviyo-demo.com",
            "email_marketing_consent": {"state": state, "opt_in_level": level, "consent_updated_at": now(-age)}}


TOPIC = "customers_email_marketing_consent/update"


def jobs(destinations, customer):
    return [s.name.split("-")[3] for s in destinations.of(f"reader{customer}@klaviyo-demo.com", "list", ok=True)]


def test_subscribed_once_and_unsubscribed(start, store, destinations):
    service = with_list(start, store)
    first = {customer: consent(customer, "subscribed", 60) for customer in (1, 2)}
    for customer in (1, 2):
        assert service.shopify(TOPIC, first[customer]) == (200, "accepted")
    destinations.wait(lambda d: jobs(d, 1) == ["create"] and jobs(d, 2) == ["create"], what="both subscriptions")
    body = destinations.of(destination="list")[0].json["data"]
    assert body["relationships"]["list"]["data"] == {"type": "list", "id": "Y6nRLr"}
    assert body["attributes"]["profiles"]["data"][0]["attributes"]["subscriptions"] == {"email": {"marketing": {"consent": "SUBSCRIBED"}}}
    first[1]["email_marketing_consent"]["opt_in_level"] = "unknown"
    assert service.shopify(TOPIC, first[1]) == (200, "accepted")  # the same consent, told again: nothing changes there
    assert service.shopify(TOPIC, consent(1, "unsubscribed", 10)) == (200, "accepted")
    destinations.wait(lambda d: jobs(d, 1) == ["create", "delete"], what="the unsubscription")
    assert service.shopify(TOPIC, consent(3, "unsubscribed", 10)) == (200, "accepted")  # never subscribed from here
    assert service.shopify(TOPIC, consent(1, "subscribed", 0)) == (200, "accepted")
    destinations.wait(lambda d: jobs(d, 1) == ["create", "delete", "create"], what="the second subscription")
    service.wait_drained()
    assert jobs(destinations, 3) == [] and jobs(destinations, 2) == ["create"]


def test_who_is_subscribed_is_not_subscribed_again(start, store, destinations):
    service = with_list(start, store)
    for age, level in ((160, "single_opt_in"), (60, "confirmed_opt_in")):
        assert service.shopify(TOPIC, consent(10, "subscribed", age, level)) == (200, "accepted")
        service.wait_drained()
    own = {"id": "form_10", "name": "sign_up", "time": now(), "user": {"email": "reader10@klaviyo-demo.com"}, "consent": {"marketing": "granted"}}
    assert service.events(own)[0] == 200
    assert service.events({**own, "id": "form_11", "user": {"email": "reader11@klaviyo-demo.com"}, "consent": {}})[0] == 200  # nobody's permission
    service.wait_drained()
    assert jobs(destinations, 10) == ["create"] and jobs(destinations, 11) == []
    told = [(s.event_id.split("_")[0], s.name) for s in destinations.of(destination="klaviyo")]
    assert sorted(told) == [("cus", "Subscribed to Newsletter"), ("form", "Signed Up"), ("form", "Signed Up")]
    service.logged("is subscribed already")


def test_an_older_state_does_not_follow_a_newer_one(start, store, destinations):
    service = with_list(start, store)
    assert service.shopify(TOPIC, consent(4, "unsubscribed", 5)) == (200, "accepted")
    service.wait_drained()
    assert service.shopify(TOPIC, consent(4, "subscribed", 3600)) == (200, "accepted")
    service.wait_drained()
    assert jobs(destinations, 4) == []
    assert {s.name for s in destinations.of(destination="klaviyo")} == {"Consent Revoked"}
    wait_for(lambda: "older than the state that is known" in service.log.read_text(), what="the reason in the log")


def test_double_opt_in_waits_for_the_confirmation(start, destinations):
    service = with_list(start, more="double_opt_in: true,")
    assert service.shopify(TOPIC, consent(5, "pending", 60)) == (200, "accepted")
    service.wait_drained()
    assert [(s.destination, s.name) for s in destinations.of()] == [("klaviyo", "Signed Up")]  # no welcome before the confirmation
    assert service.shopify(TOPIC, consent(5, "subscribed", 10, "confirmed_opt_in")) == (200, "accepted")
    destinations.wait(lambda d: jobs(d, 5) == ["create"], what="the subscription")
    attributes = destinations.of(destination="list")[0].json["data"]["attributes"]
    assert attributes["historical_import"] is True  # no second confirmation
    assert attributes["profiles"]["data"][0]["attributes"]["subscriptions"]["email"]["marketing"]["consented_at"]


def test_nobody_is_subscribed_without_consent(start, destinations):
    service = with_list(start)
    assert service.shopify("customers/create", {"id": 6, "email": "reader6@klaviyo-demo.com", "created_at": now(),
                                                "email_marketing_consent": {"state": "not_subscribed", "opt_in_level": "single_opt_in",
                                                                            "consent_updated_at": None}}) == (200, "accepted")
    service.wait_drained()
    assert jobs(destinations, 6) == []


def test_a_key_that_may_only_send_events_sends_them(start, destinations):
    service = with_list(start)
    destinations.always["list"] = destinations.always["profile"] = klaviyo_error(403, "permission_denied")
    assert service.shopify(TOPIC, consent(7, "subscribed", 60)) == (200, "accepted")
    assert service.shopify("orders/create", order(4100, email="reader7@klaviyo-demo.com")) == (200, "accepted")
    destinations.wait_delivered(["ord_4100_purchase"])
    assert service.metric("fireorder_destination_paused") == 0
    wait_for(lambda: service.metric("fireorder_dead") == 1, what="the subscription in the dead letter")


def test_a_changed_list_is_not_named_for_who_was_not_in_it(start, destinations):
    service = with_list(start)
    assert service.shopify(TOPIC, consent(8, "subscribed", 60)) == (200, "accepted")
    destinations.wait(lambda d: jobs(d, 8) == ["create"], what="the subscription")
    service.wait_drained()
    service.config.write_text(service.config.read_text().replace("Y6nRLr", "NEWLST"))
    service.process.send_signal(signal.SIGHUP)
    wait_for(lambda: "reloaded" in service.log.read_text(), what="the reload")
    assert service.shopify(TOPIC, consent(8, "unsubscribed", 10)) == (200, "accepted")
    service.wait_drained()
    assert jobs(destinations, 8) == ["create"]  # an unsubscription that names NEWLST would be one from everything


def test_late_news_of_any_sender_brings_nobody_back(start, store, destinations):
    service = with_list(start, store)
    assert service.shopify(TOPIC, consent(9, "subscribed", 200)) == (200, "accepted")
    assert service.shopify(TOPIC, consent(9, "unsubscribed", 20)) == (200, "accepted")
    service.wait_drained()
    account = {"id": 9, "email": "reader9@klaviyo-demo.com", "created_at": now(-300),
               "email_marketing_consent": {"state": "subscribed", "opt_in_level": "single_opt_in", "consent_updated_at": now(-100)}}
    assert service.shopify("customers/create", account) == (200, "accepted")
    own = {"id": "form_9", "name": "sign_up", "time": now(-100), "user": {"email": "Reader9@klaviyo-demo.com"}, "consent": {"marketing": "granted"}}
    assert service.events(own)[0] == 200
    service.wait_drained()
    assert jobs(destinations, 9) == ["create", "delete"]
