// json_write.c: the writer. What it writes, the reader accepts.
#include "base/json.h"
#include "base/json_lex.h"

#define REPLACEMENT "\xEF\xBF\xBD"  // U+FFFD

// What stands for a byte that cannot stand for itself. NUL has no entry: \u0000 is refused by our reader and by many others.
static const char *const escapes[128] = {
    ['"'] = "\\\"", ['\\'] = "\\\\", ['\b'] = "\\b", ['\f'] = "\\f", ['\n'] = "\\n", ['\r'] = "\\r", ['\t'] = "\\t",
};

void jw_init(struct jw *w, struct buf *out) {
    *w = (struct jw){.out = out};
}

// before_value: a comma when something came before on this level; after a key nothing is due.
static void before_value(struct jw *w) {
    if (w->comma[w->depth])
        buf_putc(w->out, ',');
    w->comma[w->depth] = 1;
}

void jw_open(struct jw *w, char bracket) {
    before_value(w);
    buf_putc(w->out, bracket);
    if (w->depth + 1 == sizeof w->comma) {
        w->out->failed = true;
        return;
    }
    w->comma[++w->depth] = 0;
}

void jw_close(struct jw *w, char bracket) {
    buf_putc(w->out, bracket);
    if (w->depth > 0)
        w->depth--;
}

static void put_special(struct buf *out, unsigned char c) {
    if (c < COUNTOF(escapes) && escapes[c])
        buf_puts(out, escapes[c]);
    else if (c > 0 && c < 0x20)
        buf_fmt(out, "\\u%04x", c);
    else
        buf_puts(out, REPLACEMENT);
}

static bool is_plain(unsigned char c) {
    return c >= 0x20 && c < 0x80 && c != '"' && c != '\\';
}

static void put_quoted(struct buf *out, struct sv s) {
    buf_putc(out, '"');
    size_t from = 0, at = 0;
    while (at < s.n) {
        unsigned char c = (unsigned char)s.p[at];
        size_t step = is_plain(c) ? 1 : c < 0x80 ? 0 : utf8_length(sv_sub(s, at, s.n));
        if (step == 0) {
            buf_put(out, sv_sub(s, from, at - from));
            put_special(out, c);
            from = at + 1;
            step = 1;
        }
        at += step;
    }
    buf_put(out, sv_sub(s, from, at - from));
    buf_putc(out, '"');
}

void jw_key_sv(struct jw *w, struct sv key) {
    before_value(w);
    put_quoted(w->out, key);
    buf_putc(w->out, ':');
    w->comma[w->depth] = 0;
}

void jw_key(struct jw *w, const char *key) {
    jw_key_sv(w, sv_of(key));
}

static void put_value(struct jw *w, struct sv text) {
    before_value(w);
    buf_put(w->out, text);
}

void jw_string(struct jw *w, struct sv s) {
    if (!s.p) {
        put_value(w, SV("null"));
        return;
    }
    before_value(w);
    put_quoted(w->out, s);
}

void jw_number(struct jw *w, struct sv decimal) {
    if (decimal.n > 0 && number_length(decimal) == decimal.n)
        put_value(w, decimal);
    else
        jw_string(w, decimal);
}

void jw_int(struct jw *w, int64_t n) {
    before_value(w);
    buf_fmt(w->out, "%lld", (long long)n);
}

void jw_bool(struct jw *w, bool b) {
    put_value(w, b ? SV("true") : SV("false"));
}

static void put_children(struct jw *w, const struct json *node, char open, char close) {
    jw_open(w, open);
    JSON_EACH(item, node) {
        if (!buf_ok(w->out))
            return;
        if (open == '{')
            jw_key_sv(w, item->key);
        jw_node(w, item);
    }
    jw_close(w, close);
}

// As deep as the tree, which the reader bounds.
void jw_node(struct jw *w, const struct json *node) {
    switch (node ? node->type : JSON_NULL) {
    case JSON_NULL: put_value(w, SV("null")); break;
    case JSON_FALSE: jw_bool(w, false); break;
    case JSON_TRUE: jw_bool(w, true); break;
    case JSON_NUMBER: jw_number(w, node->text); break;
    case JSON_STRING: jw_string(w, node->text); break;
    case JSON_ARRAY: put_children(w, node, '[', ']'); break;
    case JSON_OBJECT: put_children(w, node, '{', '}'); break;
    }
}

void jw_member(struct jw *w, const char *key, struct sv value) {
    if (!sv_present(value))
        return;
    jw_key(w, key);
    jw_string(w, value);
}

void jw_member_number(struct jw *w, const char *key, struct sv value) {
    if (!sv_present(value))
        return;
    jw_key(w, key);
    jw_number(w, value);
}
