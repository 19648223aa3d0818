// The JSON reader (scan and tree must agree on every document) and the writer.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/json.h"

#include <stdlib.h>
#include <string.h>

#define assert_sv(got, want) assert_true(sv_is((got), (want)))

struct fixture {
    struct arena arena;
    struct buf buf;
    struct err err;
};

static int setup(void **state) {
    struct fixture *f = calloc(1, sizeof *f);
    assert_non_null(f);
    arena_init(&f->arena, 64 << 20);
    buf_init(&f->buf, 16 << 20);
    *state = f;
    return 0;
}

static int teardown(void **state) {
    struct fixture *f = *state;
    arena_free(&f->arena);
    buf_free(&f->buf);
    free(f);
    return 0;
}

// read_both: the bytes are copied to a block of exactly their size, so that a read past the end is caught.
static enum rc read_both(struct fixture *f, struct sv bytes, struct json **ret) {
    char *exact = malloc(bytes.n ? bytes.n : 1);
    assert_non_null(exact);
    memcpy(exact, bytes.p, bytes.n);
    struct sv text = {exact, bytes.n};
    enum json_type top = JSON_NULL;
    enum rc scanned = json_scan(text, NULL, NULL, &top, NULL);
    free(exact);

    struct json *tree = NULL;
    enum rc parsed = json_parse(&f->arena, arena_dup(&f->arena, bytes), &tree, &f->err);
    assert_int_equal(scanned, parsed);
    assert_int_equal(tree != NULL, parsed == RC_OK);
    if (tree)
        assert_int_equal(tree->type, top);
    if (ret)
        *ret = tree;
    return parsed;
}

static const struct sv well_formed[] = {
    SV("{}"), SV("[]"), SV(" \t\r\n{ \"a\" : [ 1 , 2 ] } \n"), SV("0"), SV("-0"), SV("1e5"), SV("1E+5"), SV("-12.50e-03"),
    SV("820982911946154508"), SV("123456789012345678901234567890.123456789012345678901234567890"), SV("true"), SV("false"),
    SV("null"), SV("\"\""), SV("\"plain, long enough for several words at once\""), SV("{\"a\":1,\"a\":2}"), SV("{\"\":1}"),
    SV("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e4\\uD83D\\uDE00\""), SV("\"\x7F\""),
    SV("\"\xC2\x80 \xDF\xBF \xE0\xA0\x80 \xED\x9F\xBF \xEE\x80\x80 \xEF\xBF\xBF \xF0\x90\x80\x80 \xF4\x8F\xBF\xBF\""),
};

static const struct sv malformed[] = {
    // Around the value.
    SV(""), SV("  "), SV("{}x"), SV("{}{}"), SV("{},"), SV("{}\x80"), SV("{}\0"), SV("\0{}"), SV("{\0}"), SV("\xEF\xBB\xBF{}"),
    SV("{}\v"), SV("\xC2\xA0{}"), SV("/* no */{}"),
    // Structure.
    SV("{"), SV("["), SV("}"), SV("[1"), SV("[1,"), SV("[1,]"), SV("[,1]"), SV("[1 2]"), SV("[1}"), SV("{\"a\"}"), SV("{\"a\":}"),
    SV("{\"a\":1,}"), SV("{\"a\" 1}"), SV("{\"a\":1]"), SV("{a:1}"), SV("{1:1}"), SV("{\"a"), SV("{\"a\""), SV("{\"a\":"),
    SV("{\"a\":1"),
    // Words and numbers.
    SV("tru"), SV("True"), SV("nulll"), SV("NaN"), SV("Infinity"), SV("01"), SV("-01"), SV("1."), SV(".1"), SV("1.e5"), SV("+1"),
    SV("-"), SV("--1"), SV("1e"), SV("1e+"), SV("0x1"), SV("1_0"), SV("[1.]"),
    // Strings.
    SV("\""), SV("\"abc"), SV("\"abcdefghijklmnopqrstuvwxyz"), SV("'a'"), SV("\"a\nb\""), SV("\"abcdefg\x1F\""), SV("\"a\0b\""),
    SV("\"\\u0000\""), SV("{\"\\u0000\":1}"), SV("\"\\x41\""), SV("\"\\"), SV("\"\\\""), SV("\"\\u12\""), SV("\"\\u12G4\""),
    SV("\"\\u+123\""), SV("\"\\U0041\""), SV("\"\\\xC3\xA4\""), SV("\"\\uD800\""), SV("\"\\uDC00\""), SV("\"\\uDE00\\uD83D\""),
    SV("\"\\uD83Dx\""), SV("\"\\uD83D\\n\""), SV("\"\\uD83D\\u0041\""), SV("\"\\uD83D\\uD83D\""), SV("\"\\uD83D\\uDE0"),
    SV("\"\\uD83D\\uDBFF\""), SV("\"\\uD83D\\uE000\""),
    // UTF-8.
    SV("\"\x80\""), SV("\"\xFF\""), SV("\"\xFE\""), SV("\"\xC3\""), SV("\"\xC3"), SV("\"\xC3\xC3\""), SV("\"\xC0\xAF\""),
    SV("\"\xC1\xBF\""), SV("\"\xE0\x9F\xBF\""), SV("\"\xE2\x82\""), SV("\"\xE2\x82"), SV("\"\xED\xA0\x80\""),
    SV("\"\xED\xBF\xBF\""), SV("\"\xF0\x8F\xBF\xBF\""), SV("\"\xF0\x9F\x98\""), SV("\"\xF4\x90\x80\x80\""),
    SV("\"\xF5\x80\x80\x80\""), SV("{\"\xC0\x80\":1}"),
};

