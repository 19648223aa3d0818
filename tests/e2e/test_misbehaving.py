"""Meta and Klaviyo as they are on a bad day: each answer that is none, or that says no, in each of its forms, and what becomes of the event."""
import signal
import time
from email.utils import formatdate

import pytest

from fakes import Answer, check_invariants, klaviyo_error, meta_error
from service import own_event, wait_for

CHALLENGE = Answer(403, b"<!DOCTYPE html><title>Just a moment...</title>", {"Content-Type": "text/html", "cf-mitigated": "challenge"})
TEN_MB = b"{" + b" " * (10 << 20) + b'"events_received":1}'

# What has to be tried again, and then goes through.
AGAIN = {
    "meta": {
        "500": Answer(500, b"oops"), "503 with a time": Answer(503, b"", {"Retry-After": "1"}), "408": Answer(408, b""),
        "reset unread": Answer(reset="before"), "reset after reading": Answer(reset="after"), "half an answer": Answer(manner="half"),
        "ends among the headers": Answer(manner="in_head"), "shorter than it says": Answer(manner="longer"), "never": Answer(manner="hang"),
        "a byte a second": Answer(manner="trickle"), "10 MB": Answer(200, TEN_MB, bad="10 MB"), "no JSON": Answer(200, b"fine, thanks", bad="no JSON"),
        "an error with 200": meta_error(2, status=200), "no event received": Answer(200, b'{"events_received":0}', bad="0"),
        "two events received": Answer(200, b'{"events_received":2}', bad="2"), "cut JSON": Answer(200, b'{"events_received":1', bad="cut"),
        "403 by somebody in between": CHALLENGE, "400 by somebody in between": Answer(400, b"<html>bad gateway</html>"),
        "transient 400": meta_error(1, transient=True),
    },
    "klaviyo": {
        "500": klaviyo_error(500), "502": Answer(502, b"<html>"), "503 with a time": klaviyo_error(503, Retry_After=1), "408": klaviyo_error(408),
        "reset unread": Answer(reset="before"), "reset after reading": Answer(reset="after"), "half an answer": Answer(manner="half"),
        "ends among the headers": Answer(manner="in_head"), "shorter than it says": Answer(202, b"x", manner="longer"),
        "never": Answer(manner="hang"), "a byte a second": Answer(manner="trickle"), "400 by somebody in between": Answer(400, b"<html>"),
    },
}
# What will never be taken, and stops nobody else.
NEVER = {
    "meta": {"100": meta_error(100), "too old": meta_error(100, 2804003), "an error with 200": meta_error(100, 2804009, status=200), "409": Answer(409, b"{}")},
    "klaviyo": {"400": klaviyo_error(400), "404": klaviyo_error(404), "409": klaviyo_error(409, "duplicate_profile"), "413": klaviyo_error(413),
                "422": klaviyo_error(422)},
}
# What is nobody's fault but the account's: its events wait.
PAUSES = {
    "meta": {"190": meta_error(190, status=401), "401": Answer(401, b"{}"), "403": Answer(403, b"{}"), "404": Answer(404, b"{}"),
             "redirect": Answer(307, b"", {"Location": "/followed"})},
    "klaviyo": {"401": klaviyo_error(401), "403": klaviyo_error(403), "410": klaviyo_error(410), "redirect": Answer(301, b"", {"Location": "/followed"})},
}
BOTH = ("meta", "klaviyo")


def bad(answer):
    """An answer of 200 that says no is not one that took it."""
    if 200 <= answer.status < 300 and b'"error"' in (answer.body or b""):
        answer.bad = "an error"
    return answer


def send(service, ids):
    status, answer = service.events([own_event(event, email=f"{event}@klaviyo-demo.com") for event in ids])
    assert status == 200 and {result["status"] for result in answer["results"]} == {"accepted"}


def steps_of(service, *states):
    return {event["id"]: (job["state"], event["steps"]) for job in (service.jobs(*states) or {}).values() for event in job["events"]}


def test_what_is_tried_again(store, start, destinations):
    service = start(store)
    cases = {f"{d}_{n}": (d, answer) for d in BOTH for n, answer in enumerate(AGAIN[d].values())}
    for event, (destination, answer) in cases.items():
        destinations.script[destination, event] = [bad(answer)]
    send(service, cases)
    destinations.wait_delivered(cases, deadline=90)
    service.wait_drained()
    check_invariants(destinations, {(d, event) for d in BOTH for event in cases})
    for event, (destination, _) in cases.items():
        assert len(destinations.of(event, destination)) == 2, event
        assert len(destinations.of(event, "klaviyo" if destination == "meta" else "meta")) == 1, event
    assert {state for state, _ in steps_of(service).values()} == {"done"}


