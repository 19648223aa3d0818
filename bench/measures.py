"""What is measured. Each function takes the tally, runs one round (or all, where nothing is compared) and notes its figures by name."""
import base64
import hashlib
import hmac
import os
import shutil
import socket
import statistics
import subprocess
import sys
import time

from world import BUILD, FIXTURE, ROOT, SECRET, THREADS, Bare, Destination, Fault, Fireorder, Peer, free_port, load, wait_for

IN_FLIGHT = 512       # requests that fireorder has open at most, unless told otherwise (in_flight)
IN_FLIGHT_MOST = 1024
PROBE = 1000          # orders whose acceptance is measured beside a backlog
WARM = 2_000_000      # the numbers of the orders that only warm up


class Tally:
    """Figures by name, a value a round."""

    def __init__(self, args, destination):
        self.args, self.destination, self.series, self.round = args, destination, {}, 0

    def note(self, name, value):
        self.series.setdefault(name, []).append(value)

    def median(self, name):
        return statistics.median(self.series[name]) if self.series.get(name) else None

    def ratio(self, over, under):
        """The median of the rounds' ratios: both sides of one were measured within the same minute."""
        pairs = list(zip(self.series.get(over, []), self.series.get(under, [])))
        return statistics.median(a / b for a, b in pairs) if pairs and all(b for _, b in pairs) else None


def now_us():
    return time.monotonic_ns() / 1000


def _in_turn(t, sides):
    """Every second round the other way round, so that a machine which gets slower or quicker favours nobody."""
    for side in reversed(sides) if t.round % 2 else sides:
        side()


# ---- acknowledged

def _closed_loop(t, name, make, count, **options):
    t.destination.fresh(mode="stall")
    with make() as c:
        load(c.port, min(count, 2000), first=WARM, **options)
        cpu = c.cpu_s()
        got = load(c.port, count, **options)
        t.note(f"{name} CPU us", (c.cpu_s() - cpu) / count * 1e6)
        t.note(f"{name} acks/s", got["per_second"])
        t.note(f"{name} p50 ms", got["p50_us"] / 1000)
        t.note(f"{name} p99 ms", got["p99_us"] / 1000)


def acks(t):
    """Dispatch stands still: the destination answers nothing. Connections are kept, where it does not say "closing". What is refused closes."""
    d, n = t.destination, t.args.events
    _in_turn(t, [
        lambda: _closed_loop(t, "bare", Bare, 4 * n),
        lambda: _closed_loop(t, "fireorder sqlite", lambda: Fireorder(d), n),
        lambda: _closed_loop(t, "fireorder everysec", lambda: Fireorder(d, "everysec"), n),
        lambda: _closed_loop(t, "fireorder always", lambda: Fireorder(d, "always"), n),
        lambda: _closed_loop(t, "bare closing", Bare, 2 * n, close=True),
        lambda: _closed_loop(t, "fireorder sqlite closing", lambda: Fireorder(d), n, close=True),
        lambda: _closed_loop(t, "fireorder 401 closing", lambda: Fireorder(d), 2 * n, wrong=True, expect=401, close=True),
    ])


def _open_loop(t, name, make, latency_ms):
    seconds, rate, d = t.args.seconds, 200, t.destination
    with make() as c:
        d.fresh(latency_ms=latency_ms)
        load(c.port, 1000, first=WARM, connections=128)
        d.wait_both(1000, 60)
        cpu = c.cpu_s()
        got = load(c.port, rate * seconds, connections=128, rate=rate)
        d.wait_both(1000 + rate * seconds, 60)
        t.note(f"{name} {latency_ms} ms, p50 ms", got["p50_us"] / 1000)
        t.note(f"{name} {latency_ms} ms, p99 ms", got["p99_us"] / 1000)
        t.note(f"{name} {latency_ms} ms, CPU s/1000", (c.cpu_s() - cpu) / (rate * seconds) * 1000)
        d.check(0, rate * seconds)


def at_200(t):
    d = t.destination
    sides = [("fireorder", lambda: Fireorder(d))]
    if t.args.peers:
        sides += [("inline", lambda: Peer(d, "inline")), ("queue", lambda: Peer(d, "queue"))]
    _in_turn(t, [lambda n=name, m=make, ms=latency: _open_loop(t, n, m, ms) for latency in (0, 100) for name, make in sides])