static void expect(struct fixture *f, const struct sv *texts, size_t n, enum rc want) {
    for (size_t i = 0; i < n; i++) {
        enum rc rc = read_both(f, texts[i], NULL);
        if (rc != want)
            fail_msg("document %zu " SV_FMT ": rc %d, %s", i, SV_ARG(texts[i]), (int)rc, f->err.text);
    }
}

static void documents_are_judged(void **state) {
    expect(*state, well_formed, COUNTOF(well_formed), RC_OK);
    expect(*state, malformed, COUNTOF(malformed), RC_INVALID);
}

static void absent_bytes_are_an_empty_document(void **state) {
    struct fixture *f = *state;
    struct json *tree;
    enum json_type top;
    assert_int_equal(json_scan(SV_NONE, NULL, NULL, &top, &f->err), RC_INVALID);
    assert_int_equal(json_parse(&f->arena, SV_NONE, &tree, &f->err), RC_INVALID);
    assert_null(tree);
}

static void errors_say_where_but_not_what(void **state) {
    struct fixture *f = *state;
    assert_int_equal(read_both(f, SV("{\"secret\":1.}"), NULL), RC_INVALID);
    assert_string_equal(f->err.text, "JSON: a malformed number at byte 10");
    assert_int_equal(f->err.code, RC_INVALID);
    assert_int_equal(read_both(f, SV("{\"secret\":"), NULL), RC_INVALID);
    assert_string_equal(f->err.text, "JSON: the text ends too early at byte 10");
}

static struct sv nested(struct fixture *f, size_t depth, char open, const char *inner, char close) {
    buf_reset(&f->buf);
    for (size_t i = 0; i < depth; i++) {
        buf_putc(&f->buf, open);
        if (open == '{' && i + 1 < depth)
            buf_puts(&f->buf, "\"k\":");
    }
    buf_puts(&f->buf, inner);
    for (size_t i = 0; i < depth; i++)
        buf_putc(&f->buf, close);
    return arena_dup(&f->arena, buf_sv(&f->buf));
}

static void depth_is_limited(void **state) {
    struct fixture *f = *state;
    assert_int_equal(read_both(f, nested(f, 64, '[', "", ']'), NULL), RC_OK);
    assert_int_equal(read_both(f, nested(f, 64, '[', "1", ']'), NULL), RC_OK);
    assert_int_equal(read_both(f, nested(f, 65, '[', "", ']'), NULL), RC_TOO_LARGE);
    assert_int_equal(read_both(f, nested(f, 64, '{', "", '}'), NULL), RC_OK);
    assert_int_equal(read_both(f, nested(f, 65, '{', "", '}'), NULL), RC_TOO_LARGE);
    assert_int_equal(read_both(f, nested(f, 100000, '[', "", ']'), NULL), RC_TOO_LARGE);
}

