// shop.h: the sample shop, made once, and a webhook made into everything that is sent for it.
#ifndef TESTS_FUZZ_SHOP_H
#define TESTS_FUZZ_SHOP_H

#include "server/config/config.h"
#include "server/dispatch/plan.h"
#include "tests/fuzz/fuzz.h"

static inline const struct shop *sample_shop(void) {
    static struct config *config;
    struct buf faults;
    if (!config) {
        buf_init(&faults, 1 << 16);
        CHECK(config_sample(SV_NONE, &config, &faults, NULL) == RC_OK);
        buf_free(&faults);
    }
    return &config->shops[0];
}

static inline struct sv event_text(struct arena *a, const struct event *e) {
    struct buf out;
    struct jw w;
    buf_init(&out, MEMORY);
    jw_init(&w, &out);
    event_write(&w, e);
    CHECK(buf_ok(&out));
    struct sv text = arena_dup(a, buf_sv(&out));
    buf_free(&out);
    return text;
}

// checked_plan: all bodies are JSON, name no raw address at Meta, and the stored form reads as what was stored.
static inline void checked_plan(struct arena *a, const struct shop *shop, const struct decoded *d) {
    struct plan *plan = ARENA_NEW(a, struct plan), *again = ARENA_NEW(a, struct plan);
    plan_make(a, shop, d, NOW_MS, plan);
    for (size_t i = 0; i < plan->event_count; i++)
        for (size_t s = 0; s < PLAN_STEPS; s++) {
            const struct step *step = &plan->events[i].steps[s];
            CHECK(step_decided(step) ? sv_present(step->reason) : sv_present(step->draft.body));
            if (step->draft.body.p)
                (void)checked_json(a, step->draft.body);
        }
    struct sv stored = plan_write(a, plan);
    CHECK(plan_read(a, stored, SV_NONE, again, NULL) == RC_OK);
    CHECK(sv_eq(plan_write(a, again), stored));
}

#endif
