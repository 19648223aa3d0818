// metrics.c: a bounded table of labelled series, two histograms, and their text form.
//
// Counting is on the way to the acknowledgement, so it takes no lock once a series exists: series are published with a
// release store into a hash table that only grows, and found and counted with atomics. Only a new series takes the mutex.
#include "server/metrics.h"

#include "mapping/event.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { LABELS_MAX = 4, SLOTS = 32768, SERIES_MAX = SLOTS / 2, BUCKETS_MAX = 16 };  // a table at most half full keeps the search short

enum family { WEBHOOKS, CONTEXTS, DROPPED, STEPS, BULK_CALLS, BULK_EVENTS, PAUSED, META_EVENTS, META_IDENTITY, CLICKED, CLICKED_FBC, ORDER_REPORTS, FAMILY_COUNT };

static const struct {
    const char *name, *type, *help, *labels[LABELS_MAX];
} families[FAMILY_COUNT] = {
    [WEBHOOKS] = {"fireorder_webhooks_total", "counter", "Webhook requests by what became of them.", {"shop", "source", "topic", "result"}},
    [CONTEXTS] = {"fireorder_context_total", "counter", "What browsers posted about their visits, by what became of it.", {"shop", "result"}},
    [DROPPED] = {"fireorder_identifiers_dropped_total", "counter", "Cookies and click ids that were malformed or too old.", {"shop", "identifier", "from"}},
    [STEPS] = {"fireorder_steps_total", "counter", "Attempts to send an event to a destination, by outcome.", {"shop", "destination", "outcome"}},
    [BULK_CALLS] = {"fireorder_bulk_calls_total", "counter", "Requests with many events, by outcome.", {"shop", "outcome"}},
    [BULK_EVENTS] = {"fireorder_bulk_events_total", "counter", "Events in them; refused: and sent again.", {"shop", "outcome"}},
    [PAUSED] = {"fireorder_destination_paused", "gauge", "1 while a destination is paused because of its credentials or account.",
                {"shop", "destination"}},
    [META_EVENTS] = {"fireorder_meta_events_total", "counter", "Finished events by what became of them at Meta.", {"shop", "event", "outcome"}},
    [META_IDENTITY] = {"fireorder_meta_identity_total", "counter", "Events that Meta took, by the identifiers that they carried.",
                       {"shop", "event", "identifier"}},
    [CLICKED] = {"fireorder_orders_with_click_total", "counter", "Purchases that Meta took, with signs of a click on one of its ads.", {"shop"}},
    [CLICKED_FBC] = {"fireorder_orders_with_click_and_fbc_total", "counter", "Those of them that carried fbc.", {"shop"}},
    [ORDER_REPORTS] = {"fireorder_order_reports_total", "counter",
                       "Webhooks that tell of a sale, by sender; repeated: another one tells of the same, and this one was not sent.",
                       {"shop", "source", "result"}},
};

struct series {
    enum family family;
    uint64_t hash;
    struct sv labels[LABELS_MAX];  // copies that live as long as the series
    int64_t value;                 // atomic
};

struct histogram {
    const char *name, *help;
    double unit;                   // of an observed number, in seconds
    int64_t bounds[BUCKETS_MAX];   // upper, in that unit; ends with 0
    int64_t counts[BUCKETS_MAX];   // atomic; the last used one is over all bounds
    int64_t sum;                   // atomic
};

static const struct histogram ack_histogram = {
    .name = "fireorder_ack_seconds",
    .help = "From a webhook read to its answer made.",
    .unit = 1e-6,
    .bounds = {100, 250, 500, 1000, 2500, 5000, 10000, 25000, 50000, 100000, 250000, 500000, 1000000, 2500000, 5000000},
};

static const struct histogram gap_histogram = {
    .name = "fireorder_gap_seconds",
    .help = "From Meta's answer to Klaviyo's request for the same event.",
    .unit = 1e-3,
    .bounds = {1, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10000, 60000, 900000, 3600000},
};

struct metrics {
    pthread_mutex_t lock;                // for new series
    struct series *slots[SLOTS];         // open addressing; atomic
    struct series *in_order[SERIES_MAX]; // by age
    size_t series_count;                 // atomic
    struct histogram ack, gap;
    int64_t order_violations, spooled;   // atomic
};

