"""What would wait for Klaviyo's limit for too long goes in bulk, and what comes meanwhile goes before it."""
import subprocess
import sys
import time

import pytest

from fakes import check_invariants, klaviyo_error
from service import ROOT, own_event, wait_for
from test_limits import Windows, let_learn, post_all

VALIDATOR = ROOT.parent / "shared" / "tools" / "klaviyo" / "klaviyo_validate.py"
LIMITS = {"klaviyo": [(20, 1), (60, 6)], "bulk": [(10, 1), (60, 6)]}
GROUP = "/data/attributes/events-bulk-create/data/%d/attributes/profile/data/attributes/email"


def person(n):
    return {"email": f"p{n}@klaviyo-demo.com", "first_name": "Ava", "last_name": "Roth"}


def lanes_of(people, each):
    return [[f"p{n}_{i}" for i in range(each)] for n in range(people)]


def events_of(lanes, each):
    return [own_event(lanes[n][i], user=person(n)) for i in range(each) for n in range(len(lanes))]


def everything(events):
    return {(destination, event) for destination in ("meta", "klaviyo") for event in events}


def flat(lanes):
    return [event for lane in lanes for event in lane]


@pytest.fixture
def start_behind(start, request):
    def begin(kind="sqlite", copies=1, when="1s"):
        store = request.getfixturevalue("redis").url if kind == "redis" else None
        services = [start(store, autostart=False) for _ in range(copies)]
        for service in services:
            service.configure("klaviyo", f"bulk_when_behind: {when}")
            service.start()
        return services
    return begin


def sent_in_bulk(service):
    return service.metric("fireorder_bulk_events_total", outcome="sent")


def steps_of(service, event):
    found = next(e for job in service.jobs("done", "dead").values() for e in job["events"] if e["id"] == event)
    return found["steps"]["klaviyo.event"]


def assert_valid(destinations, folder):
    if VALIDATOR.exists():
        for n, body in enumerate(destinations.bulk[:3]):
            (folder / f"bulk{n}.json").write_bytes(body)
            told = subprocess.run([sys.executable, str(VALIDATOR), "POST", "/api/event-bulk-create-jobs", str(folder / f"bulk{n}.json")],
                                  capture_output=True, text=True)
            (folder / f"bulk{n}.json").unlink()
            assert told.returncode == 0, told.stdout


@pytest.mark.parametrize("kind,copies", [("sqlite", 1), ("redis", 2)])
def test_a_backlog_goes_in_bulk(start_behind, destinations, tmp_path, kind, copies):
    """2,000 events, of which a minute takes 600 one by one."""
    windows = Windows(destinations, LIMITS)
    services = start_behind(kind, copies)
    first = let_learn(services, destinations)
    lanes = lanes_of(1000, 2)
    begun = time.monotonic()
    post_all(services, events_of(lanes, 2))
    wanted = everything(first + flat(lanes))
    destinations.wait_taken(wanted, deadline=90)
    took = time.monotonic() - begun
    for service in services:
        service.wait_drained()
    check_invariants(destinations, wanted, lanes)
    assert_valid(destinations, tmp_path)
    assert took < 60  # one by one: more than three minutes
    arrived = [s for s in destinations.of(destination="klaviyo", ok=True)]
    assert len(arrived) == len(wanted) // 2  # none twice
    in_bulk = [s for s in arrived if s.bulk]
    assert sum(map(sent_in_bulk, services)) == len(in_bulk) > 1000
    assert sum(windows.refused.values()) <= 10, windows.refused
    assert {"first_name"} & in_bulk[0].json["data"]["attributes"]["profile"]["data"]["attributes"].keys() == set()
    assert not any("backfill" in s.json["data"]["attributes"] for s in in_bulk)  # flows are to run
    assert steps_of(services[0], in_bulk[0].event_id) | {"state": "sent", "reason": "in bulk", "attempts": 1} == steps_of(services[0], in_bulk[0].event_id)
    assert "behind shop=acme destination=klaviyo" in "".join(s.log.read_text() for s in services)