def test_a_long_answer_of_klaviyo_is_one(service, destinations):
    destinations.script["klaviyo", "long"] = [Answer(202, TEN_MB)]
    send(service, ["long"])
    service.wait_drained()
    assert len(destinations.of("long", "klaviyo")) == 1


def test_what_is_refused(store, start, destinations):
    service = start(store)
    cases = {f"{d}_{n}": (d, answer) for d in BOTH for n, answer in enumerate(NEVER[d].values())}
    for event, (destination, answer) in cases.items():
        destinations.script[destination, event] = [bad(answer)]
    send(service, [*cases, "fine"])
    service.wait_drained()
    told = steps_of(service)
    assert told.pop("fine")[0] == "done"
    for event, (destination, _) in cases.items():
        state, steps = told[event]
        step = {"meta": "meta", "klaviyo": "klaviyo.event"}[destination]
        assert (state, steps[step]["state"], steps[step]["attempts"]) == ("dead", "failed", 1), event
        assert len(destinations.of(event, "klaviyo" if destination == "meta" else "meta", ok=True)) == 1


@pytest.mark.parametrize("destination", BOTH)
def test_what_pauses_an_account(service, destinations, destination):
    for n, (name, answer) in enumerate(PAUSES[destination].items()):
        event = f"p{n}"
        account = {"destination": destination}
        destinations.script[destination, event] = [answer]
        send(service, [event])
        wait_for(lambda: service.metric("fireorder_destination_paused", **account) == 1, what=f"{name}: a pause")
        wait_for(lambda: steps_of(service, "pending").get(event), what=f"{name}: the event to be kept")
        assert len(destinations.of(event, destination)) == 1
        service.process.send_signal(signal.SIGHUP)
        destinations.wait_taken({(destination, event)})
        wait_for(lambda: service.metric("fireorder_destination_paused", **account) == 0, what=f"{name}: the pause to end")
    service.wait_drained()
    assert not [s for s in destinations.of() if s.path == "/followed"]
    assert {state for state, _ in steps_of(service).values()} == {"done"}


READABLE = {"seconds": "2", "zero": "0", "past": "Sun, 06 Nov 1994 08:49:37 GMT"}
UNREADABLE = {"negative": "-7", "words": "soon", "fraction": "1.5", "two": "1, 2", "empty": "", "absent": None}


@pytest.mark.parametrize("destination", BOTH)
def test_every_form_of_retry_after(service, destinations, destination):
    """A second at least, longer where a longer time can be read. Where none can, Meta's throttling lasts minutes: not waited for here."""
    forms = {**READABLE, **(UNREADABLE if destination == "klaviyo" else {})}
    for n, (name, value) in enumerate(forms.items()):
        event = f"r{n}"
        destinations.script[destination, event] = [Answer(429, b"{}", {} if value is None else {"Retry-After": value})]
        send(service, [event])
        destinations.wait_taken({(destination, event)}, deadline=15)
        first, second = destinations.of(event, destination)
        least = 2 if name == "seconds" else 1
        assert least - 0.05 <= second.at - first.at < least + 4, name


def test_a_date_in_retry_after(service, destinations):
    at = int(time.time()) + 4
    destinations.script["klaviyo", "dated"] = [klaviyo_error(429, Retry_After=formatdate(at, usegmt=True))]
    send(service, ["dated"])
    destinations.wait_taken({("klaviyo", "dated")}, deadline=20)
    assert destinations.of("dated", "klaviyo")[1].at >= at - 0.05


@pytest.mark.parametrize("value", ["999999999", "99999999999999999999999999", "Fri, 31 Dec 9999 23:59:59 GMT"])
def test_a_huge_retry_after_holds_that_account_alone(service, destinations, value):
    destinations.script["klaviyo", "huge"] = [klaviyo_error(429, Retry_After=value)] * 3
    send(service, ["huge"])
    destinations.wait(lambda d: d.of("huge", "klaviyo"), what="the refusal")
    send(service, ["later"])
    destinations.wait_taken({("meta", "later")})
    if value != "99999999999999999999999999":  # that is no number, so it says nothing, and the least is waited
        wait_for(lambda: steps_of(service, "pending").get("later", (0, {}))[1].get("meta", {}).get("state") == "sent", what="its outcome to be recorded")
        assert len(destinations.of("huge", "klaviyo")) == 1 and not destinations.of("later", "klaviyo")


def test_a_challenge_in_front_of_klaviyo_is_waited_out(service, destinations):
    destinations.script["klaviyo", "challenged"] = [CHALLENGE]
    send(service, ["challenged"])
    wait_for(lambda: steps_of(service, "pending").get("challenged", (0, {}))[1].get("klaviyo.event", {}).get("state") == "retrying", what="a retry")
    assert "stopped before Klaviyo" in steps_of(service, "pending")["challenged"][1]["klaviyo.event"]["reason"]
    assert service.metric("fireorder_destination_paused") == 0