struct metrics *metrics_new(void) {
    struct metrics *m = calloc(1, sizeof *m);
    if (!m)
        abort();  // at start only; the process has nothing to lose yet
    pthread_mutex_init(&m->lock, NULL);
    m->ack = ack_histogram;
    m->gap = gap_histogram;
    return m;
}

void metrics_free(struct metrics *m) {
    if (!m)
        return;
    for (size_t i = 0; i < m->series_count; i++)
        free(m->in_order[i]);
    pthread_mutex_destroy(&m->lock);
    free(m);
}

// ---- series

// FNV-1a; a label's end is hashed too, so that "ab","c" and "a","bc" differ.
static uint64_t hash_of(enum family family, const struct sv labels[LABELS_MAX]) {
    uint64_t h = 14695981039346656037u ^ (uint64_t)family;
    for (size_t i = 0; i < LABELS_MAX; i++) {
        for (size_t j = 0; j < labels[i].n; j++)
            h = (h ^ (unsigned char)labels[i].p[j]) * 1099511628211u;
        h = (h ^ 0xff) * 1099511628211u;
    }
    return h;
}

static bool is_series(const struct series *s, enum family family, uint64_t hash, const struct sv labels[LABELS_MAX]) {
    if (s->hash != hash || s->family != family)
        return false;
    for (size_t i = 0; i < LABELS_MAX; i++)
        if (s->labels[i].n != labels[i].n || (labels[i].n > 0 && memcmp(s->labels[i].p, labels[i].p, labels[i].n) != 0))
            return false;
    return true;
}

// The series in its slot, or NULL and *ret_slot is where it belongs.
static struct series *find(struct metrics *m, enum family family, uint64_t hash, const struct sv labels[LABELS_MAX], size_t *ret_slot) {
    for (size_t i = hash % SLOTS;; i = (i + 1) % SLOTS) {
        struct series *s = __atomic_load_n(&m->slots[i], __ATOMIC_ACQUIRE);
        *ret_slot = i;
        if (!s || is_series(s, family, hash, labels))
            return s;
    }
}

static struct series *series_new(enum family family, uint64_t hash, const struct sv labels[LABELS_MAX]) {
    size_t n = sizeof(struct series);
    for (size_t i = 0; i < LABELS_MAX; i++)
        n += labels[i].n;
    struct series *s = malloc(n);
    if (!s)
        return NULL;
    *s = (struct series){.family = family, .hash = hash};
    char *text = (char *)(s + 1);
    for (size_t i = 0; i < LABELS_MAX; i++) {
        if (labels[i].n > 0)
            memcpy(text, labels[i].p, labels[i].n);
        s->labels[i] = (struct sv){text, labels[i].n};
        text += labels[i].n;
    }
    return s;
}

static struct series *add(struct metrics *m, enum family family, uint64_t hash, const struct sv labels[LABELS_MAX]) {
    size_t slot;
    pthread_mutex_lock(&m->lock);
    struct series *s = find(m, family, hash, labels, &slot);
    if (!s && m->series_count < SERIES_MAX && (s = series_new(family, hash, labels)) != NULL) {
        m->in_order[m->series_count] = s;
        __atomic_store_n(&m->slots[slot], s, __ATOMIC_RELEASE);
        __atomic_store_n(&m->series_count, m->series_count + 1, __ATOMIC_RELEASE);
    }
    pthread_mutex_unlock(&m->lock);
    return s;
}

// A full table loses new series, never what is counted already: labels are bounded by configuration and code, so it is not expected.
static int64_t *value_of(struct metrics *m, enum family family, const struct sv labels[LABELS_MAX]) {
    size_t slot;
    uint64_t hash = hash_of(family, labels);
    struct series *s = find(m, family, hash, labels, &slot);
    if (!s)
        s = add(m, family, hash, labels);
    return s ? &s->value : NULL;
}

static void count_some(struct metrics *m, enum family family, const struct sv labels[LABELS_MAX], int64_t n) {
    int64_t *value = value_of(m, family, labels);
    if (value)
        __atomic_add_fetch(value, n, __ATOMIC_RELAXED);
}

static void count(struct metrics *m, enum family family, const struct sv labels[LABELS_MAX]) {
    count_some(m, family, labels, 1);
}

