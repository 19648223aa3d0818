"""What is sent in one run: a few people, each with a checkout, its order, the order as paid, a cancellation, a renewal and an own event; and
how Meta and Klaviyo treat them, so that every way through the program is taken."""
import random
import time

from fakes import Answer, good, klaviyo_error, meta_error
from service import charge, checkout, now, order, own_event
from source import Delivery

BOTH = ("meta", "klaviyo")

# Over the default: Meta may keep the others waiting for a second only, so that an outage of seconds is a long one.
MAPPING = """version: 1
rules:
  purchase: { max_wait: 1s }
  renewal_charged: { max_wait: 1s }
"""


def both(event):
    return {(d, event) for d in BOTH}


def person(n, offset=0):
    """The webhooks of one person, in the order in which they happen."""
    n += offset
    email, number, token, lane = f"person{n}@klaviyo-demo.com", 100000 + n, f"{n}token", f"person{n}"
    bought = order(number, email=email, checkout_token=token, customer={"id": 900000 + n, "email": email})
    return [
        Delivery(lane, "shopify", "checkouts/create", checkout(token, email=email), both(f"chk_{token}_started")),
        Delivery(lane, "shopify", "orders/create", bought, both(f"ord_{number}_purchase")),
        Delivery(lane, "shopify", "orders/paid", bought, both(f"ord_{number}_purchase")),
        Delivery(lane, "shopify", "orders/cancelled", {**bought, "cancelled_at": bought["created_at"], "cancel_reason": "customer"},
                 {("klaviyo", f"ord_{number}_cancelled")}),
        Delivery(lane, "recharge", "charge/paid", charge(500000 + n, 700000 + n, email=email, customer=900000 + n),
                 both(f"ord_{700000 + n}_renewal")),
        Delivery(lane, "events", "search", own_event(f"own_{n}", email=email), both(f"own_{n}")),
    ]


def dead_letter(n):
    """Meta refuses it, until it is made forgiving."""
    return [Delivery(f"dead{n}", "events", "lead", own_event(f"dead_{n}", "lead", email=f"dead{n}@klaviyo-demo.com"), both(f"dead_{n}"))]


WAITING = 60  # more than are answered at once


def requests():
    """People who wait for a variant; Klaviyo gets nothing but their names until it is in stock."""
    return [Delivery(f"waits{n}", "events", "back_in_stock_requested",
                     own_event(f"w_{n}", "back_in_stock_requested", email=f"waits{n}@klaviyo-demo.com", items=[{"variant_id": "808950810"}]))
            for n in range(WAITING)]


def in_stock(n):
    body = {"id": 808950810, "product_id": 632910392, "title": "Serum", "inventory_quantity": n, "updated_at": now()}
    return Delivery(f"stock{n}", "shopify", "variants/in_stock", body)


def answer_to(request):
    """What the program itself makes of a request and accepts, once."""
    event = f"{request.body['id']}_restocked"
    return Delivery(request.lane, "events", "inventory_restocked", {"id": event}, {("klaviyo", event)})


def reader(n):
    """Subscribes, and leaves again."""
    email, deliveries = f"reader{n}@klaviyo-demo.com", []
    for state, job, at in (("subscribed", "create", int(time.time()) - 60), ("unsubscribed", "delete", int(time.time()) - 10)):
        body = {"customer_id": 800000 + n, "email_address": email, "email_marketing_consent": {
            "state": state, "opt_in_level": "single_opt_in", "consent_updated_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at))}}
        deliveries.append(Delivery(f"reader{n}", "shopify", "customers_email_marketing_consent/update", body,
                                   {("klaviyo", f"cus_{800000 + n}_email_{state}_{at}"), ("list", f"{email} profile-subscription-bulk-{job}-job")}))
    return deliveries


GONE = "gone@klaviyo-demo.com"
GONE_EVENT = "ord_600001_renewal"  # Meta does not take it


def gone():
    """Somebody of whom everything is kept that can be: webhooks that are done, one that waits, a place in a queue, remembered values."""
    customer = {"id": 950000, "email": GONE}
    return [Delivery("gone", "shopify", "orders/create", order(600000, email=GONE, customer=customer), both("ord_600000_purchase")),
            Delivery("gone", "events", "back_in_stock_requested",
                     own_event("w_gone", "back_in_stock_requested", email=GONE, items=[{"variant_id": "808950810"}]))], [
            Delivery("gone's charge", "recharge", "charge/paid", charge(600002, 600001, email=GONE, customer=950000), both(GONE_EVENT))]


def privacy(topic, customer_id, email):
    """customers/redact, or customers/data_request."""
    about = {"orders_to_redact": []} if topic == "customers/redact" else {"orders_requested": [], "data_request": {"id": 1}}
    return Delivery(f"{topic} {customer_id}", "shopify", topic,
                    {"shop_id": 954889, "shop_domain": "acme.myshopify.com", "customer": {"id": customer_id, "email": email, "phone": None}, **about})


AGAIN = {
    "meta": [lambda: Answer(500, b"oops"), lambda: Answer(503, b""), lambda: meta_error(2, status=500, transient=True), lambda: Answer(reset="after"),
             lambda: Answer(reset="before"), lambda: Answer(manner="half"), lambda: Answer(200, b"not json", bad="not json"), lambda: Answer(manner="in_head")],
    "klaviyo": [lambda: Answer(500, b"oops"), lambda: Answer(502, b"<html>"), lambda: Answer(reset="after"), lambda: Answer(manner="in_head"),
                lambda: klaviyo_error(503, "busy")],
}


def away(destinations, event_id, n):
    """For one order until Klaviyo has it without Meta; for one checkout for a moment, which is not worth that; for a charge for good."""
    if event_id == GONE_EVENT:
        return True
    if event_id == "ord_100000_purchase":
        return ("klaviyo", event_id) not in destinations.taken
    return event_id == "chk_1token_started" and n <= 2


def script(destinations, seed, share, limit=None):
    """Meta is away for person 0's order and for person 1's checkout, refuses the dead letters until it is made forgiving; else a seeded
    share of all requests fails in a way that may be tried again. limit: what Klaviyo says it takes of single events."""
    dice = random.Random(seed)
    destinations.forgiving = False

    def answer(destination, event_id, n):
        delay = dice.uniform(0, 0.03)
        kind = "meta" if destination == "meta" else "klaviyo"
        if destination == "meta" and event_id.startswith("dead_") and not destinations.forgiving:
            return meta_error(100, 2804003)
        if destination == "meta" and away(destinations, event_id, n):
            return Answer(500, b"down")
        if destination in ("meta", "klaviyo", "list", "bulk") and n <= 4 and dice.random() < share:
            failure = dice.choice(AGAIN[kind])()
            failure.delay = delay
            return failure
        result = good(destination)
        headers = {"RateLimit-Limit": limit} if limit and destination == "klaviyo" else result.headers
        return Answer(result.status, result.body, headers, delay)

    return answer
