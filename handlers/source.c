// source.c: the senders we know, and the two readings of what they send: a quick one before the acknowledgement, a full one after.
#include "handlers/source.h"
#include "mapping/normalise.h"

#define FIELDS_MAX 16
#define TREE_FIRST ((size_t)64 << 10)  // most webhooks fit

const struct source *const sources[] = {&source_shopify, &source_recharge, &source_events};
const size_t source_count = COUNTOF(sources);

const struct source *source_named(struct sv name) {
    for (size_t i = 0; i < source_count; i++)
        if (sv_is(name, sources[i]->name))
            return sources[i];
    return NULL;
}

const struct topic *source_topic(const struct source *s, struct sv topic) {
    for (size_t i = 0; i < s->topic_count; i++)
        if (sv_is(topic, s->topics[i].name))
            return &s->topics[i];
    return NULL;
}

struct sv source_path(struct arena *a, const struct source *s, struct sv shop, struct sv topic) {
    if (s->root)
        return arena_fmt(a, "%s" SV_FMT, s->root, SV_ARG(shop));
    if (s->topic_in_path)
        return arena_fmt(a, "/hooks/" SV_FMT "/%s/" SV_FMT, SV_ARG(shop), s->name, SV_ARG(topic));
    return arena_fmt(a, "/hooks/" SV_FMT "/%s", SV_ARG(shop), s->name);
}

struct scan {
    struct arena *arena;
    const struct identity_field *fields;
    size_t field_count, depths[FIELDS_MAX];
    unsigned any_depth;           // a bit for each of them
    struct sv found[FIELDS_MAX];  // per field, the first one that says something
};

static size_t depth_of(const char *path) {
    size_t depth = 1;
    for (; *path; path++)
        depth += *path == '.';
    return depth;
}

static bool leads_to(const struct json_scalar *s, const char *path) {
    struct sv name, rest = sv_of(path);
    for (size_t level = 0; level < s->depth; level++) {
        sv_cut(rest, '.', &name, &rest);
        if (!sv_eq(s->path[level], name))
            return false;
    }
    return true;
}

// plain: the text of a scalar; its token is read again as a value of its own where escapes have to be decoded.
static struct sv plain(struct arena *a, const struct json_scalar *s) {
    if (!s->has_escape)
        return s->text;
    struct json *node;
    struct sv quoted = {s->text.p - 1, s->text.n + 2};
    return json_parse(a, quoted, &node, NULL) == RC_OK ? json_text(node) : SV_NONE;
}

static void see(void *ctx, const struct json_scalar *s) {
    struct scan *scan = ctx;
    if (!(scan->any_depth >> s->depth & 1) || (s->type != JSON_STRING && s->type != JSON_NUMBER))
        return;
    for (size_t i = 0; i < scan->field_count; i++) {
        if (scan->depths[i] != s->depth || scan->found[i].p || !leads_to(s, scan->fields[i].path))
            continue;
        struct sv text = plain(scan->arena, s);
        scan->found[i] = sv_is(sv_of(scan->fields[i].kind), "email") ? normal_email(scan->arena, text) : text;
    }
}

static bool listed(const struct identity *v, size_t n, const char *kind, struct sv value) {
    for (size_t i = 0; i < n; i++)
        if (sv_is(sv_of(kind), v[i].kind) && sv_eq(value, v[i].value))
            return true;
    return false;
}

enum rc source_scan(struct arena *a, const struct topic *topic, struct sv body, struct identity *ret, size_t *ret_count, struct err *e) {
    struct scan scan = {.arena = a, .fields = topic ? topic->identity : NULL};
    for (; scan.fields && scan.field_count < FIELDS_MAX && scan.fields[scan.field_count].path; scan.field_count++) {
        scan.depths[scan.field_count] = depth_of(scan.fields[scan.field_count].path);
        scan.any_depth |= 1U << scan.depths[scan.field_count];
    }
    *ret_count = 0;
    enum json_type top;
    enum rc rc = json_scan(body, see, &scan, &top, e);
    if (rc != RC_OK) {
        if (e)
            e->code = RC_INVALID;  // too deep or too many values is as little use to us as no JSON
        return RC_INVALID;
    }
    if (top != JSON_OBJECT)
        return err_set(e, RC_INVALID, "JSON: the body is not an object");
    for (size_t i = 0; i < scan.field_count && *ret_count < IDENTITIES_MAX; i++)
        if (sv_present(scan.found[i]) && !listed(ret, *ret_count, scan.fields[i].kind, scan.found[i]))
            ret[(*ret_count)++] = (struct identity){scan.fields[i].kind, scan.found[i]};
    return RC_OK;
}

// The tree ends with the decoding: an order's is four times as large as the order, and many wait for the store with what was decoded.
void source_decode(struct arena *a, const struct source *s, const struct shop *shop, struct sv topic, struct sv body, struct decoded *ret) {
    *ret = (struct decoded){0};
    const struct topic *known = source_topic(s, topic);
    if (!known) {
        ret->ignored = SV("topic is not one that is used here");
        return;
    }
    struct json *root;
    struct arena tree;
    struct err e;
    arena_init_first(&tree, a->limit, TREE_FIRST);
    if (json_parse_apart(a, &tree, body, &root, &e) != RC_OK)
        ret->undecodable = arena_fmt(a, "%s", e.text);
    else if (!json_is_object(root))
        ret->undecodable = SV("JSON: the body is not an object");
    else
        known->decode(a, shop, known, root, ret);
    arena_free(&tree);
}