void metrics_webhook(struct metrics *m, struct sv shop, struct sv source, struct sv topic, const char *result) {
    count(m, WEBHOOKS, (struct sv[LABELS_MAX]){shop, source, topic, sv_of(result)});
}

void metrics_context(struct metrics *m, struct sv shop, const char *result) {
    count(m, CONTEXTS, (struct sv[LABELS_MAX]){shop, sv_of(result)});
}

void metrics_dropped(struct metrics *m, struct sv shop, unsigned dropped, bool posted) {
    static const struct {
        enum dropped bit;
        const char *identifier, *from;
    } rows[] = {{DROPPED_FBP, "fbp", "note_attribute"}, {DROPPED_FBC, "fbc", "note_attribute"}, {DROPPED_FBCLID, "fbclid", "landing_site"}};
    for (size_t i = 0; i < COUNTOF(rows); i++)
        if (dropped & rows[i].bit)
            count(m, DROPPED, (struct sv[LABELS_MAX]){shop, sv_of(rows[i].identifier), sv_of(posted ? "context" : rows[i].from)});
}

void metrics_bulk(struct metrics *m, struct sv shop, const char *outcome, size_t events) {
    count(m, BULK_CALLS, (struct sv[LABELS_MAX]){shop, sv_of(outcome)});
    count_some(m, BULK_EVENTS, (struct sv[LABELS_MAX]){shop, sv_of(outcome)}, (int64_t)events);
}

void metrics_step(struct metrics *m, struct sv shop, const char *destination, const char *outcome) {
    count(m, STEPS, (struct sv[LABELS_MAX]){shop, sv_of(destination), sv_of(outcome)});
}

static void count_identity(struct metrics *m, struct sv shop, struct sv event, const struct ledger_entry *e) {
    for (enum identifier id = 0; id < IDENTIFIER_COUNT; id++)
        if (e->identifiers[id])
            count(m, META_IDENTITY, (struct sv[LABELS_MAX]){shop, event, sv_of(identifier_text(id))});
}

void metrics_ledger(struct metrics *m, struct sv shop, const struct ledger_entry *e) {
    struct sv event = sv_of(event_name_text(event_name_of(e->event)));
    if (e->order.p)
        count(m, ORDER_REPORTS, (struct sv[LABELS_MAX]){shop, e->source, e->repeat ? SV("repeated") : SV("told")});
    if (e->repeat)
        return;
    count(m, META_EVENTS, (struct sv[LABELS_MAX]){shop, event, sv_of(meta_outcome_text(e->meta))});
    if (e->meta != META_SENT)
        return;
    count_identity(m, shop, event, e);
    if (!e->clicked || !sv_is(e->meta_event, "Purchase"))
        return;
    count(m, CLICKED, (struct sv[LABELS_MAX]){shop});
    if (e->identifiers[ID_FBC])
        count(m, CLICKED_FBC, (struct sv[LABELS_MAX]){shop});
}

void metrics_paused(struct metrics *m, struct sv shop, const char *account, bool paused) {
    int64_t *value = value_of(m, PAUSED, (struct sv[LABELS_MAX]){shop, sv_of(account)});
    if (value)
        __atomic_store_n(value, paused, __ATOMIC_RELAXED);
}

void metrics_order_violation(struct metrics *m) {
    __atomic_add_fetch(&m->order_violations, 1, __ATOMIC_RELAXED);
}

int64_t metrics_order_violations(struct metrics *m) {
    return __atomic_load_n(&m->order_violations, __ATOMIC_RELAXED);
}

void metrics_spooled(struct metrics *m, int64_t waiting) {
    __atomic_store_n(&m->spooled, waiting, __ATOMIC_RELAXED);
}

// ---- histograms

static void observe(struct histogram *h, int64_t number) {
    size_t i = 0;
    if (number < 0)
        number = 0;
    while (h->bounds[i] && number > h->bounds[i])
        i++;
    __atomic_add_fetch(&h->counts[i], 1, __ATOMIC_RELAXED);
    __atomic_add_fetch(&h->sum, number, __ATOMIC_RELAXED);
}

void metrics_ack(struct metrics *m, int64_t microseconds) {
    observe(&m->ack, microseconds);
}

void metrics_gap(struct metrics *m, int64_t milliseconds) {
    observe(&m->gap, milliseconds);
}

// ---- text form