def test_without_a_backlog_nothing_goes_in_bulk(start_behind, destinations):
    Windows(destinations, LIMITS)
    for when in ("off", "5m"):
        destinations.bulk.clear()
        service, = start_behind("sqlite", 1, when)
        first = let_learn([service], destinations)
        more = [f"{when}{n}" for n in range(30)]
        post_all([service], [own_event(event, email=f"{event}@klaviyo-demo.com") for event in more])
        destinations.wait_delivered(first + more)
        service.wait_drained()
        service.stop()
        assert not destinations.bulk


def refuse(destinations, pointers, times=10 ** 6):
    """pointers(groups) -> of the groups that are refused; refuses so many requests."""
    refused = []

    def answer(groups):
        wrong = pointers(groups) if len(refused) < times else []
        refused.extend([1] if wrong else [])
        return klaviyo_error(400, pointer=wrong[0]) if wrong else None

    destinations.refuse_bulk = answer
    return refused


def test_a_bad_event_goes_alone_and_the_others_in_bulk(start_behind, destinations):
    Windows(destinations, LIMITS)
    service, = start_behind()
    first = let_learn([service], destinations)
    lanes = lanes_of(400, 1)
    bad = {f"p{n}@klaviyo-demo.com" for n in (150, 250, 399)}

    def wrong(groups):
        mails = [g["attributes"]["profile"]["data"]["attributes"]["email"] for g in groups]
        return [GROUP % n for n, mail in enumerate(mails) if mail in bad]

    refused = refuse(destinations, wrong)
    destinations.script["klaviyo", "p399_0"] = []
    answer = destinations.answer_with
    destinations.answer_with = lambda d, e, n: klaviyo_error(400, pointer="/data/attributes/profile") if (d, e) == ("klaviyo", "p399_0") else answer(d, e, n)
    post_all([service], events_of(lanes, 1))
    wanted = everything(first + flat(lanes)) - {("klaviyo", "p399_0")}
    destinations.wait_taken(wanted, deadline=60)
    service.wait_drained()
    alone = {s.event_id for s in destinations.of(destination="klaviyo", ok=True) if not s.bulk}
    assert 1 <= len(refused) <= 3 and {"p150_0", "p250_0"} <= alone and len(alone) < 200
    assert sent_in_bulk(service) > 150
    assert steps_of(service, "p399_0")["state"] == "failed"  # it was refused alone, not for what the others had
    assert len(service.jobs("dead")) == 1


def test_what_is_not_understood_goes_alone(start_behind, destinations):
    Windows(destinations, LIMITS)
    service, = start_behind()
    first = let_learn([service], destinations)
    lanes = lanes_of(100, 1)
    refused = refuse(destinations, lambda groups: [GROUP % 0 + "/unique_id"], times=1)
    post_all([service], events_of(lanes, 1))
    wanted = everything(first + flat(lanes))
    destinations.wait_taken(wanted, deadline=60)
    service.wait_drained()
    check_invariants(destinations, wanted, lanes)
    assert refused
    tried = {s.event_id for s in destinations.of(destination="klaviyo") if s.bulk == 1}
    assert tried <= {s.event_id for s in destinations.of(destination="klaviyo", ok=True) if not s.bulk}


def paused(service):
    return service.metric("fireorder_destination_paused", destination="klaviyo")


def test_a_refused_key_pauses_and_a_reload_goes_on(start_behind, destinations):
    windows = Windows(destinations, LIMITS)
    service, = start_behind()
    first = let_learn([service], destinations)
    lanes = lanes_of(400, 1)
    allowed = []
    destinations.answer_with = lambda d, e, n: klaviyo_error(401, "not_authenticated") if d == "bulk" and not allowed else windows.answer(d, e, n)
    post_all([service], events_of(lanes, 1))
    wait_for(lambda: paused(service) == 1, what="the pause")
    asked = len(destinations.bulk)
    allowed.append(True)
    service.process.send_signal(1)
    wanted = everything(first + flat(lanes))
    destinations.wait_taken(wanted, deadline=60)
    service.wait_drained()
    check_invariants(destinations, wanted, lanes)
    assert asked <= 3 and paused(service) == 0