static struct sv zeros(struct fixture *f, size_t n) {
    buf_reset(&f->buf);
    for (size_t i = 0; i < n; i++)
        buf_puts(&f->buf, i ? ",0" : "[0");
    buf_putc(&f->buf, ']');
    return buf_sv(&f->buf);
}

static void nodes_are_limited(void **state) {
    struct fixture *f = *state;
    struct json *tree;
    assert_int_equal(read_both(f, zeros(f, 199999), &tree), RC_OK);
    assert_int_equal(tree->count, 199999);
    assert_int_equal(read_both(f, zeros(f, 200000), NULL), RC_TOO_LARGE);
}

static void the_arena_limits_the_tree(void **state) {
    struct fixture *f = *state;
    struct arena small;
    arena_init(&small, 10000);
    struct json *tree;
    assert_int_equal(json_parse(&small, zeros(f, 10000), &tree, &f->err), RC_TOO_LARGE);
    assert_null(tree);
    arena_free(&small);
}

// The texts and what was copied outlive the nodes.
static void the_nodes_may_end_first(void **state) {
    struct fixture *f = *state;
    struct arena nodes, small;
    struct json *tree;
    arena_init(&nodes, 1 << 20);
    struct sv bytes = arena_dup(&f->arena, SV("{\"a\":\"x\\ty\",\"kept\":{\"list\":[1,{\"deep\":\"\\u0041\"},[]],\"no\":null},\"z\":2}"));
    assert_int_equal(json_parse_apart(&f->arena, &nodes, bytes, &tree, &f->err), RC_OK);
    struct sv text = json_str(tree, "a");
    struct json *copy = json_copy(&f->arena, json_get(tree, "kept"));
    arena_free(&nodes);
    assert_sv(text, "x\ty");
    assert_sv(copy->key, "kept");
    assert_null(copy->next);
    struct jw w;
    jw_init(&w, &f->buf);
    jw_node(&w, copy);
    assert_string_equal(buf_cstr(&f->buf), "{\"list\":[1,{\"deep\":\"A\"},[]],\"no\":null}");

    arena_init(&small, 10000);
    assert_int_equal(json_parse_apart(&f->arena, &small, zeros(f, 10000), &tree, &f->err), RC_TOO_LARGE);
    assert_null(tree);
    arena_free(&small);
}

static void the_tree_holds_what_was_written(void **state) {
    struct fixture *f = *state;
    struct json *tree;
    assert_int_equal(read_both(f, SV("{\"id\":820982911946154508,\"total\":\"19.90\",\"rate\":1.10,\"ok\":true,\"no\":false,\"none\":null,"
                                     "\"empty\":\"\",\"customer\":{\"default_address\":{\"city\":\"Berlin\"}},"
                                     "\"lines\":[{\"sku\":\"A\"},{\"sku\":\"B\"}],\"id\":2,\"\\u0069d2\":3,\"a.b\":4}"), &tree), RC_OK);
    assert_int_equal(tree->count, 12);
    assert_sv(json_str(tree, "id"), "820982911946154508");
    assert_sv(json_str(tree, "total"), "19.90");
    assert_sv(json_str(tree, "rate"), "1.10");
    assert_sv(json_str(tree, "ok"), "true");
    assert_sv(json_str(tree, "no"), "false");
    assert_sv(json_str(tree, "id2"), "3");
    assert_sv(json_str(tree, "customer.default_address.city"), "Berlin");
    assert_sv(json_text(json_get(tree, "empty")), "");
    assert_non_null(json_text(json_get(tree, "empty")).p);
    static const char *const absent[] = {"none", "empty", "customer", "lines", "missing", "id.x", "customer.x.y", "a.b", "", ".", "customer."};
    for (size_t i = 0; i < COUNTOF(absent); i++)
        assert_null(json_str(tree, absent[i]).p);
    assert_null(json_str(NULL, "id").p);
    assert_null(json_get(NULL, "id"));
    assert_null(json_at(tree, NULL));

    const struct json *lines = json_get(tree, "lines");
    assert_true(json_is_array(lines) && !json_is_object(lines));
    assert_int_equal(lines->count, 2);
    size_t n = 0;
    JSON_EACH(line, lines) {
        assert_null(line->key.p);
        assert_sv(json_str(line, "sku"), n++ ? "B" : "A");
    }
    assert_int_equal(n, 2);
    JSON_EACH(nothing, json_get(tree, "missing"))
        fail_msg("an absent node has a child of type %d", (int)nothing->type);
}

