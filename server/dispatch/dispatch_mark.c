// dispatch_mark.c: sending what changes something at a destination (a profile, a list) only when it changes it.
//
// Under the name of what is changed the store keeps a mark: what was sent there last and taken. Before a request the mark becomes our
// intent, after its success what was sent; each step only from what was seen before. Whoever finds another one's intent makes the mark
// contested: of two requests in flight nobody knows which one came last, so neither is remembered and the next one is sent again. A
// worker that is late or lost can therefore not leave a wrong mark behind.
//   d:<fingerprints>  this was sent and taken         i:<until>:<job>   a request of that job is under way
//   u                 nothing is there                c:<until>         contested
// Until then (wall, ms) somebody may be on the way; after that nobody is, but what they sent may be there: a subscription that may be there
// is still one to be taken back. So neither is forgotten before the rest.
#include "server/dispatch/dispatch_parts.h"

#include "base/clock.h"
#include "mapping/click.h"
#include "mapping/normalise.h"
#include "mapping/schedule.h"
#include "mapping/subscription.h"
#include "server/dispatch/recall.h"

#include <stdio.h>
#include <string.h>

#define UNDER_WAY_MS MINUTES_MS(15)  // over everything that a request can take; asked for again with each attempt
#define UNDER_WAY_LEAST_MS MINUTES_MS(5)
#define SENT_LIFETIME_MS DAYS_MS(400)
#define FIRST_PURCHASE_LIFETIME_MS DAYS_MS(3650)
#define NEWEST_LIFETIME_MS DAYS_MS(400)

// changes_mark: goes with the next change.
static void changes_mark(struct task *t, struct mark mark) {
    if (t->mark_count < TASK_MARKS_MAX)
        t->marks[t->mark_count++] = mark;
}

static struct sv mark_key(struct task *t) {
    return destinations[t->step]->changes(&t->arena, t->plan.events[t->event].event, t->shop);
}

// One line of what is sent, as it stands in a mark: a fingerprint of its name and one of its value.
#define NAME_LEN 8
#define VALUE_LEN 12
struct entry {
    char text[NAME_LEN + VALUE_LEN + 1];
};

static struct entry entry_of(struct task *t, struct sv line) {
    const struct store *store = t->dispatch->given.store;
    char name[KEY_LEN + 1], value[KEY_LEN + 1];
    struct entry entry;
    struct sv before, after;
    sv_cut(line, '=', &before, &after);
    store_fingerprint(store, t->job.shop, before, name);
    store_fingerprint(store, t->job.shop, line, value);
    snprintf(entry.text, sizeof entry.text, "%.*s%.*s", NAME_LEN, name, VALUE_LEN, value);
    return entry;
}

// entry_in: the entry of that name in a mark of what was sent; absent: none.
static struct sv entry_in(struct sv mark, const char *name) {
    for (size_t at = 2; sv_starts(mark, SV("d:")) && at + NAME_LEN + VALUE_LEN <= mark.n; at += NAME_LEN + VALUE_LEN)
        if (memcmp(mark.p + at, name, NAME_LEN) == 0)
            return sv_sub(mark, at, NAME_LEN + VALUE_LEN);
    return SV_NONE;
}

// sent_mark: what is there once this is sent too: the entries of `before`, with ours in place of those of the same name.
static struct sv sent_mark(struct task *t, struct sv before) {
    struct sv line, rest = t->plan.events[t->event].steps[t->step].draft.essence, mark = SV("d:");
    while (sv_present(rest)) {
        sv_cut(rest, '\n', &line, &rest);
        mark = arena_fmt(&t->arena, SV_FMT "%s", SV_ARG(mark), entry_of(t, line).text);
    }
    struct sv ours = mark;
    for (size_t at = 2; sv_starts(before, SV("d:")) && at + NAME_LEN + VALUE_LEN <= before.n; at += NAME_LEN + VALUE_LEN)
        if (!entry_in(ours, before.p + at).p)
            mark = arena_fmt(&t->arena, SV_FMT SV_FMT, SV_ARG(mark), SV_ARG(sv_sub(before, at, NAME_LEN + VALUE_LEN)));
    return mark;
}

