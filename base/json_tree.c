// json_tree.c: look-ups in a tree. Wrong types and missing keys give "absent", so that callers can chain.
#include "base/json.h"

// Trees are at most as deep as what was parsed.
struct json *json_copy(struct arena *a, const struct json *node) {
    struct json *copy = ARENA_NEW(a, struct json), **link = &copy->child;
    *copy = *node;
    copy->next = NULL;
    JSON_EACH(item, node) {
        *link = json_copy(a, item);
        link = &(*link)->next;
    }
    return copy;
}

static const struct json *member(const struct json *object, struct sv key) {
    if (!json_is_object(object))
        return NULL;
    JSON_EACH(item, object)
        if (sv_eq(item->key, key))
            return item;
    return NULL;
}

const struct json *json_get(const struct json *object, const char *key) {
    return member(object, sv_of(key));
}

const struct json *json_at(const struct json *node, const char *dotted_path) {
    struct sv head, tail = sv_of(dotted_path);
    if (!tail.p)
        return NULL;
    while (node && tail.p) {
        sv_cut(tail, '.', &head, &tail);
        node = member(node, head);
    }
    return node;
}

struct sv json_text(const struct json *node) {
    return node ? node->text : SV_NONE;
}

struct sv json_str(const struct json *object, const char *dotted_path) {
    return sv_first(json_text(json_at(object, dotted_path)), SV_NONE);
}

bool json_is_true(const struct json *node) {
    if (!node)
        return false;
    bool textual = node->type == JSON_STRING || node->type == JSON_NUMBER;
    return node->type == JSON_TRUE || (textual && sv_is(node->text, "1")) || (node->type == JSON_STRING && sv_is(node->text, "true"));
}
