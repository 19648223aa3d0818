// Every topic of every source. Input: a line "source topic", then the body; a line that names no topic chooses one by its bytes.
// The quick reading before the acknowledgement and the full one agree; the events are JSON in the published form that reads as itself
// where it is within the limits; what is sent for them is JSON; and the same bytes give the same events.
#include "mapping/event_read.h"
#include "tests/fuzz/shop.h"

static const struct topic *topic_by(struct sv line, const struct source **ret_source) {
    struct sv name, topic;
    sv_cut(line, ' ', &name, &topic);
    *ret_source = source_named(name);
    const struct topic *known = *ret_source && topic.p ? source_topic(*ret_source, topic) : NULL;
    if (known)
        return known;
    size_t all = 0, chosen;
    for (size_t i = 0; i < source_count; i++)
        all += sources[i]->topic_count;
    chosen = choice(line, all);
    for (size_t i = 0;; chosen -= sources[i++]->topic_count)
        if (chosen < sources[i]->topic_count) {
            *ret_source = sources[i];
            return &sources[i]->topics[chosen];
        }
}

static void check_event(struct arena *a, const struct event *e, bool own) {
    struct event *again = ARENA_NEW(a, struct event);
    struct event_faults *faults = ARENA_NEW(a, struct event_faults);
    struct sv text = event_text(a, e);
    CHECK(sv_present(e->id) && e->time_ms != 0);
    event_read(a, checked_json(a, text), again, faults);
    CHECK(faults->count == 0 || !own);
    if (faults->count > 0)
        return;  // senders may say more than people may
    struct sv read = event_text(a, again);
    CHECK(sv_eq_nocase(read, text));  // the currency is in capitals now
    event_read(a, checked_json(a, read), again, faults);
    CHECK(sv_eq(event_text(a, again), read));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct arena a;
    struct sv body = input_of(data, size), line = first_line(&body);
    const struct source *source;
    const struct topic *topic = topic_by(line, &source);
    const struct shop *shop = sample_shop();
    struct identity identities[IDENTITIES_MAX];
    struct decoded d, twice;
    size_t n;
    arena_init(&a, MEMORY);
    enum rc scanned = source_scan(&a, topic, body, identities, &n, NULL);
    CHECK(n <= IDENTITIES_MAX);
    for (size_t i = 0; scanned == RC_OK && i < n; i++)
        CHECK(sv_present(identities[i].value));
    source_decode(&a, source, shop, sv_of(topic->name), body, &d);
    CHECK(scanned == RC_OK || d.undecodable.p);
    CHECK((d.count > 0) + (d.ignored.p != NULL) + (d.undecodable.p != NULL) == 1);
    source_decode(&a, source, shop, sv_of(topic->name), body, &twice);
    CHECK(twice.count == d.count && sv_eq(d.ignored, twice.ignored) && sv_eq(d.undecodable, twice.undecodable));
    for (size_t i = 0; i < d.count; i++) {
        CHECK(sv_eq(event_text(&a, &d.events[i]), event_text(&a, &twice.events[i])));
        check_event(&a, &d.events[i], source == &source_events);
    }
    if (d.count > 0)
        checked_plan(&a, shop, &d);
    arena_free(&a);
    return 0;
}
