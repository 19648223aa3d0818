// People's own events: a request as it is checked before it is acknowledged. Input: its body.
// Every part lies in the body; one without faults decodes to an event, one with faults says what they are.
#include "tests/fuzz/shop.h"

static void check_part(struct arena *a, const struct shop *shop, const struct part *part, struct sv body) {
    struct decoded d;
    CHECK(part->body.p >= body.p && part->body.p + part->body.n <= body.p + body.n);
    CHECK((part->topic != NULL) == (part->fault_count == 0));
    for (size_t i = 0; i < part->fault_count; i++)
        CHECK(sv_present(part->faults[i]));
    if (!part->topic)
        return;
    CHECK(sv_present(part->id));
    source_decode(a, &source_events, shop, sv_of(part->topic->name), part->body, &d);
    CHECK(d.count == 1 || sv_present(d.ignored));
    CHECK(d.count == 0 || (sv_eq(d.events[0].id, part->id) && d.events[0].name == part->topic->event));
    checked_plan(a, shop, &d);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct arena a;
    struct sv body = input_of(data, size);
    struct part *parts = NULL;
    struct err e = {0};
    size_t n = 0;
    arena_init(&a, MEMORY);
    enum rc rc = source_events.split(&a, sample_shop(), body, NOW_MS, &parts, &n, &e);
    CHECK(rc == RC_OK ? n <= PARTS_MAX : e.text[0] != '\0');
    for (size_t i = 0; rc == RC_OK && i < n && i < 8; i++)
        check_part(&a, sample_shop(), &parts[i], body);
    arena_free(&a);
    return 0;
}