static void strings_are_decoded(void **state) {
    struct fixture *f = *state;
    static const struct {
        const char *text, *want;
    } rows[] = {
        {"\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", "\"\\/\b\f\n\r\t"},
        {"\"a\\u00e4\\u00DFz\"", "a\xC3\xA4\xC3\x9Fz"},
        {"\"\\u007f\\u0080\\u07ff\\u0800\\uffff\"", "\x7F\xC2\x80\xDF\xBF\xE0\xA0\x80\xEF\xBF\xBF"},
        {"\"\\ud83d\\uDE00\\uD800\\uDC00\\udbff\\udfff\"", "\xF0\x9F\x98\x80\xF0\x90\x80\x80\xF4\x8F\xBF\xBF"},
        {"\"\xF0\x9F\x98\x80 raw \\n and escaped\"", "\xF0\x9F\x98\x80 raw \n and escaped"},
        {"\"\\\\u0000\"", "\\u0000"},
    };
    for (size_t i = 0; i < COUNTOF(rows); i++) {
        struct json *tree;
        assert_int_equal(read_both(f, sv_of(rows[i].text), &tree), RC_OK);
        assert_sv(json_text(tree), rows[i].want);
    }
}

static void plain_strings_are_views(void **state) {
    struct fixture *f = *state;
    struct sv bytes = SV("{\"key\":\"value\"}");
    struct json *tree;
    assert_int_equal(json_parse(&f->arena, bytes, &tree, &f->err), RC_OK);
    assert_ptr_equal(tree->child->key.p, bytes.p + 2);
    assert_ptr_equal(tree->child->text.p, bytes.p + 8);
}

static void truth_is_recognised(void **state) {
    struct fixture *f = *state;
    static const struct {
        const char *text;
        bool want;
    } rows[] = {
        {"true", true}, {"1", true}, {"\"true\"", true}, {"\"1\"", true}, {"false", false}, {"0", false}, {"\"false\"", false},
        {"\"\"", false}, {"null", false}, {"[]", false}, {"{}", false}, {"10", false}, {"\"yes\"", false},
    };
    for (size_t i = 0; i < COUNTOF(rows); i++) {
        struct json *tree;
        assert_int_equal(read_both(f, sv_of(rows[i].text), &tree), RC_OK);
        assert_int_equal(json_is_true(tree), rows[i].want);
    }
    assert_false(json_is_true(NULL));
}

// note: one line per scalar: path, type, ! for escapes, text.
static void note(void *ctx, const struct json_scalar *s) {
    struct buf *out = ctx;
    for (size_t i = 0; i < s->depth; i++) {
        if (s->path[i].p)
            buf_put(out, s->path[i]);
        else
            buf_putc(out, '#');
        buf_putc(out, '/');
    }
    buf_fmt(out, "%d%s", (int)s->type, s->has_escape ? "!" : "");
    buf_putc(out, ' ');
    buf_put(out, s->text);
    buf_putc(out, '\n');
}

static void scan_reports_scalars_with_their_path(void **state) {
    struct fixture *f = *state;
    static const struct {
        const char *text, *want;
        enum json_type top;
    } rows[] = {
        {"{\"id\":820982911946154508,\"email\":\"a@b.c\"}", "id/3 820982911946154508\nemail/4 a@b.c\n", JSON_OBJECT},
        {"{\"a\":{\"b\":[1,{\"c\":true}],\"d\":null},\"e\":false}", "a/b/#/3 1\na/b/#/c/2 true\na/d/0 null\ne/1 false\n", JSON_OBJECT},
        {"{\"a\":\"x\\ny\",\"a\":\"\"}", "a/4! x\\ny\na/4 \n", JSON_OBJECT},
        {"[[],{}]", "", JSON_ARRAY},
        {"[[1],2]", "#/#/3 1\n#/3 2\n", JSON_ARRAY},
        {" \"top\"", "4 top\n", JSON_STRING},
        {"-1", "3 -1\n", JSON_NUMBER},
        {"true", "2 true\n", JSON_TRUE},
        {"false", "1 false\n", JSON_FALSE},
        {"null", "0 null\n", JSON_NULL},
        {"[[[[[[[{\"k\":8,\"l\":[9]}]]]]]]]", "#/#/#/#/#/#/#/k/3 8\n", JSON_ARRAY},
        {"{\"a\":[[[[[[[[[9]]]]]]]]],\"z\":1}", "z/3 1\n", JSON_OBJECT},
    };
    for (size_t i = 0; i < COUNTOF(rows); i++) {
        enum json_type top = JSON_NULL;
        buf_reset(&f->buf);
        assert_int_equal(json_scan(sv_of(rows[i].text), note, &f->buf, &top, &f->err), RC_OK);
        assert_string_equal(buf_cstr(&f->buf), rows[i].want);
        assert_int_equal(top, rows[i].top);
    }
}

