"""What Redis does to us: it dies, hangs, forgets, fills up, fails over. Real redis-server and real sentinels; the senders repeat what
was not acknowledged, as Shopify and Recharge do, and at the end nothing acknowledged is missing or out of order."""
import concurrent.futures
import os
import random
import resource
import signal
import socket
import threading
import time

import pytest

from fakes import Answer, check_invariants, random_failures
from service import Redis, Sentinel, order, wait_for
from test_load import deliveries, lane_of, send_sequence, webhooks

PEOPLE = 60


def again(destinations):
    """How many deliveries a destination took once more."""
    with destinations.lock:
        taken = [(s.destination, s.event_id) for s in destinations.seen if s.destination in ("meta", "klaviyo") and 200 <= s.status < 300]
    return len(taken) - len(set(taken))


def run(services, destinations, disturb, people=PEOPLE):
    lanes = [lane_of(person) for person in range(people)]
    wanted = deliveries(lanes)
    with concurrent.futures.ThreadPoolExecutor(12) as pool:
        jobs = [pool.submit(send_sequence, services, sequence, person) for person, sequence in enumerate(webhooks()[:people])]
        disturb()
        for job in jobs:
            job.result()
    destinations.wait_taken(wanted, deadline=120)
    for service in services:
        service.wait_drained(60)
        assert service.metric("fireorder_order_violations_total") == 0
        assert service.metric("fireorder_dead") == 0
    check_invariants(destinations, wanted, lanes)
    return again(destinations)


def at(destinations, n):
    destinations.wait(lambda d: len(d.of(ok=True)) >= n, 60, f"{n} deliveries")


def info(redis, field):
    return int(next(line for line in redis.tell("INFO").splitlines() if line.startswith(field + ":")).split(":")[1])


def ready(service, deadline=20):
    wait_for(lambda: service.get("/readyz")[0] == 200, deadline, "readyz")


def slow(destinations):
    """Deliveries take a moment, so that a disturbance meets some of them on their way."""
    random_failures(destinations, 0.1, seed=time.time_ns(), slowest=0.1)


# Redis dies, and comes back.

def test_killed_under_load(redis, start, destinations):
    slow(destinations)
    services = [start(redis.url), start(redis.url)]

    def disturb():
        for n in (60, 200):
            at(destinations, n)
            redis.kill()
            redis.start()

    # What was on its way when Redis died is committed when it is back; only a claim whose answer was lost is begun anew.
    assert run(services, destinations, disturb) <= 2 * 2


def test_killed_for_a_while(redis, start, destinations):
    service = start(redis.url)
    assert service.shopify("orders/create", order(1), "one")[0] == 200
    destinations.wait_delivered(["ord_1_purchase"])
    redis.kill()
    began = time.monotonic()
    for _ in range(20):
        assert service.shopify("orders/create", order(2), "two")[0] == 503
    assert time.monotonic() - began < 5
    assert service.get("/readyz")[0] == 503
    assert service.get("/healthz")[0] == 200
    redis.start()
    wait_for(lambda: service.shopify("orders/create", order(2), "two")[0] == 200, what="a 200 once Redis is back")
    destinations.wait_delivered(["ord_2_purchase"])
    assert service.shopify("orders/create", order(1), "one") == (200, "duplicate")
    assert again(destinations) == 0


def newest_log(redis):
    return max((redis.folder / "appendonlydir").glob("*.incr.aof"), key=lambda f: f.stat().st_mtime)


def disagreements(redis, shop="fo:{acme}:"):
    """What in a shop's keys does not fit together, as lua/accept.lua describes them."""
    def keys(kind):
        return {k.removeprefix(shop + kind) for k in redis.tell("KEYS", shop.replace("{", "\\{") + kind + "*")}

    def one_way(words):
        answer = redis.tell(*words)
        return set(answer or [])

    wrong = []
    lists = {lane: redis.tell("LRANGE", f"{shop}l:{lane}", 0, -1) for lane in keys("l:")}
    waiting = [job for jobs in lists.values() for job in jobs]
    pending = one_way(["ZRANGE", f"{shop}pend", 0, -1])
    counts = redis.tell("HMGET", f"{shop}cnt", "accepted", "done", "ignored")
    accepted, done, ignored = (int(n or 0) for n in counts)
    if one_way(["ZRANGE", f"{shop}due", 0, -1]) != set(lists):
        wrong.append("a lane is due exactly while it has jobs")
    if set(waiting) != pending or len(waiting) != len(pending):
        wrong.append("a pending job stands in one lane, once")
    if accepted != len(pending) + done + ignored + redis.tell("ZCARD", f"{shop}dead"):
        wrong.append("accepted = pending + done + ignored + dead")
    if not set(waiting) <= keys("e:") & keys("b:"):
        wrong.append("a waiting job has its body")
    if not one_way(["HKEYS", f"{shop}own"]) | one_way(["HKEYS", f"{shop}tries"]) | one_way(["SMEMBERS", f"{shop}held"]) <= set(lists):
        wrong.append("nobody owns a lane without jobs")
    return wrong


