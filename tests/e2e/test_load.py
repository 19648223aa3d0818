"""The promise under load: 1,000 mixed webhooks, shuffled delays, a fifth of all requests failing, kill -9 in the middle."""
import concurrent.futures
import random
import time

import pytest

from fakes import check_invariants, random_failures
from service import Service, charge, checkout, order, wait_for

PEOPLE = 200


def webhooks():
    """1,000 webhooks of 200 people: per person a checkout, its order, the order once more as paid, a cancellation, a renewal."""
    sequences = []
    for person in range(PEOPLE):
        email, number, token = f"person{person}@klaviyo-demo.com", 100000 + person, f"token{person}"
        customer = {"id": 900000 + person, "email": email}
        bought = order(number, email=email, checkout_token=token, customer=customer)
        sequences.append([
            ("shopify", "checkouts/create", checkout(token, email=email)),
            ("shopify", "orders/create", bought),
            ("shopify", "orders/paid", bought),
            ("shopify", "orders/cancelled", {**bought, "cancelled_at": bought["created_at"], "cancel_reason": "customer"}),
            ("recharge", "charge/paid", charge(500000 + person, 700000 + person, email=email, customer=900000 + person)),
        ])
    return sequences


def lane_of(person):
    return [f"chk_token{person}_started", f"ord_{100000 + person}_purchase", f"ord_{100000 + person}_cancelled", f"ord_{700000 + person}_renewal"]


def send_sequence(services, sequence, seed):
    """One person's webhooks in order, each sent again until somebody answers 200, as Shopify and Recharge do."""
    dice = random.Random(seed)
    for source, topic, body in sequence:
        delivery = f"{topic}-{seed}"
        end = time.monotonic() + 90
        while True:
            service = dice.choice(services)
            try:
                status, _ = service.shopify(topic, body, delivery) if source == "shopify" else service.recharge(topic, body)
            except OSError:
                status = 0
            if status == 200:
                break
            assert time.monotonic() < end, f"{topic} was never acknowledged"
            time.sleep(dice.uniform(0.02, 0.1))


def deliveries(lanes):
    """What both destinations are to get; Meta has no event for a cancellation."""
    events = [event for lane in lanes for event in lane]
    return {("klaviyo", event) for event in events} | {("meta", event) for event in events if not event.endswith("_cancelled")}


def run_load(services, destinations, disturb=None):
    lanes = [lane_of(person) for person in range(PEOPLE)]
    wanted = deliveries(lanes)
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        jobs = [pool.submit(send_sequence, services, sequence, person) for person, sequence in enumerate(webhooks())]
        if disturb:
            disturb()
        for job in jobs:
            job.result()
    destinations.wait_taken(wanted, deadline=200)
    for service in services:
        service.wait_drained(120)
        assert service.metric("fireorder_order_violations_total") == 0
        assert service.metric("fireorder_dead") == 0
    check_invariants(destinations, wanted, lanes)


@pytest.mark.parametrize("round", range(4))
def test_thousand_webhooks(store, start, destinations, round):
    seed = time.time_ns()
    print(f"seed {seed}")
    random_failures(destinations, 0.2, seed)
    copies = 2 if store.startswith("redis") else 1
    run_load([start(store) for _ in range(copies)], destinations)


def test_kill_in_the_middle(store, start, destinations):
    seed = time.time_ns()
    print(f"seed {seed}")
    random_failures(destinations, 0.2, seed)
    copies = 2 if store.startswith("redis") else 1
    services = [start(store) for _ in range(copies)]

    def disturb():
        for n, end in ((150, Service.kill), (450, Service.stop)):
            destinations.wait(lambda d: len(d.of(ok=True)) >= n, 60, f"{n} deliveries")
            for service in services:
                end(service)
            for service in services:
                service.start()

    run_load(services, destinations, disturb)
