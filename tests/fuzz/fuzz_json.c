// The JSON reader and writer. Input: JSON, or what is taken for it.
// Both ways of reading agree on what is JSON; what is written reads as what it was written from; every text lies in the input.
#include "tests/fuzz/fuzz.h"

struct seen {
    struct sv input;
    size_t scalars;
};

static bool inside(struct sv part, struct sv whole) {
    return part.p >= whole.p && part.p + part.n <= whole.p + whole.n;
}

static void see_scalar(void *ctx, const struct json_scalar *s) {
    struct seen *seen = ctx;
    CHECK(inside(s->text, seen->input) && s->depth <= 8);
    for (size_t i = 0; i < s->depth; i++)
        CHECK(!s->path[i].p || inside(s->path[i], seen->input));
    seen->scalars++;
}

static void see_element(void *ctx, struct sv element) {
    struct seen *seen = ctx;
    CHECK(inside(element, seen->input));
    seen->scalars++;
}

static struct sv written(struct arena *a, const struct json *tree) {
    struct buf out;
    struct jw w;
    buf_init(&out, MEMORY);
    jw_init(&w, &out);
    jw_node(&w, tree);
    CHECK(buf_ok(&out));
    struct sv text = arena_dup(a, buf_sv(&out));
    buf_free(&out);
    return text;
}

static size_t scalars_of(const struct json *node, size_t depth) {
    size_t n = node->type != JSON_ARRAY && node->type != JSON_OBJECT && depth <= 8;
    JSON_EACH(item, node)
        n += scalars_of(item, depth + 1);
    return n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct arena a;
    struct sv input = input_of(data, size);
    struct seen scanned = {input, 0}, listed = {input, 0};
    struct json *tree;
    struct err e = {0};
    enum json_type top;
    arena_init(&a, MEMORY);
    enum rc parse = json_parse(&a, input, &tree, &e);
    CHECK(json_scan(input, see_scalar, &scanned, &top, NULL) == parse);
    enum rc each = json_each(input, see_element, &listed, NULL);
    CHECK(parse != RC_OK || each == RC_OK);
    if (parse == RC_OK) {
        CHECK(top == tree->type && scanned.scalars == scalars_of(tree, 0));
        CHECK(listed.scalars == (tree->type == JSON_ARRAY ? tree->count : 1));
        (void)checked_json(&a, written(&a, tree));
    } else {
        CHECK(e.code == parse && e.text[0] != '\0' && !tree);
    }
    arena_free(&a);
    return 0;
}
