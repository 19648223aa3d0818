"""Redis is away and webhooks are taken all the same: into the spool, and from there to Redis in their order, each once."""
import concurrent.futures
import signal
import time

import pytest

from fakes import check_invariants
from service import Service, charge, order, own_event, wait_for

LANES, EACH = 20, 15


@pytest.fixture
def spooled(start, redis, tmp_path):
    """A running service with a spool, in front of a Redis that the test may kill."""
    return start(redis.url, extra=f"spool: {tmp_path}/spool.db")


def email(lane):
    return f"lane{lane}@klaviyo-demo.com"


def number_of(lane, i):
    return 1000 * (lane + 1) + i


def send_lane(service, lane, numbers):
    for i in numbers:
        n = number_of(lane, i)
        assert service.shopify("orders/create", order(n, email=email(lane)), f"d{n}") == (200, "accepted")


def send(service, numbers, pool=8):
    with concurrent.futures.ThreadPoolExecutor(pool) as threads:
        for done in [threads.submit(send_lane, service, lane, numbers) for lane in range(LANES)]:
            done.result()


def lanes(numbers):
    return [[f"ord_{number_of(lane, i)}_purchase" for i in numbers] for lane in range(LANES)]


def all_arrives(service, destinations, numbers, again=0):
    """Every one of them at both destinations, once, and in the order of its lane. again: what was on its way at a kill."""
    sequences = lanes(numbers)
    wanted = {(d, e) for d in ("meta", "klaviyo") for sequence in sequences for e in sequence}
    destinations.wait_taken(wanted, deadline=90)
    service.wait_drained()
    assert service.metric("fireorder_spooled") == 0
    assert service.metric("fireorder_dead") == 0
    check_invariants(destinations, wanted, sequences)
    with destinations.lock:
        taken = [(s.destination, s.event_id) for s in destinations.seen if s.destination in ("meta", "klaviyo") and 200 <= s.status < 300]
    assert len(taken) - len(set(taken)) <= again
    assert len(service.jobs("done")) == LANES * len(numbers)


def waits(service, n):
    wait_for(lambda: service.metric("fireorder_spooled") == n, 30, f"{n} in the spool")


def emptied(service):
    wait_for(lambda: service.get("/readyz") == (200, '{"status":"ready"}'), 30, "an empty spool")


def test_redis_is_away_for_a_while(redis, spooled, destinations):
    send(spooled, range(2))
    redis.kill()
    began = time.monotonic()
    send(spooled, range(2, EACH))
    print(f"{LANES * (EACH - 2)} webhooks in {time.monotonic() - began:.1f} s")
    waits(spooled, LANES * (EACH - 2))
    assert spooled.get("/readyz") == (200, '{"status":"ready, webhooks wait in the spool"}')
    assert spooled.shopify("orders/create", order(number_of(3, 5), email=email(3)), f"d{number_of(3, 5)}") == (200, "duplicate")
    redis.start()
    all_arrives(spooled, destinations, range(EACH))
    emptied(spooled)
    assert spooled.shopify("orders/create", order(number_of(3, 5), email=email(3)), f"d{number_of(3, 5)}") == (200, "duplicate")
    spooled.logged("the spool is empty")
    assert spooled.log.read_text().count("webhooks go into the spool") == 1


def test_killed_while_it_spools_and_while_it_forwards(redis, spooled, destinations):
    send(spooled, range(2))
    redis.kill()
    send(spooled, range(2, 8))
    spooled.kill()
    spooled.start()  # without Redis
    assert spooled.get("/readyz")[0] == 200
    waits(spooled, LANES * 6)
    assert spooled.shopify("orders/create", order(number_of(0, 7), email=email(0)), f"d{number_of(0, 7)}") == (200, "duplicate")
    send(spooled, range(8, EACH))
    redis.start()
    wait_for(lambda: (redis.tell("HGET", "fo:{acme}:cnt", "accepted") or "0") != str(LANES * 2), what="the first to be forwarded")
    spooled.kill()
    spooled.start()
    all_arrives(spooled, destinations, range(EACH), again=LANES)


def test_new_ones_wait_behind_those_that_wait(redis, spooled, destinations):
    """Redis comes back while the senders go on: nobody overtakes, and in the end the spool is left."""
    redis.kill()
    send(spooled, range(5))
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        more = pool.submit(send, spooled, range(5, EACH))
        redis.start()
        more.result()
    all_arrives(spooled, destinations, range(EACH))
    emptied(spooled)


