// json.c: the reader. One parser for both ways of reading: with an arena it builds the tree, without one it only checks
// and reports scalars. Look-ups in a finished tree are in json_tree.c.
#include "base/json.h"
#include "base/json_lex.h"

#include <string.h>

#define DEPTH_MOST 64
#define NODES_MOST 200000
#define PATH_MOST 8

struct parser {
    const char *begin, *at, *end;
    struct arena *arena;  // of the texts; NULL: no tree
    struct arena *tree;   // of its nodes
    void (*see)(void *ctx, const struct json_scalar *s);
    void *ctx;
    struct sv path[PATH_MOST];
    size_t nodes;
    enum json_type top;
    enum rc rc;
    struct err *e;
};

// A string as it stands between its quotes.
struct token {
    struct sv raw;
    bool has_escape;
};

static bool value(struct parser *p, size_t depth, struct json *node);

// Cold, so that the compiler keeps it out of the way of the loops below.
static bool __attribute__((cold, noinline)) stop(struct parser *p, enum rc rc, const char *why) {
    p->rc = err_set(p->e, rc, "JSON: %s at byte %zu", why, (size_t)(p->at - p->begin));
    return false;
}

static bool invalid(struct parser *p, const char *why) {
    return stop(p, RC_INVALID, p->at < p->end ? why : "the text ends too early");
}

static struct sv rest(const struct parser *p) {
    return (struct sv){p->at, (size_t)(p->end - p->at)};
}

static void skip_space(struct parser *p) {
    static const bool is_space[256] = {[' '] = true, ['\n'] = true, ['\r'] = true, ['\t'] = true};
    while (p->at < p->end && is_space[(unsigned char)*p->at])
        p->at++;
}

static bool at_char(const struct parser *p, char c) {
    return p->at < p->end && *p->at == c;
}

// string: at the opening quote; leaves the parser behind the closing one.
static bool string(struct parser *p, struct token *ret) {
    const char *begin = ++p->at;
    ret->has_escape = false;
    for (;;) {
        p->at += plain_length(rest(p));
        if (p->at == p->end)
            return invalid(p, "");
        unsigned char c = (unsigned char)*p->at;
        if (c == '"')
            break;
        if (c < 0x20)
            return invalid(p, "a control character in a string");
        size_t n = c == '\\' ? escape_length(rest(p), NULL) : utf8_length(rest(p));
        if (n == 0)
            return invalid(p, c == '\\' ? "a wrong escape in a string" : "a string that is not UTF-8");
        ret->has_escape |= c == '\\';
        p->at += n;
    }
    ret->raw = (struct sv){begin, (size_t)(p->at - begin)};
    p->at++;
    return true;
}

static size_t put_utf8(char *out, uint32_t code) {
    static const struct {
        uint32_t below;
        unsigned char lead, length;
    } forms[] = {{0x80, 0x00, 1}, {0x800, 0xC0, 2}, {0x10000, 0xE0, 3}, {0x110000, 0xF0, 4}};
    size_t f = 0;
    while (code >= forms[f].below)
        f++;
    for (size_t i = forms[f].length; i-- > 1; code >>= 6)
        out[i] = (char)(0x80 | (code & 0x3F));
    out[0] = (char)(forms[f].lead | code);
    return forms[f].length;
}

// decoded: the token is known to be well-formed. No escape is shorter than what it stands for.
static struct sv decoded(struct arena *a, const struct token *token) {
    if (!token->has_escape)
        return token->raw;
    char *out = arena_room(a, token->raw.n);
    size_t n = 0;
    for (struct sv left = token->raw; left.n > 0;) {
        const char *escape = memchr(left.p, '\\', left.n);
        size_t plain = escape ? (size_t)(escape - left.p) : left.n;
        memcpy(out + n, left.p, plain);
        n += plain;
        left = sv_sub(left, plain, left.n);
        if (left.n == 0)
            break;
        uint32_t code;
        size_t used = escape_length(left, &code);
        n += put_utf8(out + n, code);
        left = sv_sub(left, used, left.n);
    }
    return (struct sv){out, n};
}

static bool scalar(struct parser *p, size_t depth, struct json *node, enum json_type type, const struct token *token) {
    if (depth == 0)
        p->top = type;
    if (node) {
        node->type = type;
        node->text = type == JSON_NULL ? SV_NONE : decoded(p->arena, token);
    } else if (p->see && depth <= PATH_MOST) {
        p->see(p->ctx, &(struct json_scalar){p->path, depth, type, token->raw, token->has_escape});
    }
    return true;
}

static bool word(struct parser *p, size_t depth, struct json *node, enum json_type type, struct sv spelling) {
    struct sv left = rest(p);
    if (!sv_starts(left, spelling))
        return invalid(p, "an unknown word");
    struct token token = {sv_sub(left, 0, spelling.n), false};
    p->at += spelling.n;
    return scalar(p, depth, node, type, &token);
}

static bool number(struct parser *p, size_t depth, struct json *node) {
    struct sv left = rest(p);
    struct token token = {sv_sub(left, 0, number_length(left)), false};
    if (token.raw.n == 0)
        return invalid(p, "a malformed number");
    p->at += token.raw.n;
    return scalar(p, depth, node, JSON_NUMBER, &token);
}

// member_key: the key, the colon and the white space around it.
static bool member_key(struct parser *p, struct token *ret) {
    if (!at_char(p, '"'))
        return invalid(p, "no key where one is due");
    if (!string(p, ret))
        return false;
    skip_space(p);
    if (!at_char(p, ':'))
        return invalid(p, "no colon after a key");
    p->at++;
    skip_space(p);
    return true;
}

