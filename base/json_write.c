// json_write.c: the writer. What it writes, the reader accepts.
#include "base/json.h"
#include "base/json_lex.h"

#include <string.h>

#define REPLACEMENT "\xEF\xBF\xBD"  // U+FFFD

// What stands behind a backslash for a byte that cannot stand for itself. NUL has none: \u0000 is refused by our reader and by many others.
static const char escapes[128] = {
    ['"'] = '"', ['\\'] = '\\', ['\b'] = 'b', ['\f'] = 'f', ['\n'] = 'n', ['\r'] = 'r', ['\t'] = 't',
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

// put_special: the character that s begins with and that is not plain; its length.
static size_t put_special(struct buf *out, struct sv s) {
    unsigned char c = (unsigned char)s.p[0];
    size_t length = c >= 0x80 ? utf8_length(s) : 0;
    if (length > 0)
        buf_put(out, sv_sub(s, 0, length));
    else if (c < sizeof escapes && escapes[c])
        buf_put(out, (struct sv){(const char[]){'\\', escapes[c]}, 2});
    else if (c > 0 && c < 0x20)
        buf_fmt(out, "\\u%04x", c);
    else
        buf_puts(out, REPLACEMENT);
    return length > 0 ? length : 1;
}

// put_escaped: the first `plain` bytes are known to need no escape.
static void put_escaped(struct buf *out, struct sv s, size_t plain) {
    buf_putc(out, '"');
    for (size_t at = 0;;) {
        buf_put(out, (struct sv){s.p + at, plain});
        at += plain;
        if (at == s.n)
            break;
        at += put_special(out, (struct sv){s.p + at, s.n - at});
        plain = plain_length((struct sv){s.p + at, s.n - at});
    }
    buf_putc(out, '"');
}

// Nearly all goes as it is, in one piece.
static void put_quoted(struct buf *out, struct sv s) {
    size_t plain = plain_length(s);
    char *room = s.n > 0 && plain == s.n ? buf_room(out, s.n + 2) : NULL;
    if (!room) {
        put_escaped(out, s, plain);
        return;
    }
    *room++ = '"';
    memcpy(room, s.p, s.n);
    room[s.n] = '"';
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
    char digits[20];  // of INT64_MIN with its sign
    size_t at = sizeof digits;
    uint64_t left = n < 0 ? -(uint64_t)n : (uint64_t)n;
    do
        digits[--at] = (char)('0' + left % 10);
    while ((left /= 10) > 0);
    if (n < 0)
        digits[--at] = '-';
    put_value(w, (struct sv){digits + at, sizeof digits - at});
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