def test_any_cut_is_a_moment(redis, start, destinations):
    """Wherever the append-only file is cut, what Redis loads is the store of some moment: no transition is ever half done."""
    seed = time.time_ns()
    print(f"seed {seed}")
    dice = random.Random(seed)
    random_failures(destinations, 0.3, seed)
    service = start(redis.url)
    for n in range(1, 41):
        assert service.shopify("orders/create", order(n, email=f"p{n % 10}@klaviyo-demo.com"), f"d{n}")[0] == 200
    destinations.wait(lambda d: len(d.of(ok=True)) >= 40)
    service.kill()
    redis.kill()
    log = newest_log(redis)
    whole = log.read_bytes()
    seen = set()
    for size in sorted((dice.randrange(len(whole) // 10, len(whole)) for _ in range(20)), reverse=True):
        log.write_bytes(whole[:size])
        redis.start()
        assert disagreements(redis) == [], f"cut at {size} of {len(whole)}"
        seen.add(redis.tell("HGET", "fo:{acme}:cnt", "accepted"))
        redis.kill()
    assert len(seen) > 1  # the cuts were at different moments
    redis.start()
    redis.tell("RPUSH", "fo:{acme}:l:somebody", "0123")
    assert len(disagreements(redis)) == 3  # the check itself can fail


@pytest.mark.parametrize("cut", [1, 300])
def test_cut_log(redis, start, destinations, cut):
    """The last bytes of the append-only file are lost: what was done last is undone, and done again when its lease has ended."""
    service = start(redis.url)
    ids = [f"ord_{n}_purchase" for n in range(1, 21)]
    for n in range(1, 21):
        assert service.shopify("orders/create", order(n, email=f"p{n}@klaviyo-demo.com"), f"d{n}")[0] == 200
    destinations.wait_delivered(ids)
    service.wait_drained()
    service.stop()  # its last words in the log are of finished jobs, not of accepted ones
    redis.kill()
    log = newest_log(redis)
    os.truncate(log, log.stat().st_size - cut)
    redis.start()
    service.start()
    for n in range(1, 21):
        assert service.shopify("orders/create", order(n, email=f"p{n}@klaviyo-demo.com"), f"d{n}") == (200, "duplicate")
    assert service.shopify("orders/create", order(99), "d99") == (200, "accepted")
    destinations.wait_delivered(["ord_99_purchase"])
    service.wait_drained(60)
    assert service.metric("fireorder_dead") == 0
    check_invariants(destinations, {(d, e) for d in ("meta", "klaviyo") for e in ids + ["ord_99_purchase"]})


def test_emptied(redis, start, destinations):
    """FLUSHALL: what waited is lost, which nobody can mend; it is told, and the service goes on as with a new store."""
    service = start(redis.url)
    destinations.always["meta"] = Answer(503, b"")
    for n in range(1, 11):
        assert service.shopify("orders/create", order(n, email=f"p{n}@klaviyo-demo.com"), f"d{n}")[0] == 200
    destinations.wait(lambda d: len(d.of(destination="meta")) >= 10)
    redis.tell("FLUSHALL")
    ready(service)
    service.logged("has lost everything")
    assert service.metric("fireorder_pending") == 0
    destinations.always.clear()
    calls = info(redis, "total_commands_processed")
    assert service.shopify("orders/create", order(50), "d50") == (200, "accepted")
    destinations.wait_delivered(["ord_50_purchase"])
    service.wait_drained()
    assert info(redis, "total_commands_processed") - calls < 2000  # nothing spins
    ready(service)
    assert service.log.read_text().count("has lost everything") == 1


# Redis is there, but does not serve.

def again_and_again(action, stop, every):
    while not stop.wait(every):
        try:
            action()
        except OSError:
            pass


@pytest.mark.parametrize("words", [["SCRIPT", "FLUSH"], ["CLIENT", "KILL", "TYPE", "normal"], ["CLIENT", "PAUSE", "150", "ALL"]],
                         ids=["scripts", "connections", "pauses"])
def test_disturbed_under_load(redis, start, destinations, words):
    slow(destinations)
    services = [start(redis.url), start(redis.url)]
    stop = threading.Event()
    thread = threading.Thread(target=again_and_again, args=(lambda: redis.tell(*words), stop, 0.02 if words[0] == "SCRIPT" else 0.3))
    thread.start()

    def disturb():
        at(destinations, 250)
        stop.set()
        thread.join()

    try:
        repeated = run(services, destinations, disturb)
    finally:
        stop.set()
    assert repeated <= (20 if words[1] == "KILL" else 0)


def refused_then_taken(service, destinations, freeze, thaw, number):
    """While Redis is in the way a sender hears 503 before it gives up; afterwards the same webhook is taken once."""
    freeze()
    try:
        began = time.monotonic()
        assert service.shopify("orders/create", order(number), f"d{number}")[0] == 503
        assert time.monotonic() - began < 5
        assert service.get("/readyz")[0] == 503
    finally:
        thaw()
    wait_for(lambda: service.shopify("orders/create", order(number), f"d{number}")[0] == 200, what="a 200")
    destinations.wait_delivered([f"ord_{number}_purchase"])
    service.wait_drained()
    assert service.shopify("orders/create", order(number), f"d{number}") == (200, "duplicate")
    assert service.metric("fireorder_dead") == 0
    assert again(destinations) == 0


def test_busy(redis, start, destinations):
    redis.tell("CONFIG", "SET", "busy-reply-threshold", "50")
    service = start(redis.url)
    slow_script = socket.create_connection(("127.0.0.1", redis.port))

    def freeze():
        slow_script.sendall(b'EVAL "while true do end" 0\r\n')
        wait_for(lambda: redis.tell("PING").startswith("BUSY"), what="BUSY")

    refused_then_taken(service, destinations, freeze, lambda: redis.tell("SCRIPT", "KILL"), 1)
    slow_script.close()


def test_hanging(redis, start, destinations):
    """SIGSTOP for longer than a call may take. What Redis had received by then is done when it goes on: still once."""
    service = start(redis.url)
    refused_then_taken(service, destinations, lambda: redis.process.send_signal(signal.SIGSTOP),
                       lambda: redis.process.send_signal(signal.SIGCONT), 1)


def test_loading(redis, start, destinations):
    service = start(redis.url)
    # While it loads, Redis looks at its clients once in a thousand commands of its log.
    redis.tell("EVAL", "for i = 1, 30000 do redis.call('SET', 'other:' .. i, 'x') end", 0)

    def freeze():
        redis.kill()
        redis.settings = ("--key-load-delay", "1000")
        redis.spawn()
        wait_for(lambda: redis.listens() and redis.tell("PING").startswith("LOADING"), what="LOADING")

    refused_then_taken(service, destinations, freeze, lambda: redis.tell("CONFIG", "SET", "key-load-delay", "0"), 1)


def test_replica(redis, start, destinations):
    """A plain redis:// leads to what is a replica now: 503 until it leads to a master again."""
    service = start(redis.url)
    refused_then_taken(service, destinations, lambda: redis.tell("REPLICAOF", "127.0.0.1", "1"), lambda: redis.tell("REPLICAOF", "NO", "ONE"), 1)


def test_memory_full(redis, start, destinations):
    """At maxmemory nothing new is taken, but what was taken goes out; with the memory that this frees, webhooks are taken again."""
    service = start(redis.url, extra="retention: 1s")
    destinations.always["meta"] = destinations.always["klaviyo"] = Answer(503, b"")
    used = info(redis, "used_memory")
    redis.tell("CONFIG", "SET", "maxmemory", used + 900_000)  # connections and scripts take some 400,000 of it
    taken = []
    for n in range(1, 2000):
        status, _ = service.shopify("orders/create", order(n, email=f"p{n}@klaviyo-demo.com", note=os.urandom(2000).hex()), f"d{n}")
        if status == 503:
            break
        taken.append(f"ord_{n}_purchase")
    assert status == 503 and len(taken) > 20
    redis.tell("CONFIG", "SET", "maxmemory", used)  # far too much is in it now, and stays
    assert service.get("/readyz")[0] == 503
    assert "maxmemory" in service.log.read_text()
    destinations.always.clear()
    destinations.wait_delivered(taken, deadline=120)
    service.wait_drained()
    redis.tell("CONFIG", "SET", "maxmemory", used + 900_000)  # connections and scripts take some 400,000 of it
    wait_for(lambda: service.shopify("orders/create", order(5000), "d5000")[0] == 200, 30, "room for a new webhook")
    destinations.wait_delivered(["ord_5000_purchase"])
    service.wait_drained()
    assert service.metric("fireorder_dead") == 0
    check_invariants(destinations, {(d, e) for d in ("meta", "klaviyo") for e in taken + ["ord_5000_purchase"]})


@pytest.mark.parametrize("fsync, with_spool", [("always", False), ("always", True), ("everysec", False)])
def test_disk_full(tmp_path, start, destinations, fsync, with_spool):
    """Redis cannot write its log any more. With `always` it ends (before it answers), with `everysec` it refuses to change anything; when there is
    room again, and somebody has started it again, all goes on by itself."""
    (tmp_path / "redis").mkdir()
    redis = Redis(tmp_path / "redis", "--appendfsync", fsync)
    try:
        service = start(redis.url, extra=f"spool: {tmp_path}/spool.db" if with_spool else "durability: relaxed" if fsync == "everysec" else "")
        slow(destinations)
        [log] = (tmp_path / "redis").glob("appendonlydir/*.incr.aof")
        resource.prlimit(redis.process.pid, resource.RLIMIT_FSIZE, (log.stat().st_size + 60_000, resource.RLIM_INFINITY))
        taken, refused = [], 0
        for n in range(1, 120):
            began = time.monotonic()
            status, _ = service.shopify("orders/create", order(n, email=f"p{n % 7}@klaviyo-demo.com"), f"d{n}")
            assert status in (200, 503) and time.monotonic() - began < 5
            if status == 200:
                taken.append(n)
            else:
                refused += 1
            if refused > 3:
                break
        assert with_spool == (refused == 0) and len(taken) > 3
        if fsync == "always":
            assert redis.process.wait(10) == 1
            redis.start()
        else:
            assert "Redis cannot write to its disk" in service.log.read_text() and service.get("/readyz")[0] == 503
            resource.prlimit(redis.process.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        ready(service)
        wait_for(lambda: service.shopify("orders/create", order(500), "d500")[0] == 200, 20, "room for a new webhook")
        wanted = {(d, f"ord_{n}_purchase") for d in ("meta", "klaviyo") for n in [*taken, 500]}
        destinations.wait_taken(wanted, 60)
        service.wait_drained()
        assert service.metric("fireorder_dead") == 0
        asked = {n for n in range(1, 120)} - set(taken)  # refused, and maybe stored all the same: its sender comes again
        maybe = {(s.destination, s.event_id) for s in destinations.of() if s.event_id in {f"ord_{n}_purchase" for n in asked}}
        lanes = [[f"ord_{n}_purchase" for n in taken if n % 7 == person] for person in range(7)]
        check_invariants(destinations, wanted | maybe, lanes)
    finally:
        redis.close()


# Sentinels.

@pytest.fixture
def sentinels(tmp_path):
    """A master, two replicas, three sentinels: (redis processes, sentinels, URL)."""
    servers, watchers = [], []
    try:
        for i in range(3):
            (tmp_path / f"redis{i}").mkdir()
            servers.append(Redis(tmp_path / f"redis{i}", "--repl-diskless-sync-delay", "0", *(["--replicaof", f"127.0.0.1 {servers[0].port}"] if i else [])))
        for i in range(3):
            watchers.append(Sentinel(tmp_path / f"sentinel{i}", servers[0].port))
        wait_for(lambda: all(w.knows(replicas=2, sentinels=3) for w in watchers), 30, "the sentinels to know each other")
        yield servers, watchers, "redis+sentinel://" + ",".join(f"127.0.0.1:{w.port}" for w in watchers) + "/mymaster/0"
    finally:
        for process in watchers + servers:
            if process.process.poll() is None:
                process.process.send_signal(signal.SIGCONT)
            process.close()


def master_of(servers, watchers):
    port = watchers[0].master_port()
    return next(s for s in servers if s.port == port)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP])
def test_fail_over_under_load(sentinels, start, destinations, how):
    """The master dies, or freezes and comes back as a master that does not know it is none any more. With min_replicas=1 nothing
    that was acknowledged is lost, because a replica had it."""
    servers, watchers, url = sentinels
    slow(destinations)
    services = [start(url + "?min_replicas=1"), start(url + "?min_replicas=1")]
    old = master_of(servers, watchers)

    def disturb():
        at(destinations, 100)
        old.process.send_signal(how)
        wait_for(lambda: all(w.master_port() != old.port for w in watchers), 40, "a fail-over")
        if how == signal.SIGSTOP:
            old.process.send_signal(signal.SIGCONT)

    repeated = run(services, destinations, disturb)
    print(f"{repeated} deliveries were taken twice")
    for service in services:
        ready(service)
        assert f"port {master_of(servers, watchers).port}" in service.log.read_text()


def test_sentinels_that_are_away(sentinels, start, destinations):
    """Two of three sentinels gone: the third is enough to find the master."""
    servers, watchers, url = sentinels
    for w in watchers[:2]:
        w.close()
    service = start(url)
    assert service.shopify("orders/create", order(1), "d1") == (200, "accepted")
    destinations.wait_delivered(["ord_1_purchase"])