// child: one element or member; link is where its node is hung.
static bool child(struct parser *p, size_t depth, bool keyed, struct json **link) {
    struct token key = {SV_NONE, false};
    if (keyed && !member_key(p, &key))
        return false;
    struct json *node = NULL;
    if (link) {
        node = *link = ARENA_NEW(p->tree, struct json);
        node->key = decoded(p->arena, &key);
    } else if (depth <= PATH_MOST) {
        p->path[depth - 1] = key.raw;
    }
    return value(p, depth, node);
}

// container: an array or object; depth counts the containers around its children.
static bool container(struct parser *p, size_t depth, struct json *node, char close) {
    if (depth > DEPTH_MOST)
        return stop(p, RC_TOO_LARGE, "more than 64 levels");
    enum json_type type = close == '}' ? JSON_OBJECT : JSON_ARRAY;
    struct json **link = node ? &node->child : NULL;
    if (node)
        node->type = type;
    if (depth == 1)
        p->top = type;
    p->at++;
    skip_space(p);
    if (at_char(p, close)) {
        p->at++;
        return true;
    }
    for (;;) {
        if (!child(p, depth, close == '}', link))
            return false;
        if (node) {
            node->count++;
            link = &(*link)->next;
        }
        skip_space(p);
        bool more = at_char(p, ',');
        if (!more && !at_char(p, close))
            return invalid(p, "neither a comma nor the closing bracket");
        p->at++;
        if (!more)
            return true;
        skip_space(p);
    }
}

static bool out_of_memory(const struct parser *p) {
    return p->arena && !(arena_ok(p->arena) && arena_ok(p->tree));
}

static bool value(struct parser *p, size_t depth, struct json *node) {
    if (p->at == p->end)
        return invalid(p, "");
    if (++p->nodes > NODES_MOST)
        return stop(p, RC_TOO_LARGE, "more than 200000 values");
    if (out_of_memory(p))
        return stop(p, RC_TOO_LARGE, "more memory needed than is allowed");
    struct token token;
    switch (*p->at) {
    case '"': return string(p, &token) && scalar(p, depth, node, JSON_STRING, &token);
    case '{': return container(p, depth + 1, node, '}');
    case '[': return container(p, depth + 1, node, ']');
    case 't': return word(p, depth, node, JSON_TRUE, SV("true"));
    case 'f': return word(p, depth, node, JSON_FALSE, SV("false"));
    case 'n': return word(p, depth, node, JSON_NULL, SV("null"));
    default: return number(p, depth, node);
    }
}

static enum rc document(struct parser *p, struct json *root) {
    skip_space(p);
    if (!value(p, 0, root))
        return p->rc;
    skip_space(p);
    if (p->at < p->end)
        invalid(p, "more after the value");
    else if (out_of_memory(p))
        stop(p, RC_TOO_LARGE, "more memory needed than is allowed");
    return p->rc;
}

static struct parser parser_of(struct sv bytes, struct err *e) {
    struct sv text = bytes.p ? bytes : SV("");
    return (struct parser){.begin = text.p, .at = text.p, .end = text.p + text.n, .e = e};
}

enum rc json_parse(struct arena *a, struct sv bytes, struct json **ret, struct err *e) {
    return json_parse_apart(a, a, bytes, ret, e);
}

enum rc json_parse_apart(struct arena *texts, struct arena *nodes, struct sv bytes, struct json **ret, struct err *e) {
    struct parser p = parser_of(bytes, e);
    p.arena = texts;
    p.tree = nodes;
    struct json *root = ARENA_NEW(nodes, struct json);
    enum rc rc = document(&p, root);
    *ret = rc == RC_OK ? root : NULL;
    return rc;
}

enum rc json_scan(struct sv bytes, void (*see)(void *ctx, const struct json_scalar *s), void *ctx, enum json_type *ret_top, struct err *e) {
    struct parser p = parser_of(bytes, e);
    p.see = see;
    p.ctx = ctx;
    enum rc rc = document(&p, NULL);
    if (rc == RC_OK && ret_top)
        *ret_top = p.top;
    return rc;
}

// ---- the elements of an array, each for itself

struct each {
    void (*see)(void *ctx, struct sv element);
    void *ctx;
};

static bool element(struct parser *p, const struct each *each) {
    const char *begin = p->at;
    p->nodes = 0;
    if (!value(p, 1, NULL))
        return false;
    each->see(each->ctx, (struct sv){begin, (size_t)(p->at - begin)});
    skip_space(p);
    return true;
}

static bool elements(struct parser *p, const struct each *each) {
    if (!at_char(p, '['))
        return element(p, each);
    p->at++;
    skip_space(p);
    for (bool more = !at_char(p, ']'); more;) {
        if (!element(p, each))
            return false;
        more = at_char(p, ',');
        if (!more && !at_char(p, ']'))
            return invalid(p, "neither a comma nor the closing bracket");
        if (more) {
            p->at++;
            skip_space(p);
        }
    }
    p->at++;
    skip_space(p);
    return true;
}

enum rc json_each(struct sv bytes, void (*see)(void *ctx, struct sv element), void *ctx, struct err *e) {
    struct parser p = parser_of(bytes, e);
    skip_space(&p);
    if (elements(&p, &(struct each){see, ctx}) && p.at < p.end)
        invalid(&p, "more after the value");
    return p.rc;
}
