// dispatch_mark.c: sending what changes something at a destination (a profile, a list) only when it changes it.
//
// Under the name of what is changed the store keeps a mark: what was sent there last and taken. Before a request the mark becomes our
// intent, after its success what was sent; each step only from what was seen before. Whoever finds another one's intent makes the mark
// contested: of two requests in flight nobody knows which one came last, so neither is remembered and the next one is sent again. A
// worker that is late or lost can therefore not leave a wrong mark behind.
//   d:<fingerprint>   this was sent and taken         i:<until>:<job>   a request of that job is under way
//   u                 nothing is there                c:<until>         contested
// Until then (wall, ms) somebody may be on the way; after that nobody is, but what they sent may be there: a subscription that may be there
// is still one to be taken back. So neither is forgotten before the rest.
#include "server/dispatch/dispatch_parts.h"

#include "base/clock.h"
#include "mapping/normalise.h"

#define UNDER_WAY_MS MINUTES_MS(15)  // over everything that a request can take; asked for again with each attempt
#define UNDER_WAY_LEAST_MS MINUTES_MS(5)
#define SENT_LIFETIME_MS DAYS_MS(400)
#define FIRST_PURCHASE_LIFETIME_MS DAYS_MS(3650)
#define NEWEST_LIFETIME_MS DAYS_MS(400)

static struct sv mark_key(struct task *t) {
    return destinations[t->step]->changes(&t->arena, t->plan.events[t->event].event);
}

static struct sv sent_mark(struct task *t) {
    char fingerprint[KEY_LEN + 1];
    const struct draft *draft = &t->plan.events[t->event].steps[t->step].draft;
    store_fingerprint(t->dispatch->given.store, t->job.shop, sv_first(draft->essence, draft->body), fingerprint);
    return arena_fmt(&t->arena, "d:%s", fingerprint);
}

static bool is_own_intent(struct task *t, struct sv seen) {
    return sv_starts(seen, SV("i:")) && sv_ends(seen, arena_fmt(&t->arena, ":%s.%zu", t->job.id, t->event));
}

// under_way_until: 0: the mark is no intent, and not contested.
static int64_t under_way_until(struct sv mark) {
    struct sv kind, rest, until;
    int64_t ms;
    bool stamped = sv_cut(mark, ':', &kind, &rest) && (sv_is(kind, "i") || sv_is(kind, "c"));
    sv_cut(rest, ':', &until, &rest);
    return stamped && sv_i64(until, &ms) ? ms : 0;
}

static struct sv intent(struct task *t, bool contested, int64_t until_ms) {
    return contested ? arena_fmt(&t->arena, "c:%lld", (long long)until_ms)
                     : arena_fmt(&t->arena, "i:%lld:%s.%zu", (long long)until_ms, t->job.id, t->event);
}

static bool is_there(struct sv seen) {
    return sv_present(seen) && !sv_is(seen, "u");
}

enum mark_verdict mark_before(struct task *t) {
    struct sv seen = SV_NONE;
    int64_t now_ms = clock_wall_ms();
    const struct draft *draft = &t->plan.events[t->event].steps[t->step].draft;
    struct err e;
    if (t->mark.key.p)
        return MARK_WAIT;  // one mark a change
    if (!destinations[t->step]->changes || !t->plan.events[t->event].event)
        return MARK_SEND;
    if (t->intended && under_way_until(t->intent) > now_ms + UNDER_WAY_LEAST_MS)
        return MARK_SEND;  // otherwise the store was away for so long that nobody need believe it any more
    if (store_mark_get(t->dispatch->given.store, &t->arena, t->job.shop, mark_key(t), &seen, &e) != RC_OK)
        return MARK_STORE_AWAY;
    if (sv_eq(seen, sent_mark(t)))
        return MARK_SAME;
    if (draft->undoes && !is_there(seen))
        return MARK_NOTHING_THERE;
    bool own = is_own_intent(t, seen);
    t->contested = !own && under_way_until(seen) > now_ms;
    t->intent = intent(t, t->contested, now_ms + UNDER_WAY_MS);
    t->before = own ? SV_NONE : sv_first(seen, SV("u"));
    t->mark = (struct mark){.key = mark_key(t), .expect = seen, .value = t->intent, .lifetime_ms = SENT_LIFETIME_MS};
    t->intending = true;
    return MARK_WAIT;
}

void mark_after(struct task *t, const struct outcome *o) {
    if (!t->intended)
        return;
    t->intended = false;
    bool undone = t->plan.events[t->event].steps[t->step].draft.undoes;
    struct sv there = SV_NONE;  // nobody knows
    if (o->kind == OUTCOME_SENT)
        there = undone ? SV("u") : sent_mark(t);
    if (o->kind == OUTCOME_REJECT)
        there = t->before;
    if (there.p && !t->contested)
        t->mark = (struct mark){.key = mark_key(t), .expect = t->intent, .value = there, .lifetime_ms = SENT_LIFETIME_MS};
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
