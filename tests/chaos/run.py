"""One run: a store, one or two processes, a seeded workload, and one place at which a process is killed or stopped."""
import contextlib
import dataclasses
import json
import os
import random
import signal
import sys
import tempfile
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "e2e"))

import points
import workload
from checker import Evidence, check
from fakes import Destinations
from service import Redis, Service, wait_for
from source import Source

PEOPLE = 6
DEADLINE = int(os.environ.get("CHAOS_DEADLINE", "75"))  # longer than the longest back-off of the first hour
LEASE, GRACE, TAKEOVER = 5, 1, 10  # seconds; lease and grace are those of CMakeLists.txt
REPLAYABLE = "dead_"
KLAVIYO = {"bulk": "bulk_when_behind: 100ms", "list": 'list_id: "Y6nRLr"', "redact": "delete_on_redact: true"}  # what the account needs besides


class World:
    """Everything that runs, and the keeper that starts again what was killed and wakes what was stopped."""

    def __init__(self, folder, store, copies, variable, place, needs):
        self.destinations = Destinations()
        self.place, self.reached, self.faults = place, False, 0
        self.erased, self.forgotten, self.kept = set(), (), {}
        self.slow, self.late = False, 0
        self.redis = None
        if store != "sqlite":
            (folder / "redis").mkdir()
            self.redis = Redis(folder / "redis")
        url = self.redis.url if self.redis else f"sqlite:{folder}/fireorder.db"
        self.services = []
        for n in range(copies):
            own = folder / f"service{n}"
            own.mkdir()
            (own / "chaos.yaml").write_text(workload.MAPPING)
            service = Service(own, self.destinations.url, url, extra=f"spool: {own}/spool.db" if store == "spool" else "retention: 1s" if needs == "purge" else "",
                              shop_extra="    mapping: chaos.yaml", autostart=False)
            if needs in KLAVIYO:
                service.configure("klaviyo", KLAVIYO[needs])
            self.services.append(service)
        if place and place.startswith("outside."):
            variable = None
            self.destinations.observe = self._strike
        self.stopping = False
        self.lock = threading.Lock()
        for service in self.services:  # whichever gets there first
            service.start(wait=False, **({variable: place, "FO_ONCE": str(folder / "struck")} if variable else {}))
        self.redis_away = store == "spool"
        if self.redis_away:
            wait_for(lambda: self.services[0].get("/readyz")[0] == 200, DEADLINE, "a first start with Redis")
            self.redis.kill()
        self.keeper = threading.Thread(target=self._keep, daemon=True)
        self.keeper.start()

    def _keep(self):
        while not self.stopping:
            for service in self.services:
                with self.lock:
                    self._look_after(service)
            time.sleep(0.01)

    def _look_after(self, service):
        ended = service.process.poll()
        if ended is not None:
            self.destinations.note("kill" if ended == -signal.SIGKILL else f"end {ended}")
            if ended == -signal.SIGKILL:
                self.faults += 1
            self._see(service)
            service.start(wait=False)
        elif state_of(service.process.pid) == "T":
            self.destinations.note("stop")
            self.faults += 1
            self._see(service)
            self._wait_for_takeover()
            self.destinations.note("go on")
            service.process.send_signal(signal.SIGCONT)

    def _wait_for_takeover(self):
        """Until the lease has ended and somebody else waits for Klaviyo with what it was about; slowly, so that both are at work then."""
        begun = time.monotonic()
        while time.monotonic() < begun + TAKEOVER:
            self.slow = time.monotonic() > begun + LEASE - 0.5
            with self.destinations.lock:
                at_work = [s for s in self.destinations.seen if s.answered == 0 and s.destination == "klaviyo" and time.time() - s.at < 0.5]
                again = [s for s in at_work if self.destinations.tries.get(("meta", s.event_id), 0) > 1]
            if again and time.monotonic() > begun + LEASE or at_work and time.monotonic() > begun + LEASE + 1.5:
                break
            time.sleep(0.005)
        self.slow = False

    def _answer(self, destination, event_id, n):
        answer = self.scripted(destination, event_id, n)
        answer.delay += self.late
        answer.delay += 0.8 if self.slow and destination == "klaviyo" else 0
        return answer

    def follow(self, script):
        """What the destinations answer, but slower while something is stopped."""
        self.scripted = script
        self.destinations.answer_with = self._answer

    def _strike(self, seen):
        """outside.DESTINATION[.EVENT]: at its nth request there."""
        name, nth = self.place.split(":")
        _, destination, *event = name.split(".", 2)

        def counts(s):
            return s.destination == destination and (not event or s.event_id == event[0])

        if counts(seen) and sum(map(counts, self.destinations.seen)) == int(nth):
            self.reached = True
            self.services[0].process.kill()

    def _see(self, service):
        name = self.place.split(":")[0] if self.place else None
        self.reached |= name is not None and f"failpoint {name}\n" in service.log.read_text()

    def choose(self):
        return random.choice(self.services)

    def sequence(self):
        with self.destinations.lock:
            return self.destinations._next()

    def close(self):
        self.stopping = True
        self.keeper.join()
        for service in self.services:
            service.kill()
        if self.redis:
            self.redis.close()
        self.destinations.close()


