// The YAML tree with its lines, every refusal with file and line, and the suggestions for misspelt words.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/faults.h"

#include <string.h>

static struct arena arena;
static struct buf told;
static struct faults faults;

static int set_up(void **state) {
    (void)state;
    arena_init(&arena, (size_t)16 << 20);
    buf_init(&told, 1 << 20);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    buf_free(&told);
    arena_free(&arena);
    return 0;
}

static const struct yaml *parsed(struct sv text) {
    struct yaml *root;
    faults = (struct faults){.out = &told};
    buf_reset(&told);
    if (yaml_parse(&arena, text, "f.yaml", &faults, &root) != RC_OK || faults.count > 0)
        fail_msg("%s", buf_cstr(&told));
    return root;
}

static void assert_scalar(const struct yaml *node, const char *text, size_t line, bool quoted) {
    assert_non_null(node);
    assert_int_equal(node->type, YAML_SCALAR);
    assert_string_equal(arena_cstr(&arena, node->text), text);
    assert_int_equal(node->line, line);
    assert_int_equal(node->quoted, quoted);
}

static void tree_has_values_and_lines(void **state) {
    (void)state;
    const struct yaml *root = parsed(SV("# comment\n"
                                        "version: 1\n"
                                        "listen: 0.0.0.0:8080   # why\n"
                                        "admin_token: ${FIREORDER_ADMIN_TOKEN}\n"
                                        "empty:\n"
                                        "shops:\n"
                                        "  acme:\n"
                                        "    shopify: { secrets: [\"${A}\", 'b''c'], purchase_on: orders/create }\n"
                                        "    note: |\n"
                                        "      two\n"
                                        "      lines\n"
                                        "  beta: {}\n"
                                        "list:\n"
                                        "- one\n"
                                        "-\n"
                                        "  k: v\n"
                                        "- []\n"));
    assert_int_equal(root->type, YAML_MAP);
    assert_int_equal(root->line, 2);
    assert_scalar(yaml_get(root, "version"), "1", 2, false);
    assert_scalar(yaml_get(root, "listen"), "0.0.0.0:8080", 3, false);
    assert_scalar(yaml_get(root, "admin_token"), "${FIREORDER_ADMIN_TOKEN}", 4, false);
    assert_scalar(yaml_get(root, "empty"), "", 5, false);

    const struct yaml *acme = yaml_get(yaml_get(root, "shops"), "acme");
    assert_int_equal(acme->line, 7);
    assert_true(sv_is(acme->key, "acme"));
    const struct yaml *secrets = yaml_get(yaml_get(acme, "shopify"), "secrets");
    assert_int_equal(secrets->type, YAML_LIST);
    assert_scalar(secrets->child, "${A}", 8, true);
    assert_scalar(secrets->child->next, "b'c", 8, true);
    assert_null(secrets->child->next->next);
    assert_null(secrets->child->key.p);
    assert_scalar(yaml_get(acme, "note"), "two\nlines\n", 9, false);
    const struct yaml *beta = yaml_get(yaml_get(root, "shops"), "beta");
    assert_int_equal(beta->type, YAML_MAP);
    assert_null(beta->child);

    const struct yaml *list = yaml_get(root, "list");
    assert_int_equal(list->line, 13);
    assert_scalar(list->child, "one", 14, false);
    assert_scalar(yaml_get(list->child->next, "k"), "v", 16, false);
    assert_int_equal(list->child->next->next->type, YAML_LIST);
    assert_null(list->child->next->next->child);
}

static void look_ups_and_walks_tolerate_everything(void **state) {
    (void)state;
    const struct yaml *root = parsed(SV("a: [x, y]\nb: z\n"));
    assert_null(yaml_get(root, "c"));
    assert_null(yaml_get(NULL, "a"));
    assert_null(yaml_get(yaml_get(root, "a"), "x"));
    assert_null(yaml_get(yaml_get(root, "b"), "z"));
    size_t members = 0;
    YAML_EACH(member, root)
        members++;
    YAML_EACH(member, (const struct yaml *)NULL)
        members++;
    assert_int_equal(members, 2);
}

