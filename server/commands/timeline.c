// The demo's timeline: what was sent, what the destinations saw and when, and whether the order held.
#include "server/commands/demo.h"

#include <stdio.h>

#define EACH_SIGHTING(s, journal, n) for (const struct sighting *s = (journal); s < (journal) + (n); s++)

struct journal {
    const struct sighting *v;
    size_t n;
};

static bool is_about(const struct sighting *s, const char *destination, struct sv event_id) {
    return sv_is(event_id, s->event_id) && sv_is(sv_of(s->destination), destination);
}

// taken: the answer with which the destination took the event; NULL when it did not.
static const struct sighting *taken(struct journal j, const char *destination, struct sv event_id, size_t *ret_times) {
    const struct sighting *found = NULL;
    *ret_times = 0;
    EACH_SIGHTING(s, j.v, j.n) {
        if (!is_about(s, destination, event_id) || s->status < 200 || s->status > 299)
            continue;
        ++*ret_times;
        found = found ? found : s;
    }
    return found;
}

static size_t refusals(struct journal j, const char *destination, struct sv event_id) {
    size_t count = 0;
    EACH_SIGHTING(s, j.v, j.n)
        count += is_about(s, destination, event_id) && s->status > 299;
    return count;
}

// in_order: Klaviyo's request came after an answer of Meta's, whatever that was; where Meta gets none of these, whenever.
static bool in_order(struct journal j, const struct planned_event *event) {
    uint64_t answered = event->steps[0].state == STEP_SKIPPED ? 0 : UINT64_MAX, came = UINT64_MAX;
    EACH_SIGHTING(s, j.v, j.n) {
        if (is_about(s, "meta", event->id) && s->answered < answered)
            answered = s->answered;
        if (is_about(s, "klaviyo.event", event->id) && s->came < came)
            came = s->came;
    }
    return came == UINT64_MAX || answered < came;
}

static struct sv describe_step(struct arena *a, struct journal j, const struct row *row, size_t step, struct verdict *v) {
    const struct planned_event *event = &row->plan.events[0];
    const char *name = destinations[step]->name;
    size_t times = 0, refused = refusals(j, name, event->id);
    if (event->steps[step].state == STEP_SKIPPED)
        return arena_fmt(a, "skipped: " SV_FMT, SV_ARG(event->steps[step].reason));
    const struct sighting *s = taken(j, name, event->id, &times);
    if (!s) {
        v->missing++;
        return SV("MISSING");
    }
    v->repeated += times > 1;
    struct sv before = refused ? arena_fmt(a, "500 x%zu, then ", refused) : SV("");
    return arena_fmt(a, SV_FMT "%d +%lld ms  %s", SV_ARG(before), s->status, (long long)(s->answered_ms - row->sent_ms), s->event_name);
}

static struct sv why_not(struct arena *a, const struct row *row) {
    if (row->status == 401)
        return SV("refused, nothing stored");
    if (sv_is(row->answer, "duplicate"))
        return SV("known already, nothing sent");
    if (sv_present(row->decoded.ignored))
        return arena_fmt(a, "ignored: " SV_FMT, SV_ARG(row->decoded.ignored));
    if (sv_present(row->decoded.undecodable))
        return arena_fmt(a, "undecodable: " SV_FMT, SV_ARG(row->decoded.undecodable));
    return SV_NONE;
}

// A profile and a list know people, not events, so what they saw cannot be told by event.
static bool names_events(const struct destination *d) {
    return !d->changes;
}

static size_t profiles(struct journal j) {
    size_t n = 0;
    EACH_SIGHTING(s, j.v, j.n)
        n += sv_is(sv_of(s->destination), "klaviyo.profile") && s->status < 300;
    return n;
}

static void print_row(struct demo *d, struct journal j, const struct row *row, struct verdict *v) {
    struct arena *a = &d->arena;
    printf("%+6lld ms  %ld  %-30s %s\n", (long long)(row->sent_ms - d->started_ms), row->status, arena_cstr(a, row->topic), row->act->story);
    struct sv reason = why_not(a, row);
    if (sv_present(reason)) {
        printf("%16s" SV_FMT "\n\n", "", SV_ARG(reason));
        return;
    }
    bool order = in_order(j, &row->plan.events[0]);
    v->events++;
    v->violations += !order;
    for (size_t step = 0; step < destination_count; step++)
        if (names_events(destinations[step]))
            printf("%16s%-9s" SV_FMT "\n", "", destinations[step]->account, SV_ARG(describe_step(a, j, row, step, v)));
    if (!order)
        printf("%16sOUT OF ORDER: Klaviyo was asked before Meta had answered\n", "");
    printf("\n");
}

void timeline_print(struct demo *d, const struct row *rows, size_t n, struct verdict *ret) {
    struct journal j;
    j.v = sandbox_journal(d->sandbox, &d->arena, &j.n);
    *ret = (struct verdict){0};
    printf("  arrived  answer\n");
    for (size_t i = 0; i < n; i++)
        print_row(d, j, &rows[i], ret);
    ret->violations += (size_t)metrics_order_violations(service_metrics(d->service));
    printf("%zu webhooks, %zu events, %zu profiles brought up to date, %zu requests at the destinations:\n%zu order violations, %zu missing, "
           "%zu sent twice\n", n, ret->events, profiles(j), j.n, ret->violations, ret->missing, ret->repeated);
}
