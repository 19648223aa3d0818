// report.c: counting. What the figures mean to people is in report_json.c and docs/report.md.
#include "server/report/report.h"

#include <stdlib.h>
#include <string.h>

#define LINE_MEMORY ((size_t)1 << 20)
#define PURCHASE "Purchase"

void report_init(struct report *r) {
    *r = (struct report){0};
    arena_init(&r->arena, LINE_MEMORY);
    arena_init(&r->line, LINE_MEMORY);
}

void report_free(struct report *r) {
    arena_free(&r->arena);
    arena_free(&r->line);
    free(r->sightings);
    free(r->gaps);
}

// room: for one more, in an array whose capacity is the power of two at or above its length.
static bool room(struct report *r, void **array, size_t n, size_t size) {
    if (n > 0 && (n & (n - 1)) != 0)
        return true;
    void *grown = realloc(*array, (n > 0 ? 2 * n : 1) * size);
    if (grown)
        *array = grown;
    else
        r->failed = true;
    return grown != NULL;
}

static struct report_event *event_named(struct report *r, struct sv name) {
    for (size_t i = 0; i < r->event_count; i++)
        if (sv_eq(r->events[i].name, name))
            return &r->events[i];
    if (r->event_count == REPORT_EVENTS_MAX)
        return &r->events[REPORT_EVENTS_MAX - 1];
    if (r->event_count == REPORT_EVENTS_MAX - 1)
        name = SV("other");
    r->events[r->event_count].name = arena_dup(&r->arena, name);
    return &r->events[r->event_count++];
}

// source_bit: 0 for one source too many, which is told apart from nobody.
static unsigned source_bit(struct report *r, struct sv source) {
    size_t i = 0;
    while (i < r->source_count && !sv_eq(r->sources[i], source))
        i++;
    if (i == REPORT_SOURCES_MAX)
        return 0;
    if (i == r->source_count)
        r->sources[r->source_count++] = arena_dup(&r->arena, source);
    return 1u << i;
}

static bool order_number(struct sv hex, uint64_t *ret) {
    static const char digits[] = "0123456789abcdef";
    *ret = 0;
    for (size_t i = 0; i < hex.n; i++) {
        const char *at = memchr(digits, hex.p[i], 16);
        if (!at)
            return false;
        *ret = *ret << 4 | (uint64_t)(at - digits);
    }
    return hex.n == ORDER_LEN;
}

static void see_order(struct report *r, const struct ledger_entry *e) {
    uint64_t order;
    if (!order_number(e->order, &order) || !room(r, (void **)&r->sightings, r->sighting_count, sizeof *r->sightings))
        return;
    r->sightings[r->sighting_count++] = (struct sighting){order, source_bit(r, e->source), !e->repeat && e->meta == META_SENT};
}

static void see_gap(struct report *r, const struct ledger_entry *e) {
    if (!e->has_gap)
        return;
    if (e->gap_ms < 0)
        r->klaviyo_first++;
    else if (room(r, (void **)&r->gaps, r->gap_count, sizeof *r->gaps))
        r->gaps[r->gap_count++] = e->gap_ms;
}

static void see_event(struct report *r, const struct ledger_entry *e) {
    r->klaviyo_sent += sv_is(e->klaviyo, "sent");
    see_gap(r, e);
    if (!meta_meant(e->meta))
        return;
    struct report_event *group = event_named(r, sv_first(e->meta_event, e->event));
    group->outcomes[e->meta]++;
    if (e->meta != META_SENT)
        return;
    for (size_t i = 0; i < IDENTIFIER_COUNT; i++)
        group->with[i] += e->identifiers[i];
    if (e->clicked && sv_is(e->meta_event, PURCHASE)) {
        r->clicked++;
        r->clicked_with_fbc += e->identifiers[ID_FBC];
    }
}

void report_add(struct report *r, struct sv line) {
    struct ledger_entry e;
    r->lines++;
    if (ledger_read(&r->line, line, &e)) {
        see_order(r, &e);
        if (!e.repeat)
            see_event(r, &e);
    } else {
        r->unreadable++;
    }
    arena_reset(&r->line);
}

static int by_order(const void *a, const void *b) {
    uint64_t x = ((const struct sighting *)a)->order, y = ((const struct sighting *)b)->order;
    return x < y ? -1 : x > y;
}

static int by_size(const void *a, const void *b) {
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return x < y ? -1 : x > y;
}

static int by_count(const void *a, const void *b) {
    int64_t x = report_meant(a), y = report_meant(b);
    return x > y ? -1 : x < y;
}

void report_end(struct report *r) {
    if (r->sighting_count > 0)
        qsort(r->sightings, r->sighting_count, sizeof *r->sightings, by_order);
    if (r->gap_count > 0)
        qsort(r->gaps, r->gap_count, sizeof *r->gaps, by_size);
    qsort(r->events, r->event_count, sizeof *r->events, by_count);
}

struct report_orders report_orders(const struct report *r) {
    struct report_orders sum = {0};
    for (size_t i = 0, end; i < r->sighting_count; i = end) {
        unsigned sources = 0;
        size_t sent = 0;
        for (end = i; end < r->sighting_count && r->sightings[end].order == r->sightings[i].order; end++) {
            sources |= r->sightings[end].source;
            sent += r->sightings[end].sent;
        }
        sum.orders++;
        sum.told_by_two += (sources & (sources - 1)) != 0;
        sum.sent_twice += sent > 1;
    }
    return sum;
}

int64_t report_gap(const struct report *r, int percent) {
    size_t rank = (r->gap_count * (size_t)percent + 99) / 100;
    return r->gap_count > 0 ? r->gaps[rank > 0 ? rank - 1 : 0] : 0;
}

const struct report_event *report_event(const struct report *r, const char *name) {
    for (size_t i = 0; i < r->event_count; i++)
        if (sv_is(r->events[i].name, name))
            return &r->events[i];
    return NULL;
}

int64_t report_meant(const struct report_event *e) {
    int64_t n = 0;
    for (size_t i = 0; i < META_OUTCOME_COUNT; i++)
        n += e->outcomes[i];
    return n;
}

int64_t report_share(int64_t part, int64_t whole) {
    return whole > 0 ? (part * 1000 + whole / 2) / whole : -1;
}

int64_t report_identity(const struct report_event *e) {
    int64_t with = 0;
    for (size_t i = 0; i < IDENTIFIER_COUNT; i++)
        with += e->with[i];
    return report_share(with, e->outcomes[META_SENT] * IDENTIFIER_COUNT);
}
