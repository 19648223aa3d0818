// What comes back from a store: plans, sealed records, packed bytes. Input: bytes that are taken for each of them.
// A plan that is read is written as itself and comes to an end; a record that nobody sealed does not open; packing loses nothing.
#include "base/clock.h"
#include "base/compress.h"
#include "base/crypto.h"
#include "tests/fuzz/shop.h"
#include "usual_webhooks.h"

#include <string.h>

#define UNPACKED_MOST ((size_t)1 << 20)
#define ACTIONS_MOST 100

// run: every step is answered, now and then after a refusal; sooner or later there is nothing left to do.
static void run(struct arena *a, struct plan *p, uint64_t random) {
    static const enum outcome_kind kinds[] = {OUTCOME_SENT, OUTCOME_RETRY, OUTCOME_SENT, OUTCOME_REJECT};
    int64_t now_ms = NOW_MS;
    for (int i = 0; i < ACTIONS_MOST; i++) {
        (void)plan_expire(p, now_ms);
        struct action action = plan_next(p, NULL, now_ms, 0);
        if (action.kind == ACTION_FINISH)
            return;
        if (action.kind == ACTION_SEND) {
            struct outcome o = {.kind = kinds[(random + (uint64_t)i) % COUNTOF(kinds)], .reason = SV("500 trouble")};
            CHECK(action.event < p->event_count && action.step < PLAN_STEPS);
            struct recorded_plan recorded = {0};
            plan_note(p, &recorded);
            CHECK(plan_in_order(&recorded, action.event, action.step));
            (void)plan_tell(a, p, action.event, action.step);
            (void)plan_outcome(a, p, action.event, action.step, &o, now_ms, random);
        } else if (action.kind == ACTION_ASIDE) {
            p->aside = true;
        } else {
            CHECK(action.wait_ms > 0);
            now_ms += action.wait_ms;
        }
    }
    CHECK(plan_next(p, NULL, now_ms, 0).kind == ACTION_FINISH);
}

// A step that is tried again has been tried at some time. Records are sealed, so nobody else writes plans; one that forgets that time
// only holds the lane for longer.
static bool could_be_ours(const struct plan *p) {
    for (size_t i = 0; i < p->event_count; i++)
        for (size_t s = 0; s < PLAN_STEPS; s++)
            if (p->events[i].steps[s].state == STEP_RETRYING && p->events[i].steps[s].first_ms == 0)
                return false;
    return true;
}

static void check_plan(struct arena *a, struct sv input) {
    struct plan *plan = ARENA_NEW(a, struct plan), *again = ARENA_NEW(a, struct plan);
    struct err e = {0};
    if (plan_read(a, input, SV_NONE, plan, &e) != RC_OK) {
        CHECK(e.text[0] != '\0');
        return;
    }
    struct sv stored = plan_write(a, plan);
    CHECK(plan_read(a, stored, SV_NONE, again, NULL) == RC_OK && sv_eq(plan_write(a, again), stored));
    CHECK(plan_read(a, stored, input, again, NULL) == RC_OK);  // as progress of itself
    CHECK(plan_read(a, stored, plan_write_progress(a, plan), again, NULL) == RC_OK);
    if (could_be_ours(plan))
        run(a, plan, choice(input, 97));
}

static void check_sealed(struct arena *a, struct sv input) {
    struct digest key = sha256(SV("key"));
    struct sv opened, record = seal(a, &key, SV("aad"), input);
    CHECK(open_sealed(a, &key, SV("aad"), input, &opened, NULL) != RC_OK);
    CHECK(open_sealed(a, &key, SV("aad"), record, &opened, NULL) == RC_OK && sv_eq(opened, input));
    CHECK(open_sealed(a, &key, SV("other"), record, &opened, NULL) != RC_OK);
    char *bytes = arena_alloc(a, record.n);
    memcpy(bytes, record.p, record.n);
    bytes[choice(input, record.n)] ^= 1;
    CHECK(open_sealed(a, &key, SV("aad"), (struct sv){bytes, record.n}, &opened, NULL) != RC_OK);
    CHECK(open_sealed(a, &key, SV("aad"), sv_sub(record, 0, choice(input, record.n)), &opened, NULL) != RC_OK);
}

static void check_packed(struct arena *a, struct sv input) {
    static const struct usual *usual;
    struct sv plain;
    if (!usual)
        usual = usual_new(sv_of(txt_usual_1));
    if (decompress(a, usual, input, UNPACKED_MOST, &plain, NULL) == RC_OK)
        CHECK(plain.n <= UNPACKED_MOST);
    CHECK(decompress(a, usual, compress(a, usual, input), input.n, &plain, NULL) == RC_OK && sv_eq(plain, input));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct arena a;
    struct sv input = input_of(data, size);
    arena_init(&a, MEMORY);
    check_plan(&a, input);
    check_sealed(&a, input);
    check_packed(&a, input);
    arena_free(&a);
    return 0;
}
