"""Minutes of random faults: 200 webhooks a second, a tenth of all requests at Meta and Klaviyo fails in one of many ways, and now and then a reload.
After each minute everything has to be finished, and the checker holds it against what was sent; memory, files and threads are not to grow.

    scripts/chaos --soak                       30 minutes on SQLite
    scripts/chaos --soak --minutes 10 --store redis --seed 7
"""
import argparse
import dataclasses
import itertools
import json
import random
import signal
import sys
import tempfile
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "e2e"))

import workload
from checker import Evidence, check
from fakes import Answer, Destinations, good
from outage import Watch, slope, tell
from run import wait_taken
from service import Redis, Service, wait_for
from source import Source

SENDERS = 12
GROWTH = 1.0  # MB a minute that count as flat: less than a hundredth of what the program has
WARM_UP = 2  # rounds in which caches and arenas find their size


def moods(dice):
    """What the destinations do: workload.AGAIN, and sometimes nothing for longer than anybody waits."""
    def answer(destination, event_id, n):
        delay = dice.uniform(0, 0.03)
        roll = dice.random()
        if destination in ("meta", "klaviyo") and n <= 3 and roll < 0.1:
            failure = Answer(manner="hang") if roll < 0.0005 else dice.choice(workload.AGAIN[destination])()
            failure.delay = delay
            return failure
        result = good(destination)
        return Answer(result.status, result.body, result.headers, delay)

    return answer


def send(service, destinations, lanes, rate):
    """Each lane in its order, some at a time, and all of them together no faster than `rate`."""
    source = Source(lambda: service, lambda: sequence(destinations))
    turn, lock, begun = itertools.count(), threading.Lock(), time.monotonic()
    waiting = iter(lanes)

    def work():
        while True:
            with lock:
                lane = next(waiting, None)
            if lane is None:
                return
            for delivery in lane:
                with lock:
                    at = begun + next(turn) / rate
                while (left := at - time.monotonic()) > 0:
                    time.sleep(left)
                source.send(delivery)

    threads = [threading.Thread(target=work, daemon=True) for _ in range(SENDERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def sequence(destinations):
    with destinations.lock:
        return destinations._next()


def jobs_since(service, begun):
    """Those of this round that are there; None while some are pending."""
    jobs = service.jobs()
    since = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(begun))
    if jobs is None or any(job["state"] == "pending" for job in jobs.values()):
        return None
    return {name: job for name, job in jobs.items() if job["received"] >= since}


def one_round(service, destinations, people, first, rate):
    begun = int(time.time())
    wait_for(lambda: time.time() > begun + 1, what="a second that is nobody's yet")
    begun += 1
    lanes = [workload.person(n, first) for n in range(people)]
    send(service, destinations, lanes, rate)
    wait_taken(type("World", (), {"destinations": destinations}), lanes)
    wait_for(lambda: service.metric("fireorder_pending") == 0, 120, "an empty store")
    jobs = wait_for(lambda: jobs_since(service, begun), 120, "the list")
    with destinations.lock:
        evidence = Evidence([d for lane in lanes for d in lane], list(destinations.seen), list(destinations.disturbances), jobs,
                            violations_counted=service.metric("fireorder_order_violations_total"))
        destinations.seen.clear()
        destinations.tries.clear()
        destinations.taken.clear()
        destinations.disturbances.clear()
    return check(evidence)


@dataclasses.dataclass
class Result:
    seed: int
    store: str
    rounds: int = 0
    events: int = 0
    requests: int = 0
    duplicates: dict = dataclasses.field(default_factory=dict)
    violations: dict = dataclasses.field(default_factory=dict)
    figures: dict = dataclasses.field(default_factory=dict)


def add(result, report):
    result.rounds += 1
    result.events += report.events
    result.requests += report.requests
    for reason, n in report.duplicates.items():
        result.duplicates[reason] = result.duplicates.get(reason, 0) + n
    for kind, texts in report.violations.items():
        result.violations[kind] = result.violations.get(kind, []) + texts[:5]


def figures(watch, ends):
    """Least and most at any time since the first rounds; growth from the end of a round, when nothing is under way, to that of the next."""
    found = {}
    for n, name in ((1, "MB"), (2, "files"), (3, "threads")):
        column = watch.column(n, ends[0][0])
        found[name] = [round(min(column), 1), round(max(column), 1)]
        found[f"{name} a minute"] = round(slope(ends, n), 3)
    return found


def soak(minutes, store, seed, rate=200, round_seconds=60):
    """A Result; violations are empty when the checker found nothing. Figures are those after the first rounds."""
    dice = random.Random(seed)
    result = Result(seed, store)
    tell(f"seed {seed}, {minutes} minutes on {store}")
    destinations = Destinations()
    destinations.answer_with = moods(dice)
    people = max(1, rate * round_seconds // len(workload.person(0)))
    with tempfile.TemporaryDirectory(prefix="soak") as folder:
        folder = Path(folder)
        (folder / "redis").mkdir()
        redis = Redis(folder / "redis") if store == "redis" else None
        (folder / "service").mkdir()
        (folder / "service" / "chaos.yaml").write_text(workload.MAPPING)
        service = Service(folder / "service", destinations.url, redis.url if redis else f"sqlite:{folder}/fireorder.db", extra=f"retention: {round_seconds + 30}s",
                          shop_extra="    mapping: chaos.yaml")
        watch = Watch(service.process.pid, 1)
        ends, end = [], time.monotonic() + minutes * 60
        try:
            while time.monotonic() < end and not result.violations:
                add(result, one_round(service, destinations, people, result.rounds * people, rate))
                watch.look()
                ends.append(watch.samples[-1])
                tell(f"round {result.rounds}: {result.events} events, {result.requests} requests, {watch.samples[-1][1]:.0f} MB, "
                     f"{watch.samples[-1][2]} files, {watch.samples[-1][3]} threads, violations {result.violations or 'none'}")
                if dice.random() < 0.3:
                    service.process.send_signal(signal.SIGHUP)
            watch.stop()
            service.close()
        finally:
            service.kill()
            if redis:
                redis.close()
            destinations.close()
        result.figures = figures(watch, ends[min(WARM_UP, len(ends)) - 1:])
    return result


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--minutes", type=float, default=30)
    p.add_argument("--rate", type=int, default=200)
    p.add_argument("--store", default="sqlite", choices=["sqlite", "redis"])
    p.add_argument("--seed", type=int, default=time.time_ns() % 1000000)
    a = p.parse_args()
    result = soak(a.minutes, a.store, a.seed, a.rate)
    print(json.dumps(dataclasses.asdict(result), indent=1))
    f = result.figures
    flat = abs(f["MB a minute"]) < GROWTH and abs(f["files a minute"]) < GROWTH and abs(f["threads a minute"]) < GROWTH
    sys.exit(0 if flat and not result.violations else 1)


if __name__ == "__main__":
    main()
