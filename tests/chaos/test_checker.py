"""The checker itself: each kind of fault is found in evidence that has it, and none in evidence that has none."""
import copy
import json

import pytest

from checker import Evidence, check
from fakes import Seen
from source import Delivery

BOTH = {("meta", "ord_1_purchase"), ("klaviyo", "ord_1_purchase")}


def seen(destination, event, came, answered=None, status=200, how="", body=None, capi="sent", seconds=0.01):
    if destination == "klaviyo":
        text = json.dumps({"data": {"attributes": {"properties": {"capi_status": capi}}}}).encode()
    else:
        text = b'{"data":[]}'
    return Seen(destination, event, "", body or text, {}, "", came, float(came), answered or came + 1, status, came + seconds, how)


def job(n, event, state="done", source="shopify", topic="orders/create", **steps):
    told = {name.replace("_", "."): {"state": what, "attempts": 1} for name, what in {"meta": "sent", "klaviyo_event": "sent", **steps}.items()}
    return {"job": f"{n:032x}", "source": source, "topic": topic, "state": state, "events": [{"id": event, "steps": told}]}


def delivery(number, lane="a"):
    event = f"ord_{number}_purchase"
    return Delivery(lane, "shopify", "orders/create", {"id": number}, {("meta", event), ("klaviyo", event)}, [200], number)


@pytest.fixture
def evidence():
    """Two orders of one person, as they should go."""
    requests = [seen("meta", "ord_1_purchase", 10), seen("klaviyo", "ord_1_purchase", 12), seen("meta", "ord_2_purchase", 20),
                seen("klaviyo", "ord_2_purchase", 22)]
    jobs = {n: job(n, f"ord_{n}_purchase") for n in (1, 2)}
    return Evidence([delivery(1), delivery(2)], requests, [], jobs)


def found(evidence):
    return set(check(evidence).violations)


def test_nothing_is_found_where_nothing_is(evidence):
    report = check(evidence)
    assert report.ok and report.events == 2 and report.requests == 4 and not report.duplicates


def test_lost(evidence):
    evidence.seen.pop()
    evidence.jobs[2] = job(2, "ord_2_purchase", klaviyo_event="failed")  # done, though it failed
    assert found(evidence) == {"lost"}
    evidence.jobs[2]["state"] = "dead"  # visible
    assert found(evidence) == set()
    evidence.jobs[2] = job(2, "ord_2_purchase", klaviyo_event="skipped")
    assert found(evidence) == set()
    evidence.jobs[2] = job(2, "ord_2_purchase")  # said to be sent
    assert found(evidence) == {"lost"}
    del evidence.jobs[2]
    assert found(evidence) == {"lost", "count"}


def test_an_answer_that_nobody_could_read_is_none(evidence):
    evidence.seen[3].how = "half"
    evidence.jobs[2] = job(2, "ord_2_purchase", klaviyo_event="failed")
    assert found(evidence) == {"lost"}


def test_what_was_never_acknowledged_may_be_gone(evidence):
    evidence.deliveries[1].acknowledged = 0
    del evidence.seen[2:], evidence.jobs[2]
    assert found(evidence) == set()


def test_foreign(evidence):
    evidence.seen.append(seen("meta", "Xrd_1_purchase", 30))
    assert found(evidence) == {"foreign"}


@pytest.mark.parametrize("capi", ["sent", "retrying", "failed", "skipped"])
def test_klaviyo_before_meta(evidence, capi):
    evidence.seen[2].came, evidence.seen[2].answered = 25, 26
    evidence.seen[3] = seen("klaviyo", "ord_2_purchase", 22, capi=capi)
    assert "event order" in found(evidence)


def test_klaviyo_is_told_what_is_not_so(evidence):
    evidence.seen[2].status, evidence.seen[2].how = 500, "500"
    evidence.seen.append(seen("meta", "ord_2_purchase", 24))
    assert found(evidence) == {"event order"}
    evidence.seen[3] = seen("klaviyo", "ord_2_purchase", 22, capi="retrying")
    assert found(evidence) == set()


def test_meta_again_after_its_outcome_was_recorded(evidence):
    evidence.disturbances = [(23, "kill")]
    evidence.seen.append(seen("meta", "ord_2_purchase", 24))
    assert found(evidence) == {"event order"}


