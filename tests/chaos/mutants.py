"""Plants bugs into a copy of the tree, one at a time, and says which of them the checker finds, and as what it should.

    scripts/chaos --mutants [--only PART] [--seed N]

A mutant is an edit of a file: the text that is there (exactly once) and what it becomes. When the program has changed so that a text is no longer there,
that is an error: the mutant has to be written anew."""
import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import matrix

ROOT = Path(__file__).resolve().parents[2]
TRIES = 4  # with other seeds, and a little later: some bugs need a coincidence


@dataclass(frozen=True)
class Mutant:
    name: str
    expect: tuple  # kinds of violation, one of which has to be found
    case: tuple  # point, store, processes, signal, which time
    edits: tuple  # (file, text, what it becomes)


MUTANTS = [
    Mutant("ack before commit", ("lost", "count"), ("accept.after_commit", "sqlite", 1, "KILL", 12), (
        ("server/store/sqlite/sqlite_writer.c", "    db_begin(db);\n    bool whole", "    if (!db_in_transaction(db))\n        db_begin(db);\n    bool whole"),
        ("server/store/sqlite/sqlite_writer.c",
         "    if (whole && asks_for_sync(batch, n))\n        db_commit(db);\n    else if (whole)\n        db_commit_unsynced(db);\n",
         "    static int nth;\n    if (whole && ++nth % 25 == 0 && asks_for_sync(batch, n))\n        db_commit(db);\n"),
        ("server/store/sqlite/sqlite_writer.c", "    db_rollback(db);\n    w->stale", "    if (rc != RC_OK)\n        db_rollback(db);\n    w->stale"))),
    Mutant("idempotency key first", ("lost", "count"), ("accept.before_commit", "sqlite", 1, "KILL", 5), (
        ("server/ingest.c", '    FAILPOINT("accept.before_commit");\n',
         "    struct sv seen = SV_NONE;\n    const struct remembered first = {d->keys[0], SV(\"1\"), DAYS_MS(1)};\n"
         "    if (store_state_get(in->store, a, d->shop, d->keys[0], &seen, &e) == RC_OK && seen.p) {\n"
         "        *told = ACCEPTED_DUPLICATE;\n        return ACCEPTED;\n    }\n"
         "    if (store_state_put(in->store, d->shop, &first, &e) != RC_OK)\n        return store_failed(in, &e);\n"
         '    FAILPOINT("accept.before_commit");\n'),)),
    Mutant("Klaviyo first", ("event order",), ("", "sqlite", 1, "KILL", 0), (
        ("server/dispatch/plan_next.c", "static bool blocked(const struct view *v, size_t step) {\n",
         "static bool blocked(const struct view *v, size_t step) {\n    if (v->now_ms > 0)\n        return false;\n"),
        ("server/dispatch/plan.c", "        if (r->pending[event][i])\n            return false;",
         "        if (i > 99 && r->pending[event][i])\n            return false;"))),
    Mutant("token not checked", ("duplicate", "event order", "lane order"), ("answered.meta", "redis", 2, "STOP", 2), (
        ("server/store/redis/lua/commit.lua", "if redis.call('HGET', own, lane) ~= token or redis.call('LINDEX', list, 0) ~= id then",
         "if redis.call('LINDEX', list, 0) ~= id then"),)),
    Mutant("lease not kept", ("duplicate", "event order", "lane order"), ("", "redis", 2, "KILL", 0), (
        ("server/store/redis/lua/claim.lua", "leases[#leases + 1] = now + lease\n", "leases[#leases + 1] = now + 20\n"),
        ("server/store/redis/lua/commit.lua", "if redis.call('HGET', own, lane) ~= token or redis.call('LINDEX', list, 0) ~= id then",
         "if redis.call('LINDEX', list, 0) ~= id then"))),
    Mutant("lane not respected", ("lane order",), ("", "sqlite", 1, "KILL", 0), (
        ("server/delivery.c", "    io->lane_keys = lane_keys;\n", "    io->lane_keys = lane_keys;\n    io->lane_key_count = 0;\n"),)),
    Mutant("retry with a new id", ("foreign",), ("", "sqlite", 1, "KILL", 0), (
        ("server/dispatch/dispatch_job.c", "    request.body = s->draft.body;\n",
         "    request.body = s->draft.body;\n    char *copy = arena_cstr(&t->arena, request.body);\n"
         "    char *id = memmem(copy, request.body.n, \"event_id\\\":\\\"\", 11);\n    if (id && s->attempts > 0)\n        id[11] = 'X';\n    request.body.p = copy;\n"),
        ("server/dispatch/dispatch_job.c", '#include "base/log.h"\n', '#include "base/log.h"\n\n#include <string.h>\n'))),
    Mutant("body changed on retry", ("bytes",), ("", "sqlite", 1, "KILL", 0), (
        ("server/dispatch/dispatch_job.c", "    request.body = s->draft.body;\n",
         '    request.body = s->attempts > 0 ? arena_fmt(&t->arena, SV_FMT " ", SV_ARG(s->draft.body)) : s->draft.body;\n'),)),
    Mutant("outcome not recorded before the next step", ("event order",), ("outside.klaviyo.own_3", "sqlite", 1, "KILL", 1), (
        ("server/dispatch/dispatch_job.c", "    if (verdict == MARK_WAIT || t->dirty || !task_lease", "    if (verdict == MARK_WAIT || !task_lease"),
        ("server/dispatch/dispatch_job.c", "    if (!plan_in_order(&t->recorded,", "    plan_note(&t->plan, &t->recorded);\n    if (!plan_in_order(&t->recorded,"))),
    Mutant("outcome dropped", ("lost",), ("", "sqlite", 1, "KILL", 0), (
        ("server/dispatch/plan.c", "    if (o->kind == OUTCOME_SENT) {\n        decide", "    if (o->kind == OUTCOME_SENT || o->kind == OUTCOME_RETRY) {\n        decide"),)),
    Mutant("dead letter forgotten", ("lost",), ("", "sqlite", 1, "KILL", 0), (
        ("server/dispatch/dispatch_job.c", "        task_finish(t, a->dead ? JOB_DEAD : JOB_DONE,", "        task_finish(t, JOB_DONE,"),)),
    Mutant("replay sends everything again", ("duplicate",), ("", "sqlite", 1, "KILL", 0), (
        ("server/dispatch/plan.c", "            if (p->events[i].steps[s].state == STEP_FAILED || stopped(&p->events[i], s))",
         "            if (p->events[i].steps[s].state == STEP_SENT || p->events[i].steps[s].state == STEP_FAILED || stopped(&p->events[i], s))"),)),
    Mutant("remembered values not erased", ("forgotten",), ("privacy.page", "sqlite", 1, "KILL", 1), (
        ("server/store/sqlite/sqlite_erase.c", "        else\n            erase_key(db,", "        else if (e->n == 0)\n            erase_key(db,"),)),
    Mutant("queue moved past one without an answer", ("lost",), ("wait.answered", "sqlite", 1, "KILL", 1), (
        ("server/dispatch/dispatch_wait.c", "        *ret_count = count;\n", "        *ret_count = count - 1;\n"),)),
]


