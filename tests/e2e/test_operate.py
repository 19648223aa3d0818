"""What an operator asks of a running service: fireorder events, dead, replay; and the admin address behind them."""
import json

import pytest

from fakes import Answer, klaviyo_error, meta_error
from service import fireorder, free_port, order, wait_for


def run(service, *words):
    done = fireorder(words[0], "--config", service.config, *words[1:], env=service.environment)
    return done.returncode, done.stdout, done.stderr


def listed(service, *words):
    status, out, error = run(service, *words, "--json")
    assert status == 0, error
    return [json.loads(line) for line in out.splitlines()]


def test_dead_letters_are_listed_and_replayed(store, start, destinations):
    service = start(store, extra="admin_token: sesame")
    destinations.script["meta", "ord_1_purchase"] = [meta_error(100, 2804003)]
    destinations.script["klaviyo", "ord_2_purchase"] = [klaviyo_error(400)]
    for number in (1, 2, 3):
        assert service.shopify("orders/create", order(number, email=f"p{number}@klaviyo-demo.com")) == (200, "accepted")
    assert service.shopify("orders/create", b'{"id":') == (200, "undecodable")
    assert service.shopify("themes/publish", {"id": 1})[1] == "ignored"
    wait_for(lambda: len(listed(service, "events", "--state", "done")) == 1 and len(listed(service, "dead")) == 3, what="three dead, one done")

    by_event = {event["id"]: event for job in listed(service, "events") for event in job["events"]}
    assert by_event["ord_1_purchase"]["steps"]["meta"]["state"] == "failed"
    assert by_event["ord_1_purchase"]["steps"]["klaviyo.event"]["state"] == "sent"
    assert by_event["ord_2_purchase"]["steps"]["klaviyo.event"]["state"] == "failed"
    assert by_event["ord_3_purchase"]["steps"]["meta"] == {"state": "sent", "attempts": 1}
    assert {job["state"] for job in listed(service, "events")} == {"done", "dead", "ignored"}
    _, text, _ = run(service, "dead")
    assert text.count(" dead ") == 3 and "ord_2_purchase" in text and "undecodable" in text and "klaviyo-demo" not in text

    dead = listed(service, "dead")
    one = next(job["job"] for job in dead if job["events"] and job["events"][0]["id"] == "ord_1_purchase")
    assert run(service, "replay", one)[:2] == (0, "1 tried again, 0 not dead, 0 unknown\n")
    destinations.wait_taken({("meta", "ord_1_purchase")})
    wait_for(lambda: len(listed(service, "dead")) == 2, what="the first replayed")
    assert len(destinations.of("ord_1_purchase", "meta", ok=True)) == 1
    assert len(destinations.of("ord_1_purchase", "klaviyo")) == 1  # what was taken is not sent again
    assert run(service, "replay", one, "0" * 32, "nonsense")[:2] == (1, "0 tried again, 1 not dead, 2 unknown\n")

    assert run(service, "replay", "--all-dead")[:2] == (0, "2 tried again, 0 not dead, 0 unknown\n")
    wait_for(lambda: len(listed(service, "dead")) == 1 and service_pending(service) == 0, what="only the undecodable one is dead again")
    assert len(destinations.of("ord_2_purchase", "klaviyo", ok=True)) == 1
    assert len(destinations.of("ord_2_purchase", "meta")) == 1
    _, report = service.get("/report?since=1h&shop=acme", {"Authorization": "Bearer sesame"})
    told = json.loads(report)["shops"][0]
    assert [event["meant"] for event in told["meta_events"]] == [3]  # each is counted once, however often it was over
    assert told["double_sending"]["sent_twice"] == 0


def service_pending(service):
    return len(listed(service, "events", "--state", "pending"))


def test_many_are_paged(store, start, destinations):
    service = start(store)
    destinations.always["meta"] = Answer(500, b"")
    service.events([{"id": f"e{n}", "name": "search", "time": "2026-11-21T10:00:00Z", "user": {"email": f"p{n}@klaviyo-demo.com"}} for n in range(230)])
    service.kill()
    destinations.always["meta"] = None
    service.start()
    jobs = listed(service, "events")
    assert len({job["job"] for job in jobs}) == 230


@pytest.mark.parametrize("path, status", [
    ("/events", 404), ("/events?shop=nobody", 404), ("/events?shop=acme", 200), ("/events?shop=acme&state=", 200), ("/events?shop=acme&state=all", 400),
    ("/events?shop=acme&after=x", 400), ("/events?shop=acme&after=-1", 400), ("/events?shop=acme&state=dead&after=", 200), ("/redrive", 405)])
def test_odd_questions(service, path, status):
    assert service.get(path)[0] == status


def test_pages_that_never_ended(store, start):
    service = start(store)
    assert service.shopify("products/update", {"id": 1})[0] == 200
    for state in ("pending", "done", "dead", "ignored"):
        for after in ("9" * 26, "-1", "0x10", "abc", ":", "1e3", "1:zz", "9" * 26 + ":" + "a" * 32):
            assert service.get(f"/events?shop=acme&state={state}&after={after}")[0] == 400, (state, after)


def test_wrong_token_and_nobody_there(start, tmp_path):
    service = start(extra="admin_token: right")
    service.config.write_text(service.config.read_text().replace("right", "wrong"))
    status, _, error = run(service, "dead")
    assert status == 1 and "admin_token" in error and "wrong" not in error
    service.config.write_text(service.config.read_text().replace(str(service.admin), str(free_port())))
    status, _, error = run(service, "replay", "--all-dead")
    assert status == 1 and "nothing answers" in error
    assert run(service, "replay")[0] == 2
    assert run(service, "events", "--state", "lost")[0] == 2
    assert run(service, "dead", "--shop", "nobody")[0] == 1