def test_what_waits_at_a_stop_goes_out_at_the_next_start(redis, spooled, destinations):
    redis.kill()
    send(spooled, range(3))
    spooled.stop()
    redis.start()
    spooled.start()
    assert "some wait there since the last time" in spooled.log.read_text()
    all_arrives(spooled, destinations, range(3))


def test_every_sender(redis, spooled, destinations):
    """Recharge's pin and own events need no Redis on their way to a 200 either."""
    assert spooled.recharge("charge/paid", charge(1), timestamped=False)[0] == 200
    redis.kill()
    assert spooled.recharge("charge/paid", charge(2), timestamped=False)[0] == 200
    assert spooled.recharge("charge/paid", charge(3))[0] == 200
    assert spooled.recharge("charge/paid", charge(4), timestamped=False)[0] == 401  # the shop has shown that it signs with a time
    status, told = spooled.events([own_event(f"e{n}") for n in range(5)])
    assert status == 200 and [r["status"] for r in told["results"]] == ["accepted"] * 5
    waits(spooled, 7)
    redis.start()
    emptied(spooled)
    assert spooled.recharge("charge/paid", charge(5))[0] == 200
    assert spooled.recharge("charge/paid", charge(6), timestamped=False)[0] == 401
    spooled.wait_drained()
    assert spooled.metric("fireorder_dead") == 0


@pytest.mark.parametrize("how", ["memory", "hang", "replicas"])
def test_redis_is_there_and_does_not_take(redis, start, destinations, tmp_path, how):
    url = redis.url + ("?min_replicas=1" if how == "replicas" else "")
    if how == "replicas":
        folder = tmp_path / "replica"
        folder.mkdir()
        replica = type(redis)(folder, "--repl-diskless-sync-delay", "0", "--replicaof", f"127.0.0.1 {redis.port}")
        wait_for(lambda: "state=online" in redis.tell("INFO", "replication"), what="a replica")
    service = start(url, extra=f"spool: {tmp_path}/spool.db")
    if how == "memory":
        redis.tell("CONFIG", "SET", "maxmemory", "1")
    elif how == "hang":
        redis.process.send_signal(signal.SIGSTOP)
    else:
        replica.kill()
    try:
        for n in range(1, 11):
            began = time.monotonic()
            assert service.shopify("orders/create", order(n), f"d{n}")[0] == 200
            assert time.monotonic() - began < 5
        assert service.get("/readyz")[0] == 200
    finally:
        if how == "memory":
            redis.tell("CONFIG", "SET", "maxmemory", "0")
        elif how == "hang":
            redis.process.send_signal(signal.SIGCONT)
        else:
            replica.start()
    try:
        wanted = {(d, f"ord_{n}_purchase") for d in ("meta", "klaviyo") for n in range(1, 11)}
        destinations.wait_taken(wanted, deadline=60)
        emptied(service)
        service.wait_drained()
        check_invariants(destinations, wanted, [[f"ord_{n}_purchase" for n in range(1, 11)]])
    finally:
        if how == "replicas":
            replica.close()


def refused(service):
    service.start(wait=False)
    assert service.process.wait(20) == 1
    return service.log.read_text()


def test_what_is_refused_at_the_start(redis, spooled, destinations, tmp_path):
    other = Service(tmp_path / "other", destinations.url, redis.url, extra=f"spool: {tmp_path}/spool.db", autostart=False)
    assert "another process has it open" in refused(other)
    redis.kill()
    other.write_config(destinations.url, redis.url, f"spool: {tmp_path}/another.db")
    assert "the first start with" in refused(other)
    send(spooled, range(1))
    spooled.stop()
    other.environment["FIREORDER_SEAL_KEY"] = "QUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUE="
    other.write_config(destinations.url, redis.url, f"spool: {tmp_path}/spool.db")
    assert "sealed with another seal_key" in refused(other)
    other.write_config(destinations.url, f"sqlite:{tmp_path}/x.db", f"spool: {tmp_path}/spool.db")
    assert "spool is for a Redis store" in refused(other)
    redis.start()
    spooled.start()
    all_arrives(spooled, destinations, range(1))