def starvation(t):
    t.destination.fresh(mode="stall")
    with Fireorder(t.destination) as c:
        got = load(c.port, 20 * THREADS, connections=4 * THREADS)
        t.note("starved of 4x", got["starved"])
        t.note("longest wait ms, 4x", got["max_us"] / 1000)


# ---- delivered

def _saturation(t, name, make, count):
    d = t.destination
    with make() as c:
        d.fresh()
        load(c.port, 1000, first=WARM)
        d.wait_both(1000, 120)
        d.fresh()
        cpu = c.cpu_s()
        got = load(c.port, count)
        stats = d.wait_both(count, 300)
        time.sleep(0.1)  # the last records
        t.note(f"{name} acks/s", got["per_second"])
        t.note(f"{name} p99 ms", got["p99_us"] / 1000)
        t.note(f"{name} delivered/s", count * 1e6 / max(1, stats["last_us"] - stats["first_us"]))
        t.note(f"{name} CPU s/1000", (c.cpu_s() - cpu) / count * 1000)
        t.note(f"{name} RSS MB", c.rss_mb())
        d.check(0, count)


def delivered(t):
    d = t.destination
    sides = [("fireorder", lambda: Fireorder(d)), ("fireorder, profiles too", lambda: Fireorder(d, profiles=True)),
             ("fireorder always", lambda: Fireorder(d, "always"))]
    if t.args.peers:
        sides += [("inline", lambda: Peer(d, "inline")), ("queue", lambda: Peer(d, "queue")),
                  ("queue always", lambda: Peer(d, "queue", "always")), ("brief", lambda: Peer(d, "brief"))]
    _in_turn(t, [lambda n=name, m=make: _saturation(t, f"sat. {n}", m, t.args.events) for name, make in sides])


def _fill(c, d, count, **options):
    """So many orders accepted and none delivered."""
    d.fresh(mode="stall", lanes=options.get("lanes", 0))
    load(c.port, count, timeout=60, **options)


def _accept_cpu_s(c, first, **options):
    """CPU seconds of one accept beside what waits already."""
    cpu = c.cpu_s()
    load(c.port, PROBE, first=first, **options)
    return (c.cpu_s() - cpu) / PROBE


def _release(c, d, count, latency_ms=0):
    """Delivers what waits. Returns events/s and CPU seconds per event."""
    cpu, start = c.cpu_s(), now_us()
    d.set(mode="ok", latency_ms=latency_ms)
    stats = d.wait_both(count, 600)
    return stats["both"] * 1e6 / max(1, stats["last_us"] - start), (c.cpu_s() - cpu) / max(1, stats["both"])


def _drain(t, name, count, latency, in_flight=IN_FLIGHT):
    d = t.destination
    with Fireorder(d, in_flight=in_flight, two_hosts=latency > 0) as c:
        _fill(c, d, count)
        t.note(f"{name}: RSS MB before", c.rss_mb())
        rate, cpu = _release(c, d, count, latency)
        t.note(f"{name} events/s", rate)
        t.note(f"{name} CPU s/1000", cpu * 1000)
        d.check(0, count, once=False)


