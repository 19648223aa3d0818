// A shop's mapping file. Input: its text.
// Either it has faults, each with file and line, or an event of every name can be sent by it.
#include "base/file.h"
#include "tests/fuzz/shop.h"

#include <glob.h>

static struct arena kept;       // the events, for the life of the process
static struct event *events[EVENT_NAME_COUNT];

// One recorded event of every name.
static void read_events(void) {
    glob_t found;
    struct sv body;
    if (kept.limit > 0)
        return;
    arena_init(&kept, MEMORY);
    CHECK(glob(SOURCE_DIR "/fixtures/events/*/*/request.json", 0, NULL, &found) == 0);
    for (size_t i = 0; i < found.gl_pathc; i++) {
        struct decoded d;
        struct part *parts;
        size_t n;
        if (file_read(&kept, found.gl_pathv[i], 1 << 20, &body, NULL) != RC_OK ||
            source_events.split(&kept, sample_shop(), body, NOW_MS, &parts, &n, NULL) != RC_OK || n == 0 || !parts[0].topic)
            continue;
        source_decode(&kept, &source_events, sample_shop(), sv_of(parts[0].topic->name), parts[0].body, &d);
        if (d.count > 0)
            events[d.events[0].name] = &d.events[0];
    }
    globfree(&found);
    CHECK(events[EVENT_PURCHASE] && events[EVENT_SEARCH] && events[EVENT_CUSTOM]);
}

static void check_lines(struct sv text) {
    while (text.n > 0) {
        struct sv line = first_line(&text), file, rest, number;
        int64_t n;
        CHECK(sv_cut(line, ':', &file, &rest) && sv_is(file, "own.yaml"));
        CHECK(sv_cut(rest, ':', &number, &rest) && sv_i64(number, &n) && n >= 1 && sv_present(sv_trim(rest)));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct arena a;
    struct buf text;
    struct faults faults = {.out = &text};
    read_events();
    arena_init(&a, MEMORY);
    buf_init(&text, 1 << 20);
    const struct rules *rules = rules_compile(&a, input_of(data, size), "own.yaml", &faults);
    CHECK((rules != NULL) == (faults.count == 0));
    CHECK(buf_ok(&text));
    check_lines(buf_sv(&text));
    struct shop shop = *sample_shop();
    shop.rules = rules;
    for (size_t i = 0; rules && i < EVENT_NAME_COUNT; i++) {
        if (!events[i])
            continue;
        struct event e = *events[i];
        checked_plan(&a, &shop, &(struct decoded){.events = &e, .count = 1});
    }
    buf_free(&text);
    arena_free(&a);
    return 0;
}
