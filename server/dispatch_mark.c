// dispatch_mark.c: sending what changes something at a destination (a profile, a list) only when it changes it.
//
// Under the name of what is changed the store keeps a mark: what was sent there last and taken. Before a request the mark becomes our
// intent, after its success what was sent; each step only from what was seen before. Whoever finds another one's intent makes the mark
// contested: of two requests in flight nobody knows which one came last, so neither is remembered and the next one is sent again. A
// worker that is late or lost can therefore not leave a wrong mark behind.
//   d:<fingerprint>   this was sent and taken         i:<job>   a request of that job is under way
//   u                 it was taken back               c         contested
#include "server/dispatch_parts.h"

#include "base/clock.h"
#include "mapping/normalise.h"

#define INTENT_LIFETIME_MS MINUTES_MS(15)    // over everything that a request can take; asked for again with each attempt
#define CONTEST_LIFETIME_MS MINUTES_MS(15)
#define SENT_LIFETIME_MS DAYS_MS(400)
#define FIRST_PURCHASE_LIFETIME_MS DAYS_MS(3650)
#define NEWEST_LIFETIME_MS DAYS_MS(400)

static struct sv mark_key(struct task *t) {
    return destinations[t->step]->changes(&t->arena, t->plan.events[t->event].event);
}

static struct sv sent_mark(struct task *t) {
    char fingerprint[KEY_LEN + 1];
    store_fingerprint(t->dispatch->given.store, t->job.shop, t->plan.events[t->event].steps[t->step].draft.body, fingerprint);
    return arena_fmt(&t->arena, "d:%s", fingerprint);
}

static struct sv own_intent(struct task *t) {
    return arena_fmt(&t->arena, "i:%s.%zu", t->job.id, t->event);
}

static bool is_there(struct sv seen) {
    return sv_present(seen) && !sv_is(seen, "u");
}

enum mark_verdict mark_before(struct task *t) {
    struct sv seen = SV_NONE, own = own_intent(t);
    const struct draft *draft = &t->plan.events[t->event].steps[t->step].draft;
    struct err e;
    if (t->mark.key.p)
        return MARK_WAIT;  // one mark a change
    if (!destinations[t->step]->changes || t->intended || !t->plan.events[t->event].event)
        return MARK_SEND;
    if (store_mark_get(t->dispatch->given.store, &t->arena, t->job.shop, mark_key(t), &seen, &e) != RC_OK)
        return MARK_STORE_AWAY;
    if (sv_eq(seen, sent_mark(t)))
        return MARK_SAME;
    if (draft->undoes && !is_there(seen))
        return MARK_NOTHING_THERE;
    bool contested = sv_is(seen, "c") || (sv_starts(seen, SV("i:")) && !sv_eq(seen, own));
    t->mark = (struct mark){.key = mark_key(t), .expect = seen, .value = contested ? SV("c") : own,
                            .lifetime_ms = contested ? CONTEST_LIFETIME_MS : INTENT_LIFETIME_MS};
    t->contested = contested;
    t->intending = true;
    return MARK_WAIT;
}

void mark_after(struct task *t, const struct outcome *o) {
    if (!t->intended)
        return;
    t->intended = false;
    if (o->kind != OUTCOME_SENT || t->contested)
        return;
    bool undone = t->plan.events[t->event].steps[t->step].draft.undoes;
    t->mark = (struct mark){.key = mark_key(t), .expect = own_intent(t), .value = undone ? SV("u") : sent_mark(t), .lifetime_ms = SENT_LIFETIME_MS};
}

// ---- first and repeated purchases

// A customer's first order is remembered by its event's id, so that order counts as the first however often it is reported.
enum rc mark_first_purchase(struct task *t, struct event *event, struct err *e) {
    const struct user *u = &event->user;
    struct sv who = sv_first(u->external_id, normal_email(&t->arena, u->email)), seen = SV_NONE;
    if (event->name != EVENT_PURCHASE || !sv_present(who) || t->mark.key.p)
        return RC_OK;
    struct sv key = arena_fmt(&t->arena, "first_purchase:" SV_FMT, SV_ARG(who));
    enum rc rc = store_mark_get(t->dispatch->given.store, &t->arena, t->job.shop, key, &seen, e);
    if (rc != RC_OK)
        return rc;
    if (!seen.p)
        t->mark = (struct mark){.key = key, .value = event->id, .lifetime_ms = FIRST_PURCHASE_LIFETIME_MS};
    else if (!sv_eq(seen, event->id))
        event->name = EVENT_REPEAT_PURCHASE;
    return RC_OK;
}

// ---- states that may be told late

enum rc mark_newest(struct task *t, bool *ret_outdated, struct err *e) {
    struct sv seen = SV_NONE;
    int64_t newest = 0;
    *ret_outdated = false;
    if (!t->decoded.supersedes_key.p)
        return RC_OK;
    struct sv key = arena_fmt(&t->arena, "as_of:" SV_FMT, SV_ARG(t->decoded.supersedes_key));
    enum rc rc = store_mark_get(t->dispatch->given.store, &t->arena, t->job.shop, key, &seen, e);
    if (rc != RC_OK)
        return rc;
    *ret_outdated = sv_i64(seen, &newest) && newest > t->decoded.as_of_ms;
    if (!*ret_outdated)
        t->mark = (struct mark){.key = key, .expect = seen, .value = arena_fmt(&t->arena, "%lld", (long long)t->decoded.as_of_ms),
                                .lifetime_ms = NEWEST_LIFETIME_MS};
    return RC_OK;
}
