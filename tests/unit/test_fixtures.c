// Every fixture, whole: the canonical events it becomes and the body that each destination gets, byte for byte, as its
// expected.json says. UPDATE_FIXTURES=1 in the environment rewrites those files instead; read what changed before keeping it.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/file.h"
#include "base/clock.h"
#include "handlers/source.h"
#include "server/config/config.h"
#include "server/commands/fixture.h"
#include "server/dispatch/plan.h"

#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NOW_MS INT64_C(1795262400000)  // 2026-11-21T12:00:00Z: the recordings are at most three days old
#define FOLDERS_MOST 256
#define FILE_MOST ((size_t)1 << 20)

struct recorded {
    struct fixture fixture;
    char *folder;
    struct config *config;  // the sample shop, and over it what shop.yaml says
    const struct shop *shop;
    struct decoded decoded;
};

struct suite {
    struct arena arena;
    struct recorded recorded[FOLDERS_MOST];
    size_t count;
};

static void read_recorded(struct suite *s, struct recorded *r, struct sv path) {
    struct buf faults;
    struct err e;
    buf_init(&faults, 1 << 16);
    r->folder = arena_cstr(&s->arena, sv_sub(path, 0, path.n - strlen("/request.json")));
    if (fixture_read(&s->arena, r->folder, &r->fixture, &e))
        fail_msg("%s", e.text);
    if (config_sample(r->fixture.shop, &r->config, &faults, &e))
        fail_msg("%s: %s", r->folder, buf_cstr(&faults));
    buf_free(&faults);
    r->shop = &r->config->shops[0];
    fixture_decode(&s->arena, &r->fixture, r->shop, &r->decoded);
}

static int set_up(void **state) {
    struct suite *s = calloc(1, sizeof *s);
    glob_t found;
    arena_init(&s->arena, (size_t)64 << 20);
    assert_int_equal(glob(SOURCE_DIR "/fixtures/*/*/*/*/request.json", 0, NULL, &found), 0);
    assert_int_equal(glob(SOURCE_DIR "/fixtures/events/*/*/request.json", GLOB_APPEND, NULL, &found), 0);
    assert_in_range(found.gl_pathc, 30, FOLDERS_MOST);
    for (size_t i = 0; i < found.gl_pathc; i++)
        read_recorded(s, &s->recorded[s->count++], sv_of(found.gl_pathv[i]));
    globfree(&found);
    *state = s;
    return 0;
}

static int tear_down(void **state) {
    struct suite *s = *state;
    bool fine = arena_ok(&s->arena);
    for (size_t i = 0; i < s->count; i++)
        config_drop(s->recorded[i].config);
    arena_free(&s->arena);
    free(s);
    return fine ? 0 : -1;
}

// ---- the file: JSON for people, without loss

static bool is_scalar(const struct json *node) {
    return node->type != JSON_ARRAY && node->type != JSON_OBJECT;
}

static bool fits_a_line(const struct json *node) {
    if (node->type == JSON_OBJECT)
        return node->count == 0;
    JSON_EACH(item, node)
        if (!is_scalar(item))
            return false;
    return true;
}

static void put_line(struct buf *out, int indent) {
    buf_fmt(out, "\n%*s", indent, "");
}

static void put_node(struct buf *out, const struct json *node, int indent) {
    if (is_scalar(node) || fits_a_line(node)) {
        struct jw w;
        jw_init(&w, out);
        jw_node(&w, node);
        return;
    }
    bool object = node->type == JSON_OBJECT;
    buf_putc(out, object ? '{' : '[');
    JSON_EACH(item, node) {
        put_line(out, indent + 2);
        if (object) {
            struct jw w;
            jw_init(&w, out);
            jw_key_sv(&w, item->key);
            buf_putc(out, ' ');
        }
        put_node(out, item, indent + 2);
        if (item->next)
            buf_putc(out, ',');
    }
    put_line(out, indent);
    buf_putc(out, object ? '}' : ']');
}

// add_body: as it is sent. The file shows it with spaces; that this hides nothing is checked by writing it again without.
static void add_body(struct jw *w, struct arena *a, struct sv body) {
    struct json *tree;
    struct err e;
    struct buf again;
    struct jw plain;
    if (json_parse(a, body, &tree, &e))
        fail_msg("a body is not JSON: %s", e.text);
    buf_init(&again, FILE_MOST);
    jw_init(&plain, &again);
    jw_node(&plain, tree);
    assert_true(sv_eq(buf_sv(&again), body));
    buf_free(&again);
    jw_node(w, tree);
}

