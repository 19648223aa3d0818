"""A destination that refuses the credential is paused until it is corrected: not longer, whatever arrives late, and whatever else fails."""
import signal
import threading

import pytest

from fakes import Answer, good, klaviyo_error
from service import own_event, wait_for


def paused(service):
    return service.metric("fireorder_destination_paused", destination="klaviyo")


@pytest.fixture
def refusing(service, destinations):
    """Klaviyo refuses the key until `allowed` is told."""
    allowed = threading.Event()
    destinations.answer_with = lambda d, e, n: klaviyo_error(401, "authentication_failed") if d == "klaviyo" and not allowed.is_set() else good(d)
    return allowed


def post(service, event):
    assert service.events([own_event(event, email=f"{event}@klaviyo-demo.com")])[0] == 200


def pause(service, destinations):
    post(service, "refused")
    destinations.wait(lambda d: d.of("refused", "klaviyo"), what="a refusal")
    wait_for(lambda: paused(service) == 1, what="the pause")


def test_a_refusal_that_comes_late_does_not_pause_again(service, destinations, refusing):
    may_answer = threading.Event()
    destinations.observe = lambda seen: may_answer.wait(25) if seen.event_id == "late" and seen.destination == "klaviyo" else None
    post(service, "late")
    destinations.wait(lambda d: d.of("late", "klaviyo"), what="the request that is answered late")
    pause(service, destinations)
    refusing.set()
    service.process.send_signal(signal.SIGHUP)
    destinations.wait_delivered(["refused"])
    may_answer.set()
    destinations.wait_delivered(["late"], deadline=20)
    service.wait_drained()
    assert [s.status for s in destinations.of("late", "klaviyo")] == [401, 202] and paused(service) == 0


@pytest.mark.parametrize("answer", [klaviyo_error(429, "throttled", Retry_After=1), Answer(503, b"")], ids=["throttled", "down"])
def test_a_try_that_fails_for_another_reason_is_soon_made_again(service, destinations, refusing, answer):
    pause(service, destinations)
    destinations.answer_with = lambda d, e, n: answer if d == "klaviyo" and n == 2 else good(d)
    service.process.send_signal(signal.SIGHUP)
    destinations.wait_delivered(["refused"], deadline=20)
    service.wait_drained()
    assert [s.status for s in destinations.of("refused", "klaviyo")] == [401, answer.status, 202] and paused(service) == 0


def test_a_new_key_is_taken_by_what_is_under_way(service, destinations):
    """A request with the old key is open while the configuration changes: its refusal is not the new key's."""
    may_answer = threading.Event()

    def answer(d, e, n):
        key = destinations.seen[-1].headers.get("Authorization", "")
        return klaviyo_error(401, "authentication_failed") if d == "klaviyo" and "pk_new" not in key else good(d)

    destinations.answer_with = answer
    destinations.observe = lambda seen: may_answer.wait(25) if seen.destination == "klaviyo" else None
    post(service, "late")
    destinations.wait(lambda d: d.of("late", "klaviyo"), what="the request that is answered late")
    text = service.config.read_text()
    service.config.write_text(text.replace("${KLAVIYO_API_KEY}", "pk_new"))
    service.process.send_signal(signal.SIGHUP)
    wait_for(lambda: "reloaded" in service.log.read_text(), what="the reload")
    may_answer.set()
    destinations.wait_delivered(["late"], deadline=20)
    service.wait_drained()
    assert [s.status for s in destinations.of("late", "klaviyo")] == [401, 202] and paused(service) == 0
