"""A day of Meta's being away, pressed into minutes: every order goes to Klaviyo without Meta, within Klaviyo's limits and in bulk where those
would take too long, and is kept for Meta; when that
is back it gets each of them. Nothing is lost or said twice, a person's orders reach Klaviyo in their order, and memory, files and threads
stay what they were.

    scripts/chaos --outage                 100,000 orders
    scripts/chaos --outage --orders 2000
"""
import argparse
import fcntl
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "bench"))

import world

WARM = 3_000_000  # the number of the order from which Klaviyo's limits are learned


class Watch:
    """Looks at a process now and then: (seconds, MB, files, threads)."""

    def __init__(self, pid, every=0.5):
        self.pid, self.every, self.samples, self.begun = pid, every, [], time.monotonic()
        self.ending = threading.Event()
        self.thread = threading.Thread(target=self._go_on, daemon=True)
        self.thread.start()

    def look(self):
        status = dict(line.split(":", 1) for line in Path(f"/proc/{self.pid}/status").read_text().splitlines())
        files = len(os.listdir(f"/proc/{self.pid}/fd"))
        self.samples.append((time.monotonic() - self.begun, int(status["VmRSS"].split()[0]) / 1024, files, int(status["Threads"])))

    def _go_on(self):
        while not self.ending.wait(self.every):
            self.look()

    def stop(self):
        self.ending.set()
        self.thread.join()
        self.look()

    def column(self, n, since=0.0):
        return [s[n] for s in self.samples if s[0] >= since]


def slope(samples, n):
    """Change per minute, by least squares."""
    points = [(s[0] / 60, s[n]) for s in samples]
    x, y = (sum(p[i] for p in points) / len(points) for i in (0, 1))
    spread = sum((p[0] - x) ** 2 for p in points)
    return sum((p[0] - x) * (p[1] - y) for p in points) / spread if spread else 0.0


def use(folder):
    """The program and the tools of bench/ are those of this build folder."""
    world.BUILD = Path(folder).resolve()
    world.WORK = world.BUILD / f"outage{os.getpid()}"
    with open(world.BUILD / "bench.lock", "w") as lock:  # tests that run side by side build one after another
        fcntl.flock(lock, fcntl.LOCK_EX)
        subprocess.run(["cmake", "--build", str(folder), "--target", "bench_load", "bench_destination"], check=True, stdout=subprocess.DEVNULL)


def tell(text):
    print(f"{time.strftime('%H:%M:%S')} {text}", flush=True)


def wait_told(destination, service, key, count, seconds):
    """Until so many orders are there; says how it goes, and ends early where nothing goes on for 90 s."""
    seen, since, told, begun = -1, time.monotonic(), 0, time.monotonic()
    while time.monotonic() < begun + seconds:
        stats = destination.stats()
        if stats[key] >= count:
            return time.monotonic() - begun
        if stats[key] != seen:
            seen, since = stats[key], time.monotonic()
        elif time.monotonic() - since > 90:
            break
        if time.monotonic() - told > 10:
            told = time.monotonic()
            tell(f"{key} {stats[key]} of {count}, pending {service.metric('fireorder_pending'):.0f}, {service.main.rss_mb():.0f} MB, refused {stats['refused']}")
        time.sleep(0.1)
    raise world.Fault(f"{destination.stats()[key]} of {count} after {time.monotonic() - begun:.0f} s: {destination.stats()}")


def learn(destination, service, people):
    """Klaviyo's limits, from an order that is no person's of the run."""
    world.load(service.port, 1, first=WARM)
    destination.wait_both(1, 30)
    destination.set(lanes=people)


# A person's orders reach Meta late and not in their order: each goes by its own back-off, so the destination's count of that is left out.
def faults(stats):
    return {k: v for k, v in dict(missing=stats["missing"], early=stats["early"], out_of_lane=stats["out_of_lane"] - stats["meta_out_of_lane"]).items() if v}


def settled(destination, away):
    """Requests a second at a Meta that is away, with nothing else to do, over so many seconds: the least of a few spans, for that it
    is away has to be noticed, and what was due by then still comes."""
    rates = []
    while len(rates) < 12 and min(rates, default=1000) > 20:
        asked = destination.stats()["refused"]
        time.sleep(away)
        rates.append(round((destination.stats()["refused"] - asked) / away))
        tell(f"Meta is asked {rates[-1]} times a second")
    return min(rates)


def run(orders, people, store="sqlite", per_second=350, per_minute=3500, away=10, deadline=900, max_wait="10s", on_fail="continue"):
    destination = world.Destination()
    figures = dict(orders=orders, people=people, store=store)
    rule = f"{{ on_fail: {on_fail}, max_wait: {max_wait} }}"
    world.mapping = lambda identify: f"version: 1\nrules:\n  purchase: {rule}\n  repeat_purchase: {rule}\n"
    try:
        destination.fresh(events_per_second=per_second, events_per_minute=per_minute, jobs_per_second=10, jobs_per_minute=150)
        with world.Fireorder(destination, store) as service:
            learn(destination, service, people)
            destination.set(meta_status=500)
            watch = Watch(service.main.popen.pid)
            watch.look()
            figures |= {"MB at the start": round(watch.samples[0][1], 1), "files at the start": watch.samples[0][2], "threads at the start": watch.samples[0][3]}
            begun = time.monotonic()
            world.load(service.port, orders, lanes=people, timeout=120)
            figures["accepted in s"] = round(time.monotonic() - begun, 1)
            if on_fail == "continue":
                figures["Klaviyo has all after s"] = round(figures["accepted in s"] + wait_told(destination, service, "klaviyo", orders + 1, deadline), 1)
            figures["one by one it would take s"] = round(max(orders / per_second, (orders - per_minute) / per_minute * 60), 1)
            away_from = watch.samples[-1][0] if watch.samples else 0
            figures["requests/s at Meta while it is away"] = settled(destination, away)
            figures["pending"] = int(service.metric("fireorder_pending"))
            figures["MB while it is away"] = round(max(watch.column(1, away_from)), 1)
            destination.set(meta_status=0)
            figures["Meta has all after s"] = round(wait_told(destination, service, "both", orders + 1, deadline), 1)
            world.wait_for(lambda: service.metric("fireorder_pending") == 0, 60, "an empty store")
            watch.stop()
            stats = destination.stats(0, orders)
            wrong = faults(stats)
            if wrong:
                raise world.Fault(f"of {orders} orders: {wrong}")
            figures |= {"MB most": round(max(watch.column(1)), 1), "MB at the end": round(watch.samples[-1][1], 1),
                        "files most": max(watch.column(2)), "files at the end": watch.samples[-1][2], "threads most": max(watch.column(3)),
                        "429": stats["throttled"], "bulk calls": stats["jobs"], "twice at Meta": stats["meta_again"], "twice at Klaviyo": stats["klaviyo_again"],
                        "order violations": int(service.metric("fireorder_order_violations_total")), "dead": int(service.metric("fireorder_dead"))}
    finally:
        destination.stop()
        shutil.rmtree(world.WORK, ignore_errors=True)
    return figures


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--orders", type=int, default=100_000)
    p.add_argument("--people", type=int, default=0, help="a fifth of the orders")
    p.add_argument("--store", default="sqlite", choices=["sqlite", "everysec", "always"])
    p.add_argument("--away", type=int, default=10, help="seconds for which Meta stays away after Klaviyo has all")
    p.add_argument("--build", default="build-bench")
    a = p.parse_args()
    use(a.build)
    figures = run(a.orders, a.people or max(1, a.orders // 5), a.store, away=a.away)
    print(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