static void one_document_in_many_spellings(void **state) {
    (void)state;
    static const struct sv same[] = {SV("a: b"),       SV("---\na: b\n"), SV("--- {a: b}\n...\n"), SV("a: b\r\n"), SV("{\"a\": \"b\"}"),
                                     SV("? a\n: b\n"), SV("%YAML 1.1\n---\na: b\n"), SV("\xef\xbb\xbf" "a: b\n")};
    for (size_t i = 0; i < COUNTOF(same); i++)
        assert_true(sv_is(yaml_get(parsed(same[i]), "a")->text, "b"));
    assert_true(sv_is(parsed(SV("alone"))->text, "alone"));
    assert_true(sv_is(parsed(SV("\"\\u00e4\\n\"\n"))->text, "\xc3\xa4\n"));
    assert_true(sv_is(yaml_get(parsed(SV("'*.example': x")), "*.example")->text, "x"));
}

static void assert_told(const char *where, const char *why) {
    assert_int_equal(faults.count, 1);
    if (strncmp(buf_cstr(&told), where, strlen(where)) != 0 || !strstr(buf_cstr(&told), why))
        fail_msg("got \"%s\", expected \"%s\" and \"%s\"", buf_cstr(&told), where, why);
}

static void assert_refused(struct sv text, enum rc code, const char *where, const char *why) {
    struct yaml *root = (struct yaml *)&arena;
    faults = (struct faults){.out = &told};
    buf_reset(&told);
    assert_int_equal(yaml_parse(&arena, text, "f.yaml", &faults, &root), code);
    assert_null(root);
    assert_told(where, why);
}

static void assert_doubled(struct sv text, const char *where, const char *why) {
    struct yaml *root;
    faults = (struct faults){.out = &told};
    buf_reset(&told);
    assert_int_equal(yaml_parse(&arena, text, "f.yaml", &faults, &root), RC_OK);
    assert_told(where, why);
}

static void a_key_that_stands_twice_hides_no_other_fault(void **state) {
    (void)state;
    static const struct {
        struct sv text;
        const char *where, *why;
    } once[] = {
        {SV("a: 1\nb: 2\na: 3\n"), "f.yaml:3: ", "\"a\" is here a second time, it was set in line 1"},
        {SV("m:\n  x: 1\n  y: {q: 1, q: 2}\n"), "f.yaml:3: ", "\"q\" is here a second time"},
        {SV("a: 1\n\"a\": 3\n"), "f.yaml:2: ", "\"a\" is here a second time"},
    };
    struct yaml *root;
    for (size_t i = 0; i < COUNTOF(once); i++)
        assert_doubled(once[i].text, once[i].where, once[i].why);
    faults = (struct faults){.out = &told};
    buf_reset(&told);
    assert_int_equal(yaml_parse(&arena, SV("a: 1\na: {x: 1, x: 2}\na: 3\nb: 4\n"), "f.yaml", &faults, &root), RC_OK);
    assert_int_equal(faults.count, 3);
    assert_scalar(yaml_get(root, "a"), "1", 1, false);
    assert_scalar(root->child->next, "4", 4, false);
    assert_null(root->child->next->next);
}