def state_of(pid):
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    return ""


@dataclasses.dataclass
class Result:
    point: str
    store: str
    copies: int
    signal: str
    seed: int
    reached: bool = True
    faults: int = 0
    events: int = 0
    requests: int = 0
    seconds: float = 0
    duplicates: dict = dataclasses.field(default_factory=dict)
    violations: dict = dataclasses.field(default_factory=dict)
    error: str = ""

    @property
    def ok(self):
        return self.reached and not self.violations and not self.error


def send_all(world, lanes):
    source = Source(world.choose, world.sequence, DEADLINE)
    threads = [threading.Thread(target=source.send_in_order, args=(lane,), daemon=True) for lane in lanes]
    for thread in threads:
        thread.start()
    return threads


def wait_taken(world, lanes, but=()):
    unheard = [(d.delivery_id, d.tries) for lane in lanes for d in lane if d.tries and not d.acknowledged]
    assert not unheard, f"the sender gave up: {unheard}"
    wanted = {key for lane in lanes for d in lane for key in d.expected if key[0] != "list" and not key[1].startswith(tuple(but) or "?")}
    world.destinations.wait_taken(wanted, DEADLINE)


def redrive(world):
    """As an operator does who hears nothing: again, until it is answered."""
    def dead():
        jobs = world.choose().jobs("dead")
        return jobs if jobs else None

    ids = wait_for(dead, DEADLINE, "a dead letter")
    world.destinations.forgiving = True
    wait_for(lambda: world.choose().redrive(ids), DEADLINE, "an answer to redrive")


def send(world, lanes, more):
    """These too, and what is expected of them."""
    lanes += more
    for thread in send_all(world, more):
        thread.join(DEADLINE)


def reload(world, lanes):
    for service in world.services:
        service.process.send_signal(signal.SIGHUP)


def stop(world, lanes):
    """While requests are under way; those that are answered too late for it are given back."""
    more = [workload.person(n, 100000) for n in range(2)]
    lanes += more
    late = world.place.startswith("release")
    if late:
        world.late = GRACE + 0.5
    threads = send_all(world, more)
    world.destinations.wait(lambda d: any(s.event_id.startswith("chk_10000") for s in d.seen), DEADLINE, "work to stop in")
    stopped = [service.process for service in world.services[:None if late else 1]]
    for process in stopped:
        process.send_signal(signal.SIGTERM)
    wait_for(lambda: not any(service.process in stopped for service in world.services), DEADLINE, "the stop")
    world.late = 0
    for thread in threads:
        thread.join(DEADLINE)


def stock(world, lanes):
    requests = workload.requests()
    send(world, lanes, [requests])
    wait_for(lambda: drained(world), DEADLINE, "all of them to wait")
    answers = [workload.answer_to(request) for request in requests]
    send(world, lanes, [[workload.in_stock(1)]])
    for answer in answers:
        answer.acknowledged = world.sequence()
    lanes += [answers]
    wait_taken(world, [answers])
    send(world, lanes, [[workload.in_stock(2)]])  # nobody waits any more


def subscribe(world, lanes):
    send(world, lanes, [workload.reader(n) for n in range(3)])


def ended(world, topic, known=()):
    """The program's job with that topic, but for those that are known, once it is done with it."""
    def jobs():
        return [j for n, j in (world.choose().jobs("done", "ignored") or {}).items() if j["topic"] == topic and n not in known]

    return wait_for(jobs, DEADLINE, f"{topic} to be done")[0]


def forget(world, lanes):
    kept, waiting = workload.gone()
    send(world, lanes, [kept])
    wait_taken(world, [kept])
    send(world, lanes, [waiting])
    world.erased = {workload.GONE_EVENT}
    world.destinations.wait(lambda d: d.of(workload.GONE_EVENT, "meta"), DEADLINE, "a webhook that waits")
    send(world, lanes, [[workload.privacy("customers/redact", 950000, workload.GONE)]])
    ended(world, "customers/redact")
    wait_for(lambda: any(j["topic"] == "charge/paid" for j in (world.choose().jobs("ignored") or {}).values()), DEADLINE, "what waits to be dropped")
    world.forgotten = world.sequence(), workload.GONE
    world.destinations.wait(lambda d: d.of(destination="deletion", ok=True), DEADLINE, "the deletion")
    asked = []
    for customer, email in ((950000, workload.GONE), (900000, "person0@klaviyo-demo.com")):
        send(world, lanes, [[workload.privacy("customers/data_request", customer, email)]])
        told = ended(world, "customers/data_request", asked)
        asked.append(told["job"])
        world.kept[told["reason"]] = email == workload.GONE
    send(world, lanes, [[workload.in_stock(1)]])