def drain(t):
    """A backlog, with nothing coming in. As many orders for each slot, so that the first and the last of them weigh the same."""
    count = max(t.args.events, 8000)
    _in_turn(t, [
        lambda: _drain(t, "drain 0 ms", t.args.events, 0),
        lambda: _drain(t, "drain 100 ms", count, 100),
        lambda: _drain(t, f"drain 100 ms, {IN_FLIGHT_MOST:,}", count * IN_FLIGHT_MOST // IN_FLIGHT, 100, IN_FLIGHT_MOST),
    ])


# ---- cost

def _genuine_request(port):
    body = (ROOT / FIXTURE / "request.json").read_bytes()
    signature = base64.b64encode(hmac.new(SECRET.encode(), body, hashlib.sha256).digest())
    return (b"POST /hooks/acme/shopify HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\nX-Shopify-Topic: orders/create\r\n"
            b"X-Shopify-Hmac-Sha256: " + signature + b"\r\nX-Shopify-Webhook-Id: start\r\nContent-Length: " + str(len(body)).encode() + b"\r\n\r\n" + body)


def _answers_200(port, request):
    try:
        with socket.create_connection(("127.0.0.1", port), 1) as s:
            s.settimeout(2)
            s.sendall(request)
            return s.recv(12) == b"HTTP/1.1 200"
    except OSError:
        return False


def start_up(t):
    t.destination.fresh()
    for _ in range(max(3, t.args.rounds)):
        with Fireorder(t.destination, wait=False) as c:
            start, request = now_us(), _genuine_request(c.port)
            while not _answers_200(c.port, request):
                if now_us() - start > 20e6:
                    raise Fault("fireorder did not start")
                time.sleep(0.0005)
            t.note("start to first durable 200, ms", (now_us() - start) / 1000)


def sizes(t):
    program, stripped = BUILD / "fireorder", BUILD / "work" / "fireorder.stripped"
    stripped.parent.mkdir(exist_ok=True)
    shutil.copy(program, stripped)
    subprocess.run(["strip", str(stripped)], check=True)
    t.note("binary, MB", os.path.getsize(program) / 1e6)
    t.note("binary stripped, MB", os.path.getsize(stripped) / 1e6)


def image(t):
    """As the Dockerfile makes it, where there is something to make it with."""
    for builder in filter(shutil.which, ("podman", "docker")):
        made = subprocess.run([builder, "build", "-q", "-t", "fireorder-bench", "."], cwd=ROOT, capture_output=True, text=True)
        if made.returncode == 0:
            size = subprocess.run([builder, "image", "inspect", "--format", "{{.Size}}", "fireorder-bench"], capture_output=True, text=True, check=True).stdout
            t.note("image, MB", int(size) / 1e6)
            return
        print(f"cost: {builder} does not build the image: {made.stderr.strip()[-300:]}", file=sys.stderr)
    print("cost: the image is not measured: it takes a podman or docker that builds it", file=sys.stderr)


def memory(t):
    d, count = t.destination, 20_000
    d.fresh(mode=503)
    with Fireorder(d) as c:
        time.sleep(0.5)
        t.note("RSS idle MB", c.rss_mb())
        load(c.port, count, timeout=60)
        time.sleep(3)
        t.note("RSS 20,000 pending, destinations down, MB", c.rss_mb())
        if c.metric("fireorder_pending") != count:
            raise Fault(f"{c.metric('fireorder_pending')} pending, not {count}")


# ---- growth

MILLION = 1_000_000


def _is_time_for_a_million(t):
    """Five minutes each time: once in a run is enough."""
    return t.args.full and t.round == 0


def _grow(t, name, count, times=1, **options):
    """So many orders wait, and then all are delivered. What an order costs is counted from the first that comes to the last that is delivered:
    some hundreds are claimed, planned and sent already while the rest comes in, which is half of a thousand and nothing of a million."""
    d, shops, all_of_it = t.destination, options.get("shops", 1), count + PROBE
    with Fireorder(d, shops=shops, own_mapping="shops" not in options) as c:
        begun, accept, rates = c.cpu_s(), [], []
        for first in range(0, times * all_of_it, all_of_it):
            _fill(c, d, count, first=first, **options)
            accept.append(_accept_cpu_s(c, first + count, **options))
            rss = c.rss_mb()
            rates.append(_release(c, d, all_of_it)[0])
            d.check(first, all_of_it, once=False)
        t.note(f"{name}: accept, us CPU", statistics.median(accept) * 1e6)
        t.note(f"{name}: an order, us CPU", (c.cpu_s() - begun) / (times * all_of_it) * 1e6)
        t.note(f"{name}: RSS MB", rss)
        t.note(f"{name}: delivered, events/s", statistics.median(rates))


def growth(t):
    for count, times in ((1_000, 5), (100_000, 1), *(((MILLION, 1),) if _is_time_for_a_million(t) else ())):
        _grow(t, f"{count:,} pending", count, times)
    for lanes, count in ((1, 1000), (10_000, 10_000), *(((100_000, 100_000),) if t.args.full else ())):
        _grow(t, f"{lanes:,} lanes", count, lanes=lanes)
    for shops in (1, 200):
        _grow(t, f"{shops} shops", 4000, shops=shops)


def _to_meta(t, c, d, first, what, **options):
    """The time from acknowledgement to Meta's request, at 200/s."""
    count, file = 200 * t.args.seconds, BUILD / "work" / "acks"
    load(c.port, count, first=first, connections=64, rate=200, acks=file, **options)
    wait_for(lambda: d.stats(first, count)["missing"] == 0, 120, "the others' orders")
    acked = memoryview(file.read_bytes()).cast("q").tolist()
    gaps = sorted(meta - ack for ack, meta in zip(acked, d.times(first, count)))
    t.note(f"ack to Meta {what}, p50 ms", statistics.median(gaps) / 1000)
    t.note(f"ack to Meta {what}, p99 ms", gaps[len(gaps) * 99 // 100] / 1000)


def hot_lane(t):
    """What one person with many orders waiting does to everybody else."""
    with Fireorder(t.destination) as c:
        t.destination.fresh()
        load(c.port, 1000, first=WARM)
        t.destination.wait_both(1000, 60)
        _to_meta(t, c, t.destination, 1_000_000, "alone")
        _fill(c, t.destination, 10_000, lanes=1)
        t.destination.set(mode="ok", lanes=0)
        _to_meta(t, c, t.destination, 1_500_000, "beside a hot lane")
        t.note("the hot lane was still at it", t.destination.stats(0, 10_000)["missing"])


def _wait_at_rest(d, count):
    """Until each of those that wait for a destination that is down has asked it, and they do less often than every half an hour each. Returns after
    how many seconds."""
    begun, seen = now_us(), [(now_us(), d.stats()["refused"])]

    def rests():
        if now_us() - seen[-1][0] > 1e6:
            seen.append((now_us(), d.stats()["refused"]))
        return len(seen) > 1 and seen[-1][1] >= count and 1e6 * (seen[-1][1] - seen[-2][1]) / (seen[-1][0] - seen[-2][0]) < count / 2000
    wait_for(rests, 900, "the shop whose destination is down to rest")
    return (now_us() - begun) / 1e6


def hot_shop(t):
    """What a shop with many orders waiting does to another one: while its destinations are down, and while they take what waited."""
    d, other = t.destination, Destination("other_destination")
    try:
        for count in (100_000, *((MILLION,) if _is_time_for_a_million(t) else ())):
            d.fresh(mode=503, latency_ms=100)
            other.fresh()
            with Fireorder(d, shops=2, others=other) as c:
                load(c.port, 1000, first=WARM, shop="shop001")
                other.wait_both(1000, 60)
                _to_meta(t, c, other, 1_100_000, f"in a shop beside one with {count:,} to come", shop="shop001")
                load(c.port, count, timeout=60, shop="shop000")
                t.note(f"{count:,} rest after s", _wait_at_rest(d, count))
                _to_meta(t, c, other, 1_200_000, f"in a shop beside {count:,} that wait", shop="shop001")
                d.set(mode="ok")
                wait_for(lambda: d.stats()["both"] > 1000, 120, "the shop's backlog to move")
                _to_meta(t, c, other, 1_300_000, f"in a shop beside {count:,} that are delivered", shop="shop001")
                t.note(f"of {count:,} still to be delivered", d.stats(0, count)["missing"])
    finally:
        other.stop()


# ---- outage

def outage(t):
    """Destinations down, a backlog, and Klaviyo's limits, which it told before, when they are back; for 4 s then new orders come in too."""
    d, limit, live = t.destination, 350, 80
    backlog = 100_000 if t.args.full else 1400
    d.fresh(events_per_second=limit, events_per_minute=3500, jobs_per_second=10, jobs_per_minute=150)
    with Fireorder(d) as c:
        load(c.port, 1, first=WARM)
        d.wait_both(1, 60)
        d.set(mode=503)
        load(c.port, backlog, timeout=60)
        time.sleep(6)  # what came within the last five seconds is as new as the orders that come then
        d.set(mode="ok")
        start = now_us()
        acked = load(c.port, live, first=1_000_000, rate=20)
        wait_for(lambda: d.stats(1_000_000, live)["missing"] == 0, 900, "the live orders")
        t.note("live orders at Klaviyo after s", (now_us() - start) / 1e6)
        d.wait_both(1 + backlog + live, 3600)
        stats = d.check(0, backlog, once=False)
        took = (now_us() - start) / 1e6
        t.note("backlog", backlog)
        t.note("drained in s", took)
        t.note("the limit alone would take s", (backlog + live) / limit if backlog < 3400 else (backlog + live) / 3500 * 60)
        t.note("429 answers", stats["throttled"])
        t.note("bulk jobs", stats["jobs"])
        t.note("sent before Meta, told so", stats["told_late"])
        t.note("ack p99 ms during the drain", acked["p99_us"] / 1000)