// ---- what a fixture becomes

static void add_steps(struct jw *w, struct suite *s, struct plan *p, size_t step) {
    static const struct outcome taken = {.kind = OUTCOME_SENT};
    static const char *const keys[PLAN_STEPS] = {"meta", "profile", "klaviyo", "list"};
    jw_key(w, keys[step]);
    jw_open(w, '[');
    for (size_t i = 0; i < p->event_count; i++) {
        struct step *now = &p->events[i].steps[step];
        if (step_decided(now)) {
            jw_open(w, '{');
            jw_member(w, step_state_text(now->state), now->reason);
            jw_close(w, '}');
            continue;
        }
        (void)plan_tell(&s->arena, p, i, step);
        assert_true(sv_present(now->draft.body));
        add_body(w, &s->arena, now->draft.body);
        plan_outcome(&s->arena, p, i, step, &taken, NOW_MS, 0);
    }
    jw_close(w, ']');
}

static struct sv became(struct suite *s, const struct recorded *r) {
    struct buf compact, pretty;
    struct jw w;
    struct json *tree;
    struct plan plan;
    buf_init(&compact, FILE_MOST);
    buf_init(&pretty, FILE_MOST);
    jw_init(&w, &compact);
    jw_open(&w, '{');
    jw_member(&w, "ignored", r->decoded.ignored);
    jw_member(&w, "undecodable", r->decoded.undecodable);
    if (r->decoded.count > 0) {
        jw_key(&w, "events");
        jw_open(&w, '[');
        for (size_t i = 0; i < r->decoded.count; i++)
            event_write(&w, &r->decoded.events[i]);
        jw_close(&w, ']');
        plan_make(&s->arena, r->shop, &r->decoded, NOW_MS, &plan);
        for (size_t step = 0; step < PLAN_STEPS; step++)
            add_steps(&w, s, &plan, step);
    }
    jw_close(&w, '}');
    assert_int_equal(json_parse(&s->arena, arena_dup(&s->arena, buf_sv(&compact)), &tree, NULL), RC_OK);
    put_node(&pretty, tree, 0);
    buf_putc(&pretty, '\n');
    assert_true(buf_ok(&pretty));
    struct sv text = arena_dup(&s->arena, buf_sv(&pretty));
    buf_free(&compact);
    buf_free(&pretty);
    return text;
}

static void keep(const char *path, struct sv text) {
    FILE *f = fopen(path, "wb");
    if (!f || fwrite(text.p, 1, text.n, f) != text.n || fclose(f) != 0)
        fail_msg("%s cannot be written", path);
}

// show_first_difference: the lines where they part.
static void show_first_difference(const char *path, struct sv expected, struct sv text) {
    struct sv line = SV_NONE, wanted = SV_NONE;
    size_t number = 0;
    do {
        sv_cut(text, '\n', &line, &text);
        sv_cut(expected, '\n', &wanted, &expected);
        number++;
    } while (sv_eq(line, wanted) && (text.n > 0 || expected.n > 0));
    print_error("%s:%zu\n  is       " SV_FMT "\n  expected " SV_FMT "\n", path, number, SV_ARG(line), SV_ARG(wanted));
}

static void each_fixture_becomes_what_its_file_says(void **state) {
    struct suite *s = *state;
    bool update = getenv("UPDATE_FIXTURES") != NULL;
    size_t different = 0;
    for (size_t i = 0; i < s->count; i++) {
        const char *path = arena_fmt(&s->arena, "%s/expected.json", s->recorded[i].folder).p;
        struct sv text = became(s, &s->recorded[i]), expected;
        struct err e;
        if (update) {
            keep(path, text);
        } else if (file_read(&s->arena, path, FILE_MOST, &expected, &e)) {
            print_error("%s\n", e.text);
            different++;
        } else if (!sv_eq(text, expected)) {
            show_first_difference(path, expected, text);
            different++;
        }
    }
    assert_int_equal(different, 0);
}

// ---- what no file may ever say

// texts_in calls see() for every string of a tree.
static void texts_in(const struct json *node, void (*see)(struct suite *s, const struct recorded *r, struct sv text), struct suite *s,
                     const struct recorded *r) {
    if (node->type == JSON_STRING)
        see(s, r, node->text);
    JSON_EACH(item, node)
        texts_in(item, see, s, r);
}

