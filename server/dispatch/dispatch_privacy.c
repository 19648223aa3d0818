// dispatch_privacy.c: people who ask what is kept of them, or to be forgotten. All that the store keeps of the shop is looked through, a
// page at a time: webhooks first, so that none which is found can leave something behind that was looked for already; then values. What
// was accepted after the request is not its matter. Last of all goes the request itself: a crash before that begins anew, and finds less.
#include "server/dispatch/dispatch_parts.h"

#include "base/clock.h"
#include "base/failpoint.h"
#include "base/log.h"
#include "handlers/privacy.h"
#include "mapping/context.h"
#include "mapping/klaviyo/klaviyo_deletion.h"

#include <stdio.h>
#include <string.h>

#define PAGE_MEMORY ((size_t)512 << 20)
#define TURN_MS 50  // then it is the others' turn
#define RETRY_MS SECONDS_MS(1)
#define DELETION_RETRY_MS MINUTES_MS(1)

static bool forgets(const struct task *t) {
    return t->decoded.privacy->kind != PRIVACY_TELL;
}

// What somebody's browser left is found by the tokens of their webhooks; it may name nobody.
static void add_contexts(struct task *t, struct arena *a, const struct kept *job, struct kept *erased, size_t *n) {
    struct decoded decoded;
    struct context_place places[CONTEXT_KEYS_MAX];
    const struct source *source = source_named(job->source);
    if (!source)
        return;
    source_decode(a, source, t->shop, job->topic, job->text, &decoded);
    for (size_t i = 0; i < decoded.count && i < PLAN_EVENTS_MAX; i++) {
        size_t count = context_keys(a, &decoded.events[i], t->shop->context.customer_secret.p, places);
        for (size_t k = 0; k < count; k++)
            erased[(*n)++] = store_kept_value(t->dispatch->given.store, t->job.shop, places[k].key);
    }
}

static bool is_wanted(struct task *t, struct arena *a, const struct kept *k) {
    bool is_job = k->kind == KEPT_JOBS;
    if (is_job && (k->received_ms > t->job.received_ms || sv_is(sv_of(k->id), t->job.id)))
        return false;
    if (!k->text.p)  // it cannot be read
        return is_job && t->decoded.privacy->kind == PRIVACY_FORGET_SHOP;
    return privacy_concerns(a, t->decoded.privacy, k->text);
}

static void count(struct task *t, const struct kept *k) {
    t->privacy.jobs += k->kind == KEPT_JOBS;
    t->privacy.pending += k->kind == KEPT_JOBS && k->state == JOB_PENDING;
    t->privacy.values += k->kind == KEPT_VALUES;
}

static enum rc look_through(struct task *t, struct arena *a, struct sv *ret_next, struct err *e) {
    struct store *store = t->dispatch->given.store;
    struct kept *kept;
    size_t n, count_erased = 0;
    enum rc rc = store_kept(store, a, t->job.shop, t->privacy.phase, t->privacy.after, &kept, &n, ret_next, e);
    if (rc != RC_OK)
        return rc;
    struct kept *erased = ARENA_ARRAY(a, struct kept, n * (1 + PLAN_EVENTS_MAX * CONTEXT_KEYS_MAX) + 1);
    for (size_t i = 0; i < n; i++) {
        if (!is_wanted(t, a, &kept[i]))
            continue;
        count(t, &kept[i]);
        erased[count_erased++] = kept[i];
        if (kept[i].kind == KEPT_JOBS && kept[i].text.p)
            add_contexts(t, a, &kept[i], erased, &count_erased);
    }
    if (!arena_ok(a))
        return err_set(e, RC_TOO_LARGE, "what is kept takes more memory than it may");
    return forgets(t) ? store_erase(store, t->job.shop, erased, count_erased, sv_of(t->job.id), e) : RC_OK;
}

static enum rc turn_page(struct task *t, struct err *e) {
    struct arena a;
    struct sv next = SV_NONE;
    arena_init(&a, PAGE_MEMORY);
    enum rc rc = look_through(t, &a, &next, e);
    FAILPOINT("privacy.page");
    if (rc == RC_OK) {
        t->privacy.after = next.p ? arena_dup(&t->arena, next) : SV_NONE;
        t->privacy.done = !next.p && t->privacy.phase == KEPT_VALUES;
        if (!next.p)
            t->privacy.phase = KEPT_VALUES;
    }
    arena_free(&a);
    return rc;
}