static void refusals_name_file_and_line(void **state) {
    (void)state;
    static const struct {
        struct sv text;
        const char *where, *why;
    } cases[] = {
        {SV(""), "f.yaml:1: ", "empty"},
        {SV_NONE, "f.yaml:1: ", "empty"},
        {SV("# nothing\n\n"), "f.yaml:3: ", "empty"},
        {SV("a: &x 1\n"), "f.yaml:1: ", "anchors"},
        {SV("a: 1\nb: &x [1]\n"), "f.yaml:2: ", "anchors"},
        {SV("a: 1\nb: &x {c: 1}\n"), "f.yaml:2: ", "anchors"},
        {SV("&k a: 1\n"), "f.yaml:1: ", "anchors"},
        {SV("a: 1\nb:\n  - *x\n"), "f.yaml:3: ", "aliases"},
        {SV("*x : 1\n"), "f.yaml:1: ", "aliases"},
        {SV("a: !!str 1\n"), "f.yaml:1: ", "tags"},
        {SV("a:\n  b: !mine {c: 1}\n"), "f.yaml:2: ", "tags"},
        {SV("a: !!seq [1]\n"), "f.yaml:1: ", "tags"},
        {SV("a: ! x\n"), "f.yaml:1: ", "tags"},
        {SV("!!str a: x\n"), "f.yaml:1: ", "tags"},
        {SV("a: 1\n---\nb: 1\n"), "f.yaml:2: ", "second document"},
        {SV("a: 1\n...\n---\n"), "f.yaml:3: ", "second document"},
        {SV("a: 1\n[b]: 2\n"), "f.yaml:2: ", "not a list or a map"},
        {SV("a: 1\n{b: 1}: 2\n"), "f.yaml:2: ", "not a list or a map"},
        {SV("a: {{x}}\n"), "f.yaml:1: ", "not a list or a map"},
        {SV("a: 1\n? \n: 2\n"), "f.yaml:2: ", "a key is missing"},
        {SV("a: 1\n'': 2\n"), "f.yaml:2: ", "a key is missing"},
        {SV("a: 1\nb: \"x\\0y\"\n"), "f.yaml:2: ", "NUL"},
        {SV("a: 1\n\"k\\0\": 1\n"), "f.yaml:2: ", "NUL"},
        {SV("a: 1\n\tb: 1\n"), "f.yaml:2: ", "tab"},
        {SV("a: [1, 2\nb: 3\n"), "f.yaml:2: ", "']'"},
        {SV("a: \"open\n\n"), "f.yaml:3: ", "unexpected end of stream"},
        {SV("a: b: c\n"), "f.yaml:1: ", "mapping values"},
        {SV("a: 1\n b: 2\n"), "f.yaml:2: ", ""},
        {SV("a: 1\nb: \xff\n"), "f.yaml:2: ", "UTF-8"},
        {SV("a: 1\nb: \x01\n"), "f.yaml:2: ", "control characters"},
        {SV("a: 1\nb: x\0y\n"), "f.yaml:2: ", "control characters"},
        {SV("\xff\xfe" "a\0:\0 \0b\0"), "f.yaml:1: ", "UTF-8"},
    };
    for (size_t i = 0; i < COUNTOF(cases); i++)
        assert_refused(cases[i].text, RC_INVALID, cases[i].where, cases[i].why);
}

static struct sv nested(size_t levels) {
    char *p = arena_alloc(&arena, 2 * levels + 1);
    memset(p, '[', levels);
    memset(p + levels, ']', levels);
    return (struct sv){p, 2 * levels};
}

static struct sv padded_comment(size_t n) {
    char *p = arena_alloc(&arena, n + 1);
    memset(p, '#', n);
    memcpy(p, "a: 1\n", 5);
    return (struct sv){p, n};
}

static struct sv many_keys(size_t n) {
    char *p = arena_alloc(&arena, n * 16), *at = p;
    for (size_t i = 0; i < n; i++) {
        struct sv line = arena_fmt(&arena, "key%zu: x\n", i);
        memcpy(at, line.p, line.n);
        at += line.n;
    }
    return (struct sv){p, (size_t)(at - p)};
}

static void limits_hold(void **state) {
    (void)state;
    parsed(nested(32));
    assert_refused(nested(33), RC_TOO_LARGE, "f.yaml:1: ", "deeper than 32");
    assert_refused(nested(100000), RC_TOO_LARGE, "f.yaml:1: ", "deeper than 32");
    assert_refused(SV("- - - - - - - - - - - - - - - - - - - - - - - - - - - - - - - - - x"), RC_TOO_LARGE, "f.yaml:1: ", "deeper");
    parsed(padded_comment(1 << 20));
    assert_refused(padded_comment((1 << 20) + 1), RC_TOO_LARGE, "f.yaml:1: ", "1048577 bytes");
    parsed(many_keys(4096));
    assert_refused(many_keys(4097), RC_TOO_LARGE, "f.yaml:4097: ", "4096 keys");

    struct arena small;
    struct yaml *root;
    arena_init(&small, 4096);
    faults = (struct faults){.out = &told};
    buf_reset(&told);
    assert_int_equal(yaml_parse(&small, many_keys(1000), "f.yaml", &faults, &root), RC_TOO_LARGE);
    assert_non_null(strstr(buf_cstr(&told), "the file is too large"));
    assert_null(root);
    arena_free(&small);
}

// ---- overlays

static const struct yaml *parsed_as(const char *file, const char *text) {
    struct yaml *root;
    faults = (struct faults){.out = &told};
    buf_reset(&told);
    if (yaml_parse(&arena, sv_of(text), file, &faults, &root) != RC_OK || faults.count > 0)
        fail_msg("%s", buf_cstr(&told));
    return root;
}

