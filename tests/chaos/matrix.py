"""The matrix of crash points: point x store x processes, and stops beyond the lease; some at a time, with a table at the end.

    scripts/chaos                 all of it
    scripts/chaos --third         the third of today (or --third N), for CI
    scripts/chaos --only send     what has that in its name
    scripts/chaos --mutants       shows that the checker finds planted bugs
"""
import argparse
import collections
import concurrent.futures
import json
import os
import subprocess
import sys
import time
import zlib
from pathlib import Path

import points

HERE = Path(__file__).parent
CASE_SECONDS = 150


def cases():
    for point in points.POINTS:
        for store in point.stores:
            for copies in (1, 2) if store == "redis" else (1,):
                yield point.name, store, copies, "KILL"
    for name in points.STOPS:
        yield name, "redis", 2, "STOP"


def third_of(case, n):
    return zlib.crc32("|".join(map(str, case)).encode()) % 3 == n % 3


def perform(case, seed, slot, nth=0):
    environment = {**os.environ, "PYTEST_XDIST_WORKER": f"gw{slot}"}
    words = [sys.executable, str(HERE / "run.py"), *map(str, case), str(seed), str(nth)]
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=CASE_SECONDS, env=environment)
        return json.loads(done.stdout.splitlines()[-1])
    except (subprocess.TimeoutExpired, IndexError, ValueError) as e:
        told = getattr(e, "stderr", None) or (done.stderr if "done" in locals() else "")
        return dict(point=case[0], store=case[1], copies=case[2], signal=case[3], seed=seed, reached=True, faults=0, events=0, requests=0,
                    seconds=CASE_SECONDS, duplicates={}, violations={}, error=f"{type(e).__name__} {str(told)[-400:]}")


def is_fine(r):
    return r["reached"] and not r["violations"] and not r["error"]


def all_of(chosen, seed, at_once):
    slots = collections.deque(range(at_once))
    results = []

    def one(numbered):
        n, case = numbered
        slot = slots.popleft()
        try:
            return perform(case, seed + n, slot)
        finally:
            slots.append(slot)

    with concurrent.futures.ThreadPoolExecutor(at_once) as pool:
        for n, r in enumerate(pool.map(one, enumerate(chosen)), 1):
            results.append(r)
            verdict = "ok" if is_fine(r) else "FAILED"
            print(f"{n:4}/{len(chosen)}  {verdict:7}{r['signal']:5} {r['point']:26} {r['store']:7} x{r['copies']}  {r['events']} events, {r['faults']} faults, "
                  f"{sum(r['duplicates'].values())} duplicates, {r['seconds']} s", flush=True)
            if not is_fine(r):
                print(f"      {'' if r['reached'] else 'not reached; '}{r['error']} {json.dumps(r['violations'])} seed {r['seed']}", flush=True)
    return results


def table(results):
    rows = collections.OrderedDict()
    for r in results:
        rows.setdefault((r["store"], r["copies"], r["signal"]), []).append(r)
    rows["all", "", ""] = results
    print(f"\n{'store':8}{'processes':>10}{'signal':>8}{'runs':>6}{'points':>8}{'faults':>8}{'events':>8}{'requests':>10}{'lost':>6}{'order':>7}{'other':>7}  duplicates")
    for (store, copies, signal_name), some in rows.items():
        bad = collections.Counter()
        duplicates = collections.Counter()
        for r in some:
            for kind, texts in r["violations"].items():
                bad["lost" if kind == "lost" else "order" if "order" in kind else "other"] += len(texts)
            bad["other"] += bool(r["error"]) + (not r["reached"])
            duplicates.update(r["duplicates"])
        told = ", ".join(f"{n} {why}" for why, n in sorted(duplicates.items())) or "none"
        print(f"{store:8}{copies!s:>10}{signal_name:>8}{len(some):>6}{len({r['point'] for r in some}):>8}{sum(r['faults'] for r in some):>8}"
              f"{sum(r['events'] for r in some):>8}{sum(r['requests'] for r in some):>10}{bad['lost']:>6}{bad['order']:>7}{bad['other']:>7}  {told}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--third", nargs="?", type=int, const=int(time.time() // 86400), help="only a third; which one: today's, or N")
    parser.add_argument("--only", default="", help="part of the name of the point or of the store, or STOP")
    parser.add_argument("--at-once", type=int, default=4)
    parser.add_argument("--seed", type=int, default=time.time_ns() // 1000 % 10 ** 9)
    o = parser.parse_args()
    chosen = [c for c in cases() if o.only in c[0] + c[1] + c[3] and (o.third is None or third_of(c, o.third))]
    print(f"{len(chosen)} runs, seed {o.seed}", flush=True)
    begun = time.monotonic()
    results = all_of(chosen, o.seed, o.at_once)
    table(results)
    bad = [r for r in results if not is_fine(r)]
    print(f"\n{len(results) - len(bad)} of {len(results)} runs fine in {time.monotonic() - begun:.0f} s, seed {o.seed}")
    sys.exit(bool(bad))


if __name__ == "__main__":
    main()