static void the_writer_places_commas(void **state) {
    struct fixture *f = *state;
    struct jw w;
    jw_init(&w, &f->buf);
    jw_open(&w, '{');
    jw_member(&w, "name", SV("x"));
    jw_member(&w, "absent", SV_NONE);
    jw_member(&w, "empty", SV(""));
    jw_member_number(&w, "price", SV("19.90"));
    jw_member_number(&w, "odd", SV("1,90"));
    jw_member_number(&w, "no", SV_NONE);
    jw_key(&w, "list");
    jw_open(&w, '[');
    jw_int(&w, INT64_MIN);
    jw_bool(&w, true);
    jw_string(&w, SV_NONE);
    jw_string(&w, SV(""));
    jw_open(&w, '[');
    jw_close(&w, ']');
    jw_open(&w, '{');
    jw_close(&w, '}');
    jw_close(&w, ']');
    jw_key_sv(&w, SV("k\"2"));
    jw_bool(&w, false);
    jw_key(&w, "nan");
    jw_number(&w, SV("01"));
    jw_key(&w, "none");
    jw_number(&w, SV_NONE);
    jw_key(&w, "tree");
    jw_node(&w, NULL);
    jw_close(&w, '}');
    assert_true(buf_ok(&f->buf));
    assert_string_equal(buf_cstr(&f->buf), "{\"name\":\"x\",\"price\":19.90,\"odd\":\"1,90\",\"list\":[-9223372036854775808,true,null,\"\",[],{}],"
                                           "\"k\\\"2\":false,\"nan\":\"01\",\"none\":null,\"tree\":null}");
    assert_int_equal(read_both(f, buf_sv(&f->buf), NULL), RC_OK);
}

static void the_writer_escapes(void **state) {
    struct fixture *f = *state;
    static const struct {
        struct sv text;
        const char *want;
    } rows[] = {
        {SV("\"\\/\b\f\n\r\t"), "\"\\\"\\\\/\\b\\f\\n\\r\\t\""},
        {SV("\x01\x1F\x7F"), "\"\\u0001\\u001f\x7F\""},
        {SV("a\0b"), "\"a\xEF\xBF\xBD" "b\""},
        {SV("Gr\xC3\xBC\xC3\x9F" "e \xF0\x9F\x98\x80"), "\"Gr\xC3\xBC\xC3\x9F" "e \xF0\x9F\x98\x80\""},
        {SV("a\xFF" "b\xC3"), "\"a\xEF\xBF\xBD" "b\xEF\xBF\xBD\""},
        {SV("\xED\xA0\x80"), "\"\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\""},
    };
    for (size_t i = 0; i < COUNTOF(rows); i++) {
        struct jw w;
        buf_reset(&f->buf);
        jw_init(&w, &f->buf);
        jw_string(&w, rows[i].text);
        assert_string_equal(buf_cstr(&f->buf), rows[i].want);
        assert_int_equal(read_both(f, buf_sv(&f->buf), NULL), RC_OK);
    }
}