// says_nothing_new: every line was sent before and is there still.
static bool says_nothing_new(struct task *t, struct sv seen) {
    struct sv line, rest = t->plan.events[t->event].steps[t->step].draft.essence;
    if (!sv_starts(seen, SV("d:")))
        return false;
    while (sv_present(rest)) {
        sv_cut(rest, '\n', &line, &rest);
        struct entry entry = entry_of(t, line);
        if (!sv_is(entry_in(seen, entry.text), entry.text))
            return false;
    }
    return true;
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
    if (t->mark_count > 0)
        return MARK_WAIT;  // it is not in the store yet
    if (!destinations[t->step]->changes || !t->plan.events[t->event].event)
        return MARK_SEND;
    if (t->intended && under_way_until(t->intent) > clock_wall_ms() + UNDER_WAY_LEAST_MS)
        return MARK_SEND;  // otherwise the store was away for so long that nobody need believe it any more
    return MARK_ASK;
}

struct lookup *mark_wanted(struct task *t) {
    struct lookup *asked = ARENA_NEW(&t->arena, struct lookup);
    *asked = (struct lookup){.shop = t->job.shop, .key = mark_key(t), .mark = true};
    return asked;
}

enum mark_verdict mark_weigh(struct task *t, struct sv seen) {
    int64_t now_ms = clock_wall_ms();
    if (says_nothing_new(t, seen))
        return MARK_SAME;
    if (t->plan.events[t->event].steps[t->step].draft.undoes && !is_there(seen))
        return MARK_NOTHING_THERE;
    bool own = is_own_intent(t, seen);
    t->contested = !own && under_way_until(seen) > now_ms;
    t->intent = intent(t, t->contested, now_ms + UNDER_WAY_MS);
    t->before = own ? SV_NONE : sv_first(seen, SV("u"));
    changes_mark(t, (struct mark){.key = mark_key(t), .expect = seen, .value = t->intent, .lifetime_ms = SENT_LIFETIME_MS});
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
        there = undone ? SV("u") : sent_mark(t, t->before);
    if (o->kind == OUTCOME_REJECT)
        there = t->before;
    if (there.p && !t->contested)
        changes_mark(t, (struct mark){.key = mark_key(t), .expect = t->intent, .value = there, .lifetime_ms = SENT_LIFETIME_MS});
}

// ---- what decides which events a webhook's are

// A buyer is known by e-mail and by customer id, since an order may come without the one or the other; by phone where there is neither.
enum { BUYER_EMAIL, BUYER_ID, BUYER_PHONE, BUYER_NAMES };

static void buyer_keys(struct task *t, const struct event *event, struct lookup ret[BUYER_NAMES]) {
    const struct user *u = &event->user;
    bool buys = event->name == EVENT_PURCHASE || event->name == EVENT_REPEAT_PURCHASE;
    struct sv names[BUYER_NAMES] = {[BUYER_EMAIL] = normal_email(&t->arena, u->email), [BUYER_ID] = sv_trim(u->external_id)};
    if (!sv_present(names[BUYER_EMAIL]) && !sv_present(names[BUYER_ID]))
        names[BUYER_PHONE] = normal_phone(&t->arena, u->phone, u->country);
    for (size_t i = 0; i < BUYER_NAMES; i++)
        if (buys && !sv_is(event->origin, "test") && sv_present(names[i]))
            ret[i].key = arena_join(&t->arena, SVS(SV("first_purchase:"), names[i]));
}

// A buyer's first order is remembered by its event's id under each of their names, so that order counts as the first however often it is
// reported. A name that is new, of a buyer who is known by another one, stands for the same first order.
static void settle_purchase(struct task *t, struct event *event, const struct lookup names[BUYER_NAMES]) {
    struct sv first = event->id;
    for (size_t i = 0; i < BUYER_NAMES; i++)
        if (names[i].ret.p && !sv_eq(names[i].ret, event->id))
            first = names[i].ret;
    for (size_t i = 0; i < BUYER_NAMES; i++)
        if (names[i].key.p && !names[i].ret.p)
            changes_mark(t, (struct mark){.key = names[i].key, .value = first, .lifetime_ms = FIRST_PURCHASE_LIFETIME_MS});
    if (!sv_eq(first, event->id))
        event->name = EVENT_REPEAT_PURCHASE;
}

// States may be told late. Of two that are equally new the one that takes consent back counts.
static bool is_outdated(struct task *t, const struct lookup *newest) {
    int64_t known = 0;
    if (!newest->key.p)
        return false;
    bool revokes = t->decoded.count > 0 && t->decoded.events[0].name == EVENT_CONSENT_REVOKED;
    int64_t rank = t->decoded.as_of_ms * 2 + revokes;
    if (sv_i64(newest->ret, &known) && known > rank)
        return true;
    changes_mark(t, (struct mark){.key = newest->key, .expect = newest->ret, .value = arena_fmt(&t->arena, "%lld", (long long)rank),
                                  .lifetime_ms = NEWEST_LIFETIME_MS});
    return false;
}