// The tree on one line: each value with its file's letter and its line.
static struct sv drawn(const struct yaml *node) {
    if (!node)
        return SV("nothing");
    if (node->type == YAML_SCALAR)
        return arena_fmt(&arena, SV_FMT "@%s%zu", SV_ARG(node->text), node->file, node->line);
    struct sv out = SV("");
    YAML_EACH(child, node)
        out = arena_fmt(&arena, SV_FMT "%s" SV_FMT "%s" SV_FMT, SV_ARG(out), out.n > 0 ? " " : "", SV_ARG(child->key), child->key.p ? "=" : "",
                        SV_ARG(drawn(child)));
    return arena_fmt(&arena, node->type == YAML_MAP ? "{" SV_FMT "}@%s%zu" : "[" SV_FMT "]@%s%zu", SV_ARG(out), node->file, node->line);
}

static void overlays(void **state) {
    (void)state;
    static const struct {
        const char *under, *over;
        unsigned depth;
        const char *expected;
    } cases[] = {
        {"a: 1\nb: 2\n", "b: 3\nc: 4\n", 1, "{a=1@u1 b=3@o1 c=4@o2}@o1"},
        {"a: 1\nb: 2\n", "b: 3\nc: 4\n", 0, "{b=3@o1 c=4@o2}@o1"},
        {"a: {x: 1, y: 2}\n", "a: {y: 3}\n", 1, "{a={y=3@o1}@o1}@o1"},
        {"a: {x: 1, y: 2}\n", "a: {y: 3}\n", 2, "{a={x=1@u1 y=3@o1}@o1}@o1"},
        {"a: {x: {p: 1, q: 2}}\n", "a: {x: {q: 3}}\n", 2, "{a={x={q=3@o1}@o1}@o1}@o1"},
        {"a: {x: {p: 1, q: 2}}\n", "a: {x: {q: 3}}\n", 99, "{a={x={p=1@u1 q=3@o1}@o1}@o1}@o1"},
        // taking away
        {"a: 1\nb: 2\n", "a: null\n", 1, "{b=2@u2}@o1"},
        {"a: 1\nb: 2\n", "b: ~\n", 1, "{a=1@u1}@o1"},
        {"a: 1\n", "a: 'null'\n", 1, "{a=null@o1}@o1"},
        {"a: 1\n", "a: \"~\"\n", 1, "{a=~@o1}@o1"},
        {"a: 1\n", "a:\n", 1, "{a=@o1}@o1"},
        {"a: 1\n", "b: null\n", 1, "{a=1@u1}@o1"},
        {"a: {x: 1, y: 2}\n", "a: {x: null}\n", 2, "{a={y=2@u1}@o1}@o1"},
        {"a: {x: 1, y: 2}\n", "a: {x: null}\n", 1, "{a={x=null@o1}@o1}@o1"},
        {"a: 1\n", "b: {x: null, y: 1}\n", 2, "{a=1@u1 b={y=1@o1}@o1}@o1"},
        {"a: 1\n", "null\n", 1, "nothing"},
        {"a: null\n", "b: 1\n", 1, "{a=null@u1 b=1@o1}@o1"},
        // values of another kind replace
        {"a: {x: 1}\n", "a: 2\n", 9, "{a=2@o1}@o1"},
        {"a: 1\n", "a: {x: 2}\n", 9, "{a={x=2@o1}@o1}@o1"},
        {"a: [1, 2]\n", "a: [3]\n", 9, "{a=[3@o1]@o1}@o1"},
        {"a: [1, {x: 2}]\nb: 1\n", "b: 2\n", 9, "{a=[1@u1 {x=2@u1}@u1]@u1 b=2@o1}@o1"},
        {"[1]", "a: 2\n", 9, "{a=2@o1}@o1"},
        {"a: 1\n", "word", 9, "word@o1"},
        {"a: 1\n", "{}\n", 9, "{a=1@u1}@o1"},
        {"{}\n", "a: 1\n", 9, "{a=1@o1}@o1"},
        {"a: 1\n", NULL, 9, "{a=1@u1}@u1"},
        {NULL, "a: 1\nb: null\n", 9, "{a=1@o1}@o1"},
        {NULL, NULL, 9, "nothing"},
    };
    for (size_t i = 0; i < COUNTOF(cases); i++) {
        const struct yaml *under = cases[i].under ? parsed_as("u", cases[i].under) : NULL;
        const struct yaml *over = cases[i].over ? parsed_as("o", cases[i].over) : NULL;
        struct sv under_before = drawn(under), over_before = drawn(over);
        struct sv got = drawn(yaml_overlay(&arena, under, over, cases[i].depth));
        if (!sv_is(got, cases[i].expected))
            fail_msg("%zu: " SV_FMT ", expected %s", i, SV_ARG(got), cases[i].expected);
        assert_true(sv_eq(drawn(under), under_before) && sv_eq(drawn(over), over_before));
    }
}

