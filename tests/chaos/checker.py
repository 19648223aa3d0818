"""Holds what the senders were told, what the destinations saw and what the program says against each other.

What is looked for, and the guarantee that it would break (docs/faults.md):
  lost        G1 G2  acknowledged, and a destination that was to get it neither took it nor has a recorded skip or failure
  foreign     G2     a request that no acknowledged webhook accounts for
  event order G3     Klaviyo asked before Meta's outcome, or told another outcome than there was; Meta asked again after that
  lane order  G4     a later event of a person asked for, or taken, before an earlier one was done with
  bytes       G5     two bodies under one id at one destination
  count       G11    jobs in the program's list are not those that were acknowledged, or some are still pending
  forgotten          something of a person was kept, or sent, after the request to forget them was done with
  duplicate   I6     a request after the destination had taken it, which no kill, stop or lost answer explains
"""
import collections
import json
from dataclasses import dataclass, field

from fakes import variants

SLOW = 1.5  # seconds after which the asker (timeout 2 s) may have given up


@dataclass
class Report:
    violations: dict = field(default_factory=lambda: collections.defaultdict(list))  # kind -> texts
    duplicates: collections.Counter = field(default_factory=collections.Counter)  # reason -> how many
    events: int = 0
    requests: int = 0

    def bad(self, kind, text):
        self.violations[kind].append(text)

    @property
    def ok(self):
        return not self.violations

    def text(self):
        return "\n".join(f"{kind}: {text}" for kind, texts in self.violations.items() for text in texts[:8])


@dataclass
class Evidence:
    deliveries: list  # source.Delivery
    seen: list  # fakes.Seen
    disturbances: list  # (sequence, what)
    jobs: dict  # the program's own list, by id; None: not asked for
    redriven: set = field(default_factory=set)  # event ids that were dead for a while: they lost their place
    violations_counted: float = 0  # fireorder_order_violations_total
    purged: bool = False  # finished jobs may be gone from the list
    erased: set = field(default_factory=set)  # event ids of somebody who was forgotten: they may have been dropped
    forgotten: tuple = ()  # (place in the sequence from which on nothing may name that person, what names them)
    kept: dict = field(default_factory=dict)  # what the program says that it keeps of somebody -> whether that should be nothing
    timeouts: bool = True  # answers later than SLOW may not have been heard


STEPS = ("meta", "klaviyo", "list")  # in the order of one event; a change of the list is known by the person and what it does


def by_event(seen):
    found = collections.defaultdict(list)
    for s in seen:
        if s.destination in STEPS:
            found[s.destination, f"{s.event_id} {s.name}" if s.destination == "list" else s.event_id].append(s)
    return found


def taken(requests):
    return next((s for s in requests if s.taken), None)


def check(e: Evidence) -> Report:
    r = Report()
    requests = by_event(e.seen)
    r.events = len({event for d in e.deliveries for _, event in d.expected})
    r.requests = len(e.seen)
    steps = recorded_steps(e.jobs or {})
    check_loss(r, e, requests, steps)
    check_order_within_event(r, e, requests)
    check_lanes(r, e, requests)
    check_bytes(r, requests)
    check_count(r, e)
    check_duplicates(r, e, requests)
    check_forgotten(r, e)
    if e.violations_counted:
        r.bad("event order", f"the program itself counts {e.violations_counted:.0f} violations")
    return r


def shown(key):
    """As the program shows it: of an id with a checkout's token the beginning."""
    destination, event = key
    return (destination, event[:12] + "..." if event.startswith(("chk_", "cart_")) and len(event) > 12 else event)


def recorded_steps(jobs):
    """(destination, event id) -> the step as the program tells it, and the state of its job."""
    names = {"meta": "meta", "klaviyo.event": "klaviyo"}
    return {(names[name], event["id"]): (step, job["state"])
            for job in jobs.values() for event in job["events"] for name, step in event["steps"].items() if name in names
            if step.get("reason") != "duplicate event"}


def check_loss(r, e, requests, steps):
    accounted = set()
    for d in e.deliveries:
        accounted |= d.expected
        if not d.acknowledged:
            continue
        for key in d.expected:
            if taken(requests.get(key, [])) or key[1] in e.erased:
                continue
            step, state = steps.get(shown(key), ({}, None))
            if state == "pending":
                continue  # not lost, but check_count complains
            visible = step.get("state") == "skipped" or (step.get("state") == "failed" and state == "dead")
            if not visible:
                r.bad("lost", f"{key[1]} at {key[0]}: acknowledged ({d.source} {d.topic}); the program says {step.get('state')}, job {state}")
    for key in requests.keys() - accounted:
        r.bad("foreign", f"{key[1]} at {key[0]}: nobody sent this")
    as_shown = {shown(key): asked for key, asked in requests.items()}
    for key, (step, _) in steps.items():
        if step.get("state") == "sent" and not taken(as_shown.get(key, [])):
            r.bad("lost", f"{key[1]} at {key[0]}: said to be sent, and never taken")


def capi_status(s):
    properties = s.json["data"]["attributes"].get("properties", {})
    return properties.get("capi_status", "")


