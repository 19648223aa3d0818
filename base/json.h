// json.h: the one strict JSON reader and the writer.
// One pass checks everything (RFC 8259, valid UTF-8, no NUL and no \u0000, no lone surrogate, depth <= 64, at most
// 200,000 nodes, exactly one value and nothing but white space after it) and either only reports scalars (json_scan: the
// way to the acknowledgement, no memory) or builds a tree on an arena (json_parse: the dispatcher).
// Numbers stay the text that came in: ids beyond 2^53 and money never pass through a double.
// A key that occurs twice: the first one wins on look-up.
#ifndef BASE_JSON_H
#define BASE_JSON_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"

enum json_type { JSON_NULL, JSON_FALSE, JSON_TRUE, JSON_NUMBER, JSON_STRING, JSON_ARRAY, JSON_OBJECT };

// A node of the tree. key and text are views into the parsed bytes, or into the arena where escapes had to be decoded;
// both must outlive the tree.
struct json {
    enum json_type type;
    struct sv key;       // of a member of an object, else absent
    struct sv text;      // STRING: decoded; NUMBER, TRUE, FALSE: as written
    struct json *child;  // first element or member
    struct json *next;   // next sibling
    size_t count;        // of children
};

// json_parse: RC_INVALID with the reason and byte offset, RC_TOO_LARGE for depth, nodes or arena.
MUST_CHECK enum rc json_parse(struct arena *a, struct sv bytes, struct json **ret, struct err *e);
// json_parse_apart: the nodes on an arena of their own, which may end before the texts: they are most of what a tree takes.
MUST_CHECK enum rc json_parse_apart(struct arena *texts, struct arena *nodes, struct sv bytes, struct json **ret, struct err *e);
struct json *json_copy(struct arena *a, const struct json *node);  // the nodes from there, without siblings; the texts stay where they are

// json_scan checks like json_parse and calls see() for each scalar with the keys that lead to it (array elements count as a
// level with an absent key). path holds at most 8 levels; deeper scalars are checked but not reported. text is the raw
// token (strings: between the quotes, escapes NOT decoded; has_escape tells). path and text are valid during the call only.
struct json_scalar {
    const struct sv *path;
    size_t depth;
    enum json_type type;
    struct sv text;
    bool has_escape;
};
MUST_CHECK enum rc json_scan(struct sv bytes, void (*see)(void *ctx, const struct json_scalar *s), void *ctx,
                             enum json_type *ret_top, struct err *e);

// json_each: the elements of an array as they stand in the bytes, or the one value that the bytes are when it is no array. Checks
// everything like json_scan, with a node limit for each element. see() may have been called before a fault is found.
MUST_CHECK enum rc json_each(struct sv bytes, void (*see)(void *ctx, struct sv element), void *ctx, struct err *e);

// Look-ups tolerate everything: a NULL node, a wrong type, a missing key.
const struct json *json_get(const struct json *object, const char *key);            // NULL when absent
const struct json *json_at(const struct json *node, const char *dotted_path);       // "customer.default_address.city"
struct sv json_text(const struct json *node);   // STRING or NUMBER as text, TRUE/FALSE as "true"/"false"; else SV_NONE
struct sv json_str(const struct json *object, const char *dotted_path);             // json_text(json_at(...)); "" gives SV_NONE
bool json_is_true(const struct json *node);     // true, 1, "true", "1"
static inline bool json_is_object(const struct json *node) {
    return node && node->type == JSON_OBJECT;
}
static inline bool json_is_array(const struct json *node) {
    return node && node->type == JSON_ARRAY;
}
#define JSON_EACH(item, node) for (const struct json *item = (node) ? (node)->child : NULL; item; item = item->next)

// The writer: commas are its business, escapes too; invalid UTF-8 becomes U+FFFD. Members whose value is absent are left out.
struct jw {
    struct buf *out;
    unsigned char comma[72];  // per depth: a comma is due
    size_t depth;
};
void jw_init(struct jw *w, struct buf *out);
void jw_open(struct jw *w, char bracket);                       // '{' or '['
void jw_close(struct jw *w, char bracket);                      // '}' or ']'
void jw_key(struct jw *w, const char *key);                     // then exactly one value or open
void jw_key_sv(struct jw *w, struct sv key);
void jw_string(struct jw *w, struct sv s);                      // absent: null
void jw_number(struct jw *w, struct sv decimal);                // the text as it is when it is a JSON number, else a string
void jw_int(struct jw *w, int64_t n);
void jw_bool(struct jw *w, bool b);
void jw_node(struct jw *w, const struct json *node);            // copies a tree, numbers as they came; NULL: null
void jw_member(struct jw *w, const char *key, struct sv value);        // key + string; nothing when value is absent or empty
void jw_member_number(struct jw *w, const char *key, struct sv value); // key + number; nothing when absent or empty

#endif
