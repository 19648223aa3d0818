"""What would wait for Klaviyo's limit for too long goes in bulk, and what comes meanwhile goes before it."""
import collections
import json
import os
import subprocess
import sys
import time

import pytest

from fakes import Answer, check_invariants, klaviyo_error
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
            text = service.config.read_text()
            service.config.write_text(text.replace('api_key: "${KLAVIYO_API_KEY}"', 'api_key: "${KLAVIYO_API_KEY}", bulk_when_behind: ' + when))
            service.start()
        return services
    return begin


@pytest.mark.parametrize("kind,copies", [("sqlite", 1), ("redis", 2)])
def test_a_backlog_goes_in_bulk(start_behind, destinations, kind, copies):
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
    print("took", took, len(destinations.bulk), windows.refused)
    check_invariants(destinations, wanted, lanes)
    assert took < 60