// A subscription's schedule is kept unless a newer one is.
static void settle_schedule(struct task *t, const struct lookup *kept) {
    struct json *json;
    struct schedule known;
    bool readable = kept->ret.p && json_parse(&t->arena, kept->ret, &json, NULL) == RC_OK && schedule_read(json, &known);
    if (!kept->key.p || (readable && known.as_of_ms > t->decoded.schedule.as_of_ms))
        return;
    changes_mark(t, (struct mark){.key = kept->key, .expect = kept->ret, .value = schedule_write(&t->arena, &t->decoded.schedule),
                                  .lifetime_ms = SCHEDULE_LIFETIME_MS});
}

// The time at which a click was first seen: the earliest that a webhook of its visit gives. All events of one webhook are of one click.
static void settle_click(struct task *t, const struct lookup *first) {
    const struct event *clicked = NULL;
    for (size_t i = 0; i < t->decoded.count; i++) {
        struct event *e = &t->decoded.events[i];
        if (!first->key.p || !sv_eq(click_key(&t->arena, e), first->key))
            continue;
        click_seen(&t->arena, e, first->ret);
        clicked = e;
    }
    int64_t first_ms, ms = clicked ? click_of(clicked->user.fbc).seen_ms : 0;
    if (clicked && (!sv_i64(first->ret, &first_ms) || ms < first_ms))
        changes_mark(t, (struct mark){.key = first->key, .expect = first->ret, .value = arena_fmt(&t->arena, "%lld", (long long)ms),
                                      .lifetime_ms = CLICK_LIFETIME_MS});
}

// is_subscribed: of a sign-up: its person is on the list, and permitted that half an hour ago or less: nothing has changed. A permission
// that comes later counts anew, since who left by Klaviyo's own link is known to Klaviyo alone.
static bool is_subscribed(const struct decoded *d, const struct lookup *list, const struct lookup *newest) {
    int64_t known;
    if (!sv_starts(list->ret, SV("d:")) || !sv_i64(newest->ret, &known))
        return false;
    return known % 2 == 0 && d->as_of_ms - known / 2 < SUBSCRIBED_LATELY_MS;
}

static bool is_sign_up(const struct task *t) {
    return t->decoded.supersedes_key.p && t->decoded.count == 1 && t->decoded.events[0].name == EVENT_SIGN_UP;
}

// The newest state, a subscription's schedule, a click, a subscription to the list, then the names of each event's buyer.
enum { NEWEST, SCHEDULE, CLICK, LISTED, BUYERS };

struct lookup *marks_wanted(struct task *t, size_t *ret_count) {
    size_t n = BUYERS + t->decoded.count * BUYER_NAMES;
    struct lookup *asked = ARENA_ARRAY(&t->arena, struct lookup, n);
    for (size_t i = 0; i < n; i++)
        asked[i] = (struct lookup){.shop = t->job.shop, .mark = true};
    if (t->decoded.supersedes_key.p)
        asked[NEWEST].key = arena_fmt(&t->arena, "as_of:" SV_FMT, SV_ARG(t->decoded.supersedes_key));
    if (t->decoded.schedule_of.p)
        asked[SCHEDULE].key = schedule_key(&t->arena, t->decoded.schedule_of);
    for (size_t i = 0; i < t->decoded.count && !asked[CLICK].key.p; i++)
        asked[CLICK].key = click_key(&t->arena, &t->decoded.events[i]);
    if (is_sign_up(t))
        asked[LISTED].key = subscription_key(&t->arena, &t->decoded.events[0], t->shop);
    for (size_t i = 0; i < t->decoded.count; i++)
        buyer_keys(t, &t->decoded.events[i], &asked[BUYERS + i * BUYER_NAMES]);
    *ret_count = n;
    return asked;
}

bool marks_settle(struct task *t, const struct lookup *known) {
    if (is_outdated(t, &known[NEWEST]))
        return false;
    settle_schedule(t, &known[SCHEDULE]);
    settle_click(t, &known[CLICK]);
    if (known[LISTED].key.p)
        t->decoded.events[0].subscribed = is_subscribed(&t->decoded, &known[LISTED], &known[NEWEST]);
    for (size_t i = 0; i < t->decoded.count; i++)
        settle_purchase(t, &t->decoded.events[i], &known[BUYERS + i * BUYER_NAMES]);
    return true;
}