def check_order_within_event(r, e, requests):
    for (destination, event), asked in requests.items():
        if destination != "klaviyo" or event in e.redriven:
            continue
        first = asked[0]
        at_meta = requests.get(("meta", event), [])
        status = capi_status(first)
        before = [s for s in at_meta if s.came < first.came]
        if status == "sent":
            if not any(s.taken and s.answered < first.came for s in before):
                r.bad("event order", f"{event}: Klaviyo is told that Meta has it, and Meta had not taken it")
            late = [s for s in at_meta if s.came > first.came and not frozen_before(e, s)]
            if late:
                r.bad("event order", f"{event}: Meta is asked again after Klaviyo, though its outcome was recorded")
        elif status in ("retrying", "failed"):
            if not before:
                r.bad("event order", f"{event}: Klaviyo is asked before Meta was")
        elif at_meta and not before:
            r.bad("event order", f"{event}: Klaviyo is asked before Meta, as {status or 'nothing'}")


def frozen_before(e, s):
    """A process that was stopped and went on may send what it was about to send."""
    return any(what.startswith("go on") and place < s.came for place, what in e.disturbances)


def stopped_between(e, one, again):
    """A process was stopped before it could hear the answer to the first."""
    begins = [place for place, what in e.disturbances if what == "stop"]
    ends = [place for place, what in e.disturbances if what == "go on"]
    return any(begin < again.came and (not ends or max(ends) > one.came) for begin in begins)


def check_lanes(r, e, requests):
    lanes = collections.defaultdict(list)
    for d in e.deliveries:
        for event in dict.fromkeys(event for _, event in sorted(d.expected, key=lambda key: STEPS.index(key[0]))):
            if d.acknowledged and event not in e.redriven and event not in lanes[d.lane]:
                lanes[d.lane].append(event)
    for lane, events in lanes.items():
        done, who = 0, None
        for event in events:
            all_of_it = [s for d in STEPS for s in requests.get((d, event), [])]
            if not all_of_it:
                continue
            came = min(s.came for s in all_of_it)
            if came < done:
                r.bad("lane order", f"lane {lane}: {event} is asked for before {who} was done with")
            end = taken(requests.get(("klaviyo", event), []) or requests.get(("list", event), []))
            if end and end.answered > done:
                done, who = end.answered, event


def check_bytes(r, requests):
    for (destination, event), asked in requests.items():
        if variants(asked) > 1:
            r.bad("bytes", f"{event} at {destination}: {variants(asked)} different bodies")


def check_count(r, e):
    if e.jobs is None:
        return
    pending = [job for job in e.jobs.values() if job["state"] == "pending"]
    if pending:
        r.bad("count", f"{len(pending)} still pending, the first: {json.dumps(pending[0])[:400]}")
    told, held = collections.Counter(), collections.Counter()
    for key in {(d.source, d.topic, d.delivery_id) for d in e.deliveries if d.acknowledged}:
        told[key[:2]] += 1
    for job in e.jobs.values():
        held[job["source"], job["topic"]] += 1
    for key in told.keys() | held.keys():
        missing = told[key] > held[key] and not e.purged
        if missing or held[key] > told[key] + unacknowledged(e, key):
            r.bad("count", f"{' '.join(key)}: {told[key]} acknowledged, {held[key]} in the program's list")


def unacknowledged(e, key):
    """May have been stored without the sender hearing of it."""
    return sum(1 for d in e.deliveries if (d.source, d.topic) == key and not d.acknowledged and d.tries)


def check_forgotten(r, e):
    if e.forgotten:
        place, name = e.forgotten
        for s in e.seen:
            if s.came > place and name.encode() in s.body and s.destination != "deletion":
                r.bad("forgotten", f"{s.event_id} at {s.destination}: sent after its person was forgotten")
    for told, nothing in e.kept.items():
        if told.startswith("kept: 0 webhooks (0 of them waiting) and 0 ") != nothing:
            r.bad("forgotten", f"{told}, which should be {'nothing' if nothing else 'something'}")


def check_duplicates(r, e, requests):
    """Between a request that was taken and the next one for the same event something must have happened to the asker. One that was
    stopped and went on repeats at most the one request that it was about to make."""
    after_stop = collections.Counter()
    for (destination, event), asked in requests.items():
        for one, again in zip(asked, asked[1:]):
            if not one.taken:
                continue
            between = [what for place, what in e.disturbances if one.came < place < again.came]
            if any(what.startswith("kill") for what in between):
                r.duplicates["kill"] += 1
            elif e.timeouts and one.answered_at - one.at > SLOW:
                r.duplicates["answered too late"] += 1
            elif stopped_between(e, one, again) or frozen_before(e, again):
                r.duplicates["stop"] += 1
                after_stop[event] += 1
                if after_stop[event] > 1:
                    r.bad("duplicate", f"{event}: {after_stop[event]} requests are repeated after one stop, the last at {destination}")
            else:
                r.bad("duplicate", f"{event} at {destination}: taken, and asked for again without a reason")