static void not_the_buyer(struct suite *s, const struct recorded *r, struct sv text) {
    (void)s;
    for (size_t i = 0; i < r->decoded.count; i++) {
        const struct user *u = &r->decoded.events[i].user;
        const struct sv secret[] = {u->email, u->phone, u->first_name, u->last_name, u->address1, u->city, u->zip, u->external_id};
        for (size_t k = 0; k < COUNTOF(secret); k++)
            if (sv_present(secret[k]) && sv_eq_nocase(sv_trim(secret[k]), text))
                fail_msg("%s: personal data in the Meta body", r->folder);
    }
    if (sv_contains_nocase(text, SV("@")) || sv_contains_nocase(text, SV("e3b0c44298fc1c149afbf4c8996fb924")))
        fail_msg("%s: an address or the hash of nothing in the Meta body", r->folder);
}

static void meta_learns_nobody(void **state) {
    struct suite *s = *state;
    size_t seen = 0;
    for (size_t i = 0; i < s->count; i++) {
        struct plan plan;
        struct recorded *r = &s->recorded[i];
        plan_make(&s->arena, r->shop, &r->decoded, NOW_MS, &plan);
        for (size_t k = 0; k < plan.event_count; k++) {
            struct json *tree;
            if (step_decided(&plan.events[k].steps[0]))
                continue;
            assert_int_equal(json_parse(&s->arena, plan.events[k].steps[0].draft.body, &tree, NULL), RC_OK);
            texts_in(tree, not_the_buyer, s, r);
            seen++;
        }
    }
    assert_in_range(seen, 10, FOLDERS_MOST);
}

static void no_secret_is_in_a_body(void **state) {
    struct suite *s = *state;
    for (size_t i = 0; i < s->count; i++) {
        struct sv text = became(s, &s->recorded[i]);
        assert_false(sv_contains_nocase(text, SV("not-a-secret")));
    }
}

// ---- docs/fixtures.md: which fixture shows which event

static const struct recorded *recorded_in(const struct suite *s, struct sv folder) {
    for (size_t i = 0; i < s->count; i++)
        if (sv_ends(sv_of(s->recorded[i].folder), folder))
            return &s->recorded[i];
    return NULL;
}

// cell takes the next one off a row, without the marks around a word.
static struct sv cell(struct sv *row) {
    struct sv text, before, rest;
    sv_cut(*row, '|', &text, row);
    text = sv_trim(text);
    if (sv_starts(text, SV("`")))
        return sv_sub(text, 1, text.n - 2);
    if (sv_starts(text, SV("[")) && sv_cut(text, ']', &before, &rest))
        return sv_sub(before, 1, before.n);
    return text;
}

static void assert_says(struct suite *s, struct sv body, const char *key, struct sv value) {
    struct sv line = arena_fmt(&s->arena, "\"%s\": \"" SV_FMT "\"", key, SV_ARG(value));
    bool wanted = !sv_is(value, "-");
    if (wanted != sv_contains_nocase(body, wanted ? line : arena_fmt(&s->arena, "\"%s\":", key)))
        fail_msg("docs/fixtures.md: not so: %s " SV_FMT, key, SV_ARG(value));
}

static void the_index_names_what_is_there(void **state) {
    struct suite *s = *state;
    struct sv document, line;
    struct err e;
    bool seen[EVENT_NAME_COUNT] = {false};
    assert_int_equal(file_read(&s->arena, SOURCE_DIR "/docs/fixtures.md", FILE_MOST, &document, &e), RC_OK);
    while (sv_cut(document, '\n', &line, &document)) {
        if (!sv_starts(line, SV("| `")))
            continue;
        line = sv_sub(line, 1, line.n);
        struct sv event = cell(&line), meta = cell(&line), metric = cell(&line), folder = cell(&line);
        const struct recorded *r = recorded_in(s, arena_fmt(&s->arena, "/fixtures/" SV_FMT, SV_ARG(folder)));
        if (!r || r->decoded.count == 0 || r->decoded.events[0].name != event_name_of(event))
            fail_msg("docs/fixtures.md: " SV_FMT " is not shown by " SV_FMT, SV_ARG(event), SV_ARG(folder));
        struct sv body = became(s, r);
        assert_says(s, body, "event_name", meta);
        assert_says(s, body, sv_is(metric, "-") ? "metric" : "name", metric);
        seen[event_name_of(event)] = true;
    }
    for (enum event_name name = 0; name < EVENT_NAME_COUNT; name++)
        if (!seen[name])
            fail_msg("docs/fixtures.md: %s is missing", event_name_text(name));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_fixture_becomes_what_its_file_says),
        cmocka_unit_test(meta_learns_nobody),
        cmocka_unit_test(no_secret_is_in_a_body),
        cmocka_unit_test(the_index_names_what_is_there),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