PROVOKE = {"reload": reload, "stop": stop, "purge": lambda world, lanes: None, "stock": stock, "list": subscribe, "redact": forget}


def provoke(world, needs, lanes):
    """What has to happen besides, until the place is reached."""
    if needs in PROVOKE:
        PROVOKE[needs](world, lanes)
        wait_for(lambda: world.reached, 15, f"{world.place} to be reached")


def drained(world):
    jobs = world.choose().jobs()
    return jobs if jobs is not None and not any(job["state"] == "pending" for job in jobs.values()) else None


def gather(world, lanes, purged):
    try:
        jobs = wait_for(lambda: drained(world), DEADLINE, "nothing to be pending")
    except AssertionError:
        jobs = world.choose().jobs()  # the checker tells what is left
    counted = sum(service.metric("fireorder_order_violations_total") for service in world.services)
    with world.destinations.lock:
        return Evidence([d for lane in lanes for d in lane], list(world.destinations.seen), list(world.destinations.disturbances), jobs,
                        {event for lane in lanes for d in lane for _, event in d.expected if event.startswith(REPLAYABLE)}, counted, purged, world.erased, world.forgotten, world.kept)


def perform(world, point, seed, lanes):
    world.follow(workload.script(world.destinations, seed, 0.1, "2, 2;w=1" if point.needs == "bulk" else None))
    threads = send_all(world, lanes)
    for thread in threads:
        thread.join(DEADLINE)
    if world.redis_away:
        world.redis.start()
    wait_taken(world, lanes, but=[REPLAYABLE])
    wait_for(lambda: len(world.choose().jobs("dead") or ()) == 2, DEADLINE, "both dead letters")
    redrive(world)
    provoke(world, point.needs, lanes)
    wait_taken(world, [[d for d in lane if not any(event in world.erased for _, event in d.expected)] for lane in lanes])


def run(name, store, copies, signal_name="KILL", seed=None, people=PEOPLE, nth=None):
    point = points.BY_NAME.get(name) or points.Point(name)
    seed = seed if seed is not None else time.time_ns()
    random.seed(seed)
    result = Result(name, store, copies, signal_name, seed)
    begun = time.monotonic()
    purged = point.needs == "purge"
    variable = {"KILL": "FO_CRASH_AT", "STOP": "FO_STOP_AT"}[signal_name] if name else None
    with tempfile.TemporaryDirectory(prefix="chaos") as folder:
        world = World(Path(folder), store, copies, variable, f"{name}:{nth or point.nth}" if name else None, point.needs)
        lanes = [workload.person(n) for n in range(people)] + [workload.dead_letter(n) for n in range(2)]
        try:
            try:
                perform(world, point, seed, lanes)
            except AssertionError as e:  # something did not come about: what the checker finds tells why
                result.error = str(e)[:600]
            report = check(gather(world, lanes, purged))
            result.events, result.requests = report.events, report.requests
            result.duplicates, result.violations = dict(report.duplicates), {k: v[:5] for k, v in report.violations.items()}
        except Exception as e:
            result.error = f"{type(e).__name__}: {e}"[:600]
        finally:
            result.reached = world.reached or not name
            result.faults = world.faults
            logs = "\n".join(s.log.read_text()[-1500:] for s in world.services)
            keep = os.environ.get("CHAOS_KEEP")
            if keep and (not result.ok or os.environ.get("CHAOS_KEEP_ALL")):
                write_evidence(world, Path(keep) / f"{name}-{store}-{copies}-{signal_name}.jsonl")
            world.close()
        if "Sanitizer" in logs or "runtime error" in logs:
            result.error = result.error or logs[-800:]
    result.seconds = round(time.monotonic() - begun, 1)
    return result


def write_evidence(world, path):
    with open(path, "w") as out:
        records = [(s.came, {"recv": s.came, "to": s.destination, "event": s.event_id, "at": s.at}) for s in world.destinations.seen]
        records += [(s.answered, {"resp": s.answered, "to": s.destination, "event": s.event_id, "status": s.status, "how": s.how, "recv": s.came})
                    for s in world.destinations.seen if s.answered]
        records += [(place, {"disturbance": what, "place": place}) for place, what in world.destinations.disturbances]
        for _, record in sorted(records, key=lambda r: r[0]):
            out.write(json.dumps(record) + "\n")
        for service in world.services:
            out.write(json.dumps({"log": service.log.read_text()}) + "\n")


if __name__ == "__main__":
    name, store, copies, signal_name, seed, nth = sys.argv[1:7]
    print(json.dumps(dataclasses.asdict(run(name if name != "-" else "", store, int(copies), signal_name, int(seed), nth=int(nth) or None))))