static void the_name_of_the_file_is_a_copy(void **state) {
    (void)state;
    char name[] = "name.yaml";
    const struct yaml *root = parsed_as(name, "a: [1]\n");
    name[0] = '?';
    assert_string_equal(root->file, "name.yaml");
    assert_string_equal(yaml_get(root, "a")->child->file, "name.yaml");
}

static void long_key_is_shown_short(void **state) {
    (void)state;
    struct sv text = SV("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\xc3\xa4\xc3\xa4" "bbbb: 1\n"
                        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\xc3\xa4\xc3\xa4" "bbbb: 1\n");
    assert_doubled(text, "f.yaml:2: \"", "aaa\" is here");
}

static void suggestions(void **state) {
    (void)state;
    static const char *const words[] = {"listen", "admin", "admin_token", "store", "seal_key", "shops", "retention", "id", "ab"};
    static const struct {
        const char *text, *nearest;
    } cases[] = {
        {"listen", "listen"},   {"listn", "listen"},      {"lisetn", "listen"},     {"lissten", "listen"}, {"LISTEN", "listen"},
        {"Listne", "listen"},   {"admin-token", "admin_token"}, {"admintoken", "admin_token"}, {"admi", "admin"},    {"sotre", "store"},
        {"shop", "shops"},      {"sealkey", "seal_key"},  {"retension", "retention"}, {"retnetoin", "retention"}, {"id", "id"},
        {"di", NULL},           {"x", NULL},              {"", NULL},               {"klaviyo", NULL},     {"listening_address", NULL},
        {"token", NULL},
    };
    for (size_t i = 0; i < COUNTOF(cases); i++) {
        const char *nearest = nearest_word(sv_of(cases[i].text), words, COUNTOF(words));
        if (cases[i].nearest)
            assert_string_equal(nearest, cases[i].nearest);
        else
            assert_null(nearest);
    }
    assert_null(nearest_word(SV_NONE, words, COUNTOF(words)));
    assert_null(nearest_word(SV("listen"), words, 0));
    static const char *const close[] = {"skipped", "stepped", "shipped"};
    assert_string_equal(nearest_word(SV("slipped"), close, 3), "skipped");  // equally near: the first
    char longest[66];
    memset(longest, 'w', sizeof longest);
    longest[63] = '\0';
    const char *const long_words[] = {longest};
    assert_ptr_equal(nearest_word((struct sv){longest, 63}, long_words, 1), longest);
    longest[63] = 'w';
    longest[64] = '\0';
    assert_null(nearest_word((struct sv){longest, 63}, long_words, 1));
    assert_null(nearest_word((struct sv){longest, 64}, words, 1));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(tree_has_values_and_lines, set_up, tear_down),
        cmocka_unit_test_setup_teardown(look_ups_and_walks_tolerate_everything, set_up, tear_down),
        cmocka_unit_test_setup_teardown(one_document_in_many_spellings, set_up, tear_down),
        cmocka_unit_test_setup_teardown(refusals_name_file_and_line, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_key_that_stands_twice_hides_no_other_fault, set_up, tear_down),
        cmocka_unit_test_setup_teardown(limits_hold, set_up, tear_down),
        cmocka_unit_test_setup_teardown(overlays, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_name_of_the_file_is_a_copy, set_up, tear_down),
        cmocka_unit_test_setup_teardown(long_key_is_shown_short, set_up, tear_down),
        cmocka_unit_test_setup_teardown(suggestions, set_up, tear_down),
    };
    return cmocka_run_group_tests_name("yaml", tests, NULL, NULL);
}