static void put_off(struct task *t, int64_t delay_ms, bool aside) {
    bool is_alone = sv_is(sv_of(t->job.lane), t->job.id);
    task_change(t, (struct change){.kind = aside && !is_alone ? CHANGE_ASIDE : CHANGE_RETRY, .delay_ms = delay_ms});
}

// ---- its end

static void finish(struct task *t) {
    struct err e = {0};
    struct kept own = {.kind = KEPT_JOBS};
    memcpy(own.id, t->job.id, sizeof own.id);
    struct sv reason = arena_fmt(&t->arena, "%s %zu webhooks (%zu of them waiting) and %zu remembered values", forgets(t) ? "erased" : "kept:",
                                 t->privacy.jobs, t->privacy.pending, t->privacy.values);
    if (forgets(t) && store_erase(t->dispatch->given.store, t->job.shop, &own, 1, sv_of(t->job.id), &e) != RC_OK) {
        put_off(t, RETRY_MS, false);
        return;
    }
    FAILPOINT("privacy.own");
    task_finish(t, JOB_DONE, reason);
}

static void answered(void *ctx, const struct answer *answer) {
    struct task *t = ctx;
    FAILPOINT("privacy.deletion");
    struct outcome o = klaviyo_deletion_outcome(&t->arena, answer, clock_wall_ms());
    t->sending = false;
    metrics_step(t->dispatch->given.metrics, t->shop->name, "klaviyo.deletion", o.kind == OUTCOME_SENT ? "sent" : o.kind == OUTCOME_REJECT ? "failed" : "retried");
    if (o.kind == OUTCOME_SENT)
        finish(t);
    else if (o.kind == OUTCOME_REJECT)
        task_finish(t, JOB_DEAD, arena_fmt(&t->arena, "klaviyo.deletion: " SV_FMT, SV_ARG(o.reason)));
    else
        put_off(t, o.retry_after_ms > DELETION_RETRY_MS ? o.retry_after_ms : DELETION_RETRY_MS, true);
}

// The log tells that it was done, and of how much; of whom, only the job's id does, for as long as that is kept.
static void audit(struct task *t) {
    log_info("privacy shop=%s topic=" SV_FMT " job=%s %s webhooks=%zu waiting=%zu values=%zu", t->work->name, SV_ARG(t->job.topic), t->job.id,
             forgets(t) ? "erased" : "kept", t->privacy.jobs, t->privacy.pending, t->privacy.values);
}

static void end(struct task *t) {
    const struct privacy_request *r = t->decoded.privacy;
    struct request request = {0};
    struct err e = {0};
    if (r->kind != PRIVACY_FORGET_CUSTOMER || !klaviyo_deletion(&t->arena, t->shop, r->email, r->phone, &request)) {
        audit(t);
        finish(t);
        return;
    }
    if (!task_lease_outlasts(t, REQUEST_TIMEOUT_MS)) {
        task_record(t);
        return;
    }
    audit(t);
    t->sending = http_client_post(t->dispatch->http, &request, REQUEST_TIMEOUT_MS, answered, t, &e) == RC_OK;
    if (!t->sending)
        put_off(t, DELETION_RETRY_MS, true);
}

void privacy_work(struct task *t) {
    struct err e = {0};
    enum rc rc = RC_OK;
    int64_t until_ms = clock_mono_ms() + TURN_MS;
    while (rc == RC_OK && !t->privacy.done && clock_mono_ms() < until_ms)
        rc = turn_page(t, &e);
    if (rc != RC_OK) {
        log_warn("privacy shop=%s job=%s: begun again later: %s", t->work->name, t->job.id, e.text);
        put_off(t, RETRY_MS, false);
    } else if (dispatch_stopping(t->dispatch)) {
        task_give_back(t);
    } else if (t->privacy.done) {
        end(t);
    } else {
        task_record(t);
    }
}