def test_what_goes_alone_does_not_wait_because_bulk_is_throttled(start_behind, destinations):
    """Klaviyo counts each kind of request by itself: bulk is throttled for longer than the test waits for what comes once Klaviyo
    takes single ones again."""
    windows = Windows(destinations, {**LIMITS, "klaviyo": [(20, 1), (60, 3)]})
    service, = start_behind()
    first = let_learn([service], destinations)
    lanes = lanes_of(400, 1)
    live = ("klaviyo", "live")
    destinations.answer_with = lambda d, e, n: klaviyo_error(429, "throttled", Retry_After=20) if d == "bulk" and live not in destinations.taken else windows.answer(d, e, n)
    post_all([service], events_of(lanes, 1))
    destinations.wait(lambda d: d.bulk, what="a request in bulk")
    wait_for(lambda: time.time() - max(s.at for s in destinations.of(destination="klaviyo")) > 3, 12, "the windows of single requests to be over")
    post_all([service], [own_event("live", email="live@klaviyo-demo.com")])
    destinations.wait_taken({live}, deadline=8)
    wanted = everything(first + flat(lanes) + ["live"])
    destinations.wait_taken(wanted, deadline=60)
    service.wait_drained()
    check_invariants(destinations, wanted, lanes + [["live"]])
    in_bulk = destinations.of(destination="klaviyo")
    assert min(s.at for s in in_bulk if s.bulk and s.taken) - min(s.at for s in in_bulk if s.bulk) >= 20


@pytest.mark.parametrize("kind,copies", [("sqlite", 1), ("redis", 2)])
def test_killed_before_the_answer_was_recorded(start_behind, destinations, kind, copies):
    Windows(destinations, LIMITS)
    services = start_behind(kind, copies)
    first = let_learn(services, destinations)
    lanes = lanes_of(300, 2)
    killed = []

    def strike(seen):
        if seen.bulk and not killed:
            killed.append(seen)
            services[0].process.kill()

    destinations.observe = strike
    post_all(services[-1:], events_of(lanes, 2)[:300])
    wait_for(lambda: killed and services[0].process.poll() is not None, what="the kill")
    services[0].start()
    post_all(services, events_of(lanes, 2)[300:])
    wanted = everything(first + flat(lanes))
    destinations.wait_taken(wanted, deadline=90)
    for service in services:
        service.wait_drained()
    check_invariants(destinations, wanted, lanes)


def test_what_comes_meanwhile_goes_first(start_behind, destinations):
    """4,000 events wait for a key to be corrected; then twenty more come while they go out."""
    limits = {"klaviyo": [(20, 1), (200, 6)], "bulk": [(2, 1), (12, 6)]}
    windows = Windows(destinations, limits)
    service, = start_behind()
    first = let_learn([service], destinations)
    lanes = lanes_of(2000, 2)
    allowed = []
    destinations.answer_with = lambda d, e, n: klaviyo_error(401, "not_authenticated") if d in ("klaviyo", "bulk", "profile") and not allowed else windows.answer(d, e, n)
    post_all([service], events_of(lanes, 2))
    wait_for(lambda: len({s.event_id for s in destinations.of(destination="meta", ok=True)}) >= 2000, 60, "a backlog")
    allowed.append(True)
    service.process.send_signal(1)
    wait_for(lambda: paused(service) == 0, what="the key to be tried")
    took, left = [], []
    for n in range(12):
        left.append(service.metric("fireorder_pending"))
        begun = time.monotonic()
        assert service.events([own_event(f"live{n}", email=f"live{n}@klaviyo-demo.com")])[0] == 200
        destinations.wait_taken(everything([f"live{n}"]))
        took.append(time.monotonic() - begun)
    wanted = everything(first + flat(lanes) + [f"live{n}" for n in range(12)])
    destinations.wait_taken(wanted, deadline=90)
    service.wait_drained()
    check_invariants(destinations, wanted, lanes)
    assert left[3] > 300, left  # they had something to overtake
    assert sorted(took)[6] < 1 and max(took) < 8, (took, left)  # a request that is late for its permit waits for the next window of 6 s