def test_lane_order(evidence):
    evidence.seen[2].came = 11
    assert found(evidence) == {"lane order"}
    evidence.deliveries[1].lane = "b"
    assert found(evidence) == set()


def test_a_replayed_dead_letter_has_lost_its_place(evidence):
    evidence.seen[0], evidence.seen[1] = seen("meta", "ord_1_purchase", 30), seen("klaviyo", "ord_1_purchase", 32)
    assert found(evidence) == {"lane order"}
    evidence.redriven = {"ord_1_purchase"}
    assert found(evidence) == set()


def test_other_bytes(evidence):
    evidence.seen[0].how = "500"
    evidence.seen.insert(1, seen("meta", "ord_1_purchase", 11, answered=11, body=b"{}"))
    assert found(evidence) == {"bytes"}


def test_pending_and_counts(evidence):
    evidence.jobs[2]["state"] = "pending"
    assert found(evidence) == {"count"}
    evidence.jobs[2]["state"] = "done"
    evidence.jobs[3] = job(3, "ord_1_purchase")
    assert found(evidence) == {"count"}


@pytest.mark.parametrize("disturbance, slow, fine", [(None, 0, False), ((11, "kill"), 0, True), ((23, "kill"), 0, False), (None, 1.9, True), ((5, "stop"), 0, True)])
def test_duplicates_need_a_reason(evidence, disturbance, slow, fine):
    evidence.seen.insert(1, seen("meta", "ord_1_purchase", 11, answered=11))
    evidence.seen[0].answered_at = evidence.seen[0].at + slow
    evidence.disturbances = [(11, "kill")] if disturbance == (11, "kill") else [disturbance] if disturbance else []
    if disturbance == (11, "kill"):
        evidence.seen[1].came = evidence.seen[1].answered = 11.5
    assert (found(evidence) == set()) == fine


def test_a_stop_explains_one_repetition_of_an_event(evidence):
    evidence.disturbances = [(5, "stop"), (13, "go on")]
    evidence.seen.insert(1, seen("meta", "ord_1_purchase", 11, answered=11))
    assert found(evidence) == set()
    evidence.seen.append(seen("klaviyo", "ord_1_purchase", 14))
    assert found(evidence) == {"duplicate"}


def test_the_program_counts_for_itself(evidence):
    evidence.violations_counted = 1
    assert found(copy.deepcopy(evidence)) == {"event order"}


def test_forgotten(evidence):
    evidence.forgotten, evidence.kept = (30, "gone@klaviyo-demo.com"), {"kept: 0 webhooks (0 of them waiting) and 0 remembered values": True,
                                                                       "kept: 6 webhooks (0 of them waiting) and 1 remembered values": False}
    evidence.seen += [seen("deletion", "gone", 31, body=b"gone@klaviyo-demo.com"), seen("profile", "gone", 29, body=b"gone@klaviyo-demo.com")]
    assert found(evidence) == set()
    evidence.seen.append(seen("profile", "gone", 32, body=b"gone@klaviyo-demo.com"))
    assert found(evidence) == {"forgotten"}
    evidence.seen.pop()
    evidence.kept["kept: 0 webhooks (0 of them waiting) and 1 remembered values"] = True  # of the person who is forgotten
    assert found(evidence) == {"forgotten"}


def test_who_left_is_not_subscribed_after_that(evidence):
    def change(n, what, came):
        request = seen("list", "ava@klaviyo-demo.com", came, body=what.encode())
        request.name = what
        evidence.deliveries.append(Delivery("b", "shopify", "consent", {"id": n}, {("list", f"ava@klaviyo-demo.com {what}")}, [200], n))
        evidence.jobs[n] = job(n, f"cus_{n}", topic="consent", meta="skipped", klaviyo_event="skipped")
        evidence.seen.append(request)
        return request

    change(8, "create", 30)
    change(9, "delete", 40)
    assert found(evidence) == set()
    late = seen("list", "ava@klaviyo-demo.com", 50, body=b"create")
    late.name = "create"
    evidence.seen.append(late)
    assert found(evidence) == {"duplicate"}
    evidence.seen.remove(evidence.seen[-2])
    assert "lost" in found(evidence)
