"""The senders try as often as the real ones, and remember what they were told."""
import itertools

import pytest

from source import Delivery, Source


class Answers:
    """A service that gives these answers one after another, the last for ever."""

    def __init__(self, *answers, ready=True):
        self.left, self.asked, self.ready = list(answers), 0, ready

    def shopify(self, topic, body, delivery=None):
        self.asked += 1
        answer = self.left.pop(0) if len(self.left) > 1 else self.left[0]
        if isinstance(answer, Exception):
            raise answer
        return answer, "accepted" if answer == 200 else ""

    def recharge(self, topic, body):
        return self.shopify(topic, body)

    def get(self, path):
        return 200 if self.ready else 0, ""


@pytest.mark.parametrize("kind, tries", [("shopify", 9), ("recharge", 20)])
def test_gives_up_after_as_many_tries_as_the_real_one(kind, tries):
    service = Answers(503)
    d = Delivery("lane", kind, "orders/create", {"id": 1})
    assert not Source(lambda: service, itertools.count(1).__next__).send(d)
    assert d.tries == [503] * tries and service.asked == tries and not d.acknowledged


def test_an_answer_that_does_not_come_is_a_failed_try():
    service = Answers(ConnectionResetError(), 503, 200)
    d = Delivery("lane", "shopify", "orders/create", {"id": 1})
    assert Source(lambda: service, itertools.count(7).__next__).send(d)
    assert d.tries == [0, 503, 200] and d.acknowledged == 7 and d.answer == "accepted"


def test_the_next_of_a_person_comes_after_the_one_before():
    service = Answers(503, 200)
    first, second = Delivery("lane", "shopify", "orders/create", {"id": 1}), Delivery("lane", "shopify", "orders/paid", {"id": 1})
    Source(lambda: service, itertools.count(1).__next__).send_in_order([first, second])
    assert (len(first.tries), len(second.tries)) == (2, 1) and first.acknowledged < second.acknowledged


def test_the_next_try_goes_to_one_who_could_answer():
    away, here = Answers(ConnectionResetError(), ready=False), Answers(200)
    choice = itertools.cycle([away] * 3 + [here])
    d = Delivery("lane", "shopify", "orders/create", {"id": 1})
    assert Source(lambda: next(choice), itertools.count(1).__next__).send(d)
    assert d.tries == [0, 200] and away.asked == 1