static void write_head(struct buf *out, const char *name, const char *type, const char *help) {
    buf_fmt(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void write_label(struct buf *out, bool first, const char *name, struct sv value) {
    buf_fmt(out, "%s%s=\"", first ? "{" : ",", name);
    for (size_t i = 0; i < value.n; i++)
        switch (value.p[i]) {
        case '\\': buf_puts(out, "\\\\"); break;
        case '"': buf_puts(out, "\\\""); break;
        case '\n': buf_puts(out, "\\n"); break;
        default: buf_putc(out, value.p[i]);
        }
    buf_putc(out, '"');
}

static void write_family(struct metrics *m, enum family family, struct buf *out) {
    size_t n = __atomic_load_n(&m->series_count, __ATOMIC_ACQUIRE);
    write_head(out, families[family].name, families[family].type, families[family].help);
    for (size_t i = 0; i < n; i++) {
        const struct series *s = m->in_order[i];
        if (s->family != family)
            continue;
        buf_puts(out, families[family].name);
        for (size_t j = 0; j < LABELS_MAX && families[family].labels[j]; j++)
            write_label(out, j == 0, families[family].labels[j], s->labels[j]);
        buf_fmt(out, "} %" PRId64 "\n", __atomic_load_n(&s->value, __ATOMIC_RELAXED));
    }
}

// The count is the sum of the buckets as they were read, so that the two never disagree.
static void write_histogram(struct histogram *h, struct buf *out) {
    int64_t total = 0;
    size_t i = 0;
    write_head(out, h->name, "histogram", h->help);
    for (; h->bounds[i]; i++) {
        total += __atomic_load_n(&h->counts[i], __ATOMIC_RELAXED);
        buf_fmt(out, "%s_bucket{le=\"%g\"} %" PRId64 "\n", h->name, (double)h->bounds[i] * h->unit, total);
    }
    total += __atomic_load_n(&h->counts[i], __ATOMIC_RELAXED);
    buf_fmt(out, "%s_bucket{le=\"+Inf\"} %" PRId64 "\n", h->name, total);
    buf_fmt(out, "%s_sum %.6f\n", h->name, (double)__atomic_load_n(&h->sum, __ATOMIC_RELAXED) * h->unit);
    buf_fmt(out, "%s_count %" PRId64 "\n", h->name, total);
}

static const struct {
    const char *name, *help;
    size_t offset;
} gauge_table[] = {
    {"fireorder_pending", "Accepted webhooks that are not finished.", offsetof(struct metrics_gauges, pending)},
    {"fireorder_dead", "Webhooks in the dead letter.", offsetof(struct metrics_gauges, dead)},
    {"fireorder_oldest_pending_seconds", "Age of the oldest webhook that is not finished.", offsetof(struct metrics_gauges, oldest_pending_seconds)},
};

static void write_gauges(const struct metrics_gauges *gauges, size_t n, struct buf *out) {
    for (size_t i = 0; i < COUNTOF(gauge_table); i++) {
        write_head(out, gauge_table[i].name, "gauge", gauge_table[i].help);
        for (size_t j = 0; j < n; j++) {
            int64_t value;
            memcpy(&value, (const char *)&gauges[j] + gauge_table[i].offset, sizeof value);
            buf_puts(out, gauge_table[i].name);
            write_label(out, true, "shop", gauges[j].shop);
            buf_fmt(out, "} %" PRId64 "\n", value);
        }
    }
}

void metrics_write(struct metrics *m, const struct metrics_gauges *gauges, size_t n, struct buf *out) {
    for (enum family family = 0; family < FAMILY_COUNT; family++)
        write_family(m, family, out);
    write_gauges(gauges, n, out);
    write_histogram(&m->ack, out);
    write_histogram(&m->gap, out);
    write_head(out, "fireorder_spooled", "gauge", "Accepted webhooks that wait in the spool for the store.");
    buf_fmt(out, "fireorder_spooled %" PRId64 "\n", __atomic_load_n(&m->spooled, __ATOMIC_RELAXED));
    write_head(out, "fireorder_order_violations_total", "counter", "Klaviyo requests that were about to overtake Meta's outcome; must stay 0.");
    buf_fmt(out, "fireorder_order_violations_total %" PRId64 "\n", metrics_order_violations(m));
}