// Any string goes through writer and reader unchanged, as long as it is UTF-8 without NUL.
static void characters_round_trip(void **state) {
    struct fixture *f = *state;
    char text[512];
    size_t n = 0;
    for (char c = 1; c < 127; c++)
        text[n++] = c;
    memcpy(text + n, "\xC2\x80\xE2\x82\xAC\xF0\x9F\x98\x80", 9);
    struct jw w;
    jw_init(&w, &f->buf);
    jw_open(&w, '{');
    jw_key_sv(&w, (struct sv){text, n + 9});
    jw_string(&w, (struct sv){text, n + 9});
    jw_close(&w, '}');
    struct json *tree;
    assert_int_equal(read_both(f, buf_sv(&f->buf), &tree), RC_OK);
    assert_true(sv_eq(tree->child->key, (struct sv){text, n + 9}));
    assert_true(sv_eq(tree->child->text, (struct sv){text, n + 9}));
}

static void trees_round_trip(void **state) {
    struct fixture *f = *state;
    static const char *const rows[] = {
        "{\"id\":820982911946154508,\"m\":1.10,\"e\":-1E+5,\"z\":-0,\"t\":true,\"f\":false,\"n\":null,\"s\":\"a\\\"b\",\"l\":[1,[],{},[{\"x\":\"\"}]],\"id\":2}",
        "[]", "{}", "\"x\"", "12", "null",
    };
    for (size_t i = 0; i < COUNTOF(rows); i++) {
        struct json *tree;
        struct jw w;
        assert_int_equal(read_both(f, sv_of(rows[i]), &tree), RC_OK);
        buf_reset(&f->buf);
        jw_init(&w, &f->buf);
        jw_node(&w, tree);
        assert_string_equal(buf_cstr(&f->buf), rows[i]);
    }
}

static void the_writer_refuses_endless_depth(void **state) {
    struct fixture *f = *state;
    struct jw w;
    jw_init(&w, &f->buf);
    for (int i = 0; i < 71; i++)
        jw_open(&w, '[');
    assert_true(buf_ok(&f->buf));
    for (int i = 0; i < 200; i++)
        jw_open(&w, '[');
    jw_int(&w, 1);
    assert_false(buf_ok(&f->buf));
}

// ---- the elements of an array

static void note_element(void *ctx, struct sv element) {
    struct buf *out = ctx;
    buf_put(out, element);
    buf_putc(out, ';');
}

static void elements_keep_their_bytes(void **state) {
    struct fixture *f = *state;
    static const struct { const char *text, *elements; } good[] = {
        {"[]", ""}, {" [ ] ", ""}, {"{\"a\": [1]}", "{\"a\": [1]};"}, {" 7\n", "7;"}, {"\"x\"", "\"x\";"},
        {"[1,2]", "1;2;"}, {" [ {\"a\" : 1.50 } , [ ] ,\"\\u0041\", null ] ", "{\"a\" : 1.50 };[ ];\"\\u0041\";null;"},
    };
    for (size_t i = 0; i < COUNTOF(good); i++) {
        buf_reset(&f->buf);
        if (json_each(sv_of(good[i].text), note_element, &f->buf, NULL) != RC_OK || !sv_is(buf_sv(&f->buf), good[i].elements))
            fail_msg("%s: %s", good[i].text, buf_cstr(&f->buf));
    }
    static const char *const bad[] = {"", " ", "[", "[1", "[1,", "[1,]", "[,1]", "[1 2]", "[1]]", "[1]x", "[1}", "{}{}", "{},{}", "[01]", "[{]}", "\xff", "[\"\xff\"]"};
    for (size_t i = 0; i < COUNTOF(bad); i++)
        if (json_each(sv_of(bad[i]), note_element, &f->buf, NULL) != RC_INVALID)
            fail_msg("%s is taken", bad[i]);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(documents_are_judged),
        TEST(absent_bytes_are_an_empty_document),
        TEST(errors_say_where_but_not_what),
        TEST(depth_is_limited),
        TEST(nodes_are_limited),
        TEST(the_nodes_may_end_first),
        TEST(the_arena_limits_the_tree),
        TEST(the_tree_holds_what_was_written),
        TEST(strings_are_decoded),
        TEST(plain_strings_are_views),
        TEST(truth_is_recognised),
        TEST(scan_reports_scalars_with_their_path),
        TEST(elements_keep_their_bytes),
        TEST(the_writer_places_commas),
        TEST(the_writer_escapes),
        TEST(characters_round_trip),
        TEST(trees_round_trip),
        TEST(the_writer_refuses_endless_depth),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