def copy_tree(folder):
    files = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True, text=True).stdout.split("\0")
    for name in filter(None, files):
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, target)


def build(folder):
    done = subprocess.run(["cmake", "--build", "build", "--target", "fireorder"], cwd=folder, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"does not build:\n{done.stdout[-3000:]}")


def plant(folder, mutant):
    """Returns what restore puts back."""
    before = {name: (folder / name).read_text() for name, _, _ in mutant.edits}
    for name, text, becomes in mutant.edits:
        source = (folder / name).read_text()
        if source.count(text) != 1:
            raise SystemExit(f"{mutant.name}: {name} no longer has this text once:\n{text}")
        (folder / name).write_text(source.replace(text, becomes))
    return before


def restore(folder, before):
    for name, text in before.items():
        (folder / name).write_text(text)


def hunt(mutant, seed):
    """What the checker says of it; caught as expected or not."""
    *case, nth = mutant.case
    found = {}
    for n in range(TRIES):
        result = matrix.perform((case[0] or "-", *case[1:]), seed + n, 0, nth + 2 * n if nth > 1 else nth)
        found = result["violations"]
        if any(kind in mutant.expect for kind in found):
            return True, found
    return False, found or result["error"]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--only", default="")
    parser.add_argument("--seed", type=int, default=time.time_ns() // 1000 % 10 ** 9)
    o = parser.parse_args()
    chosen = [m for m in MUTANTS if o.only in m.name]
    print(f"{len(chosen)} mutants, seed {o.seed}", flush=True)
    os.environ["CHAOS_DEADLINE"] = "15"
    caught = 0
    with tempfile.TemporaryDirectory(prefix="mutants") as name:
        folder = Path(name)
        copy_tree(folder)
        subprocess.run(["cmake", "-G", "Ninja", "-S", ".", "-B", "build", "-DFAILPOINTS=ON", "-DCMAKE_BUILD_TYPE=Debug"], cwd=folder, check=True,
                       stdout=subprocess.DEVNULL)
        os.environ["FIREORDER"] = str(folder / "build" / "fireorder")
        for mutant in chosen:
            before = plant(folder, mutant)
            build(folder)
            is_caught, what = hunt(mutant, o.seed)
            restore(folder, before)
            caught += is_caught
            told = "; ".join(f"{kind}: {texts[0]}" for kind, texts in what.items() if kind in mutant.expect) if is_caught else what
            print(f"  {'caught' if is_caught else 'MISSED':8}{mutant.name:42}{told}", flush=True)
    print(f"{caught} of {len(chosen)} mutants caught")
    sys.exit(caught != len(chosen))


if __name__ == "__main__":
    main()
