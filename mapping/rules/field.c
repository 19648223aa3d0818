// field.c: what a field is worth, and writing it within a destination's limits.
// Whether an object or a list of objects has anything in it shows only once it is written; when not, it is taken back.
#include "mapping/amount.h"
#include "mapping/rules/expression.h"
#include "mapping/rules/number.h"
#include "mapping/unicode.h"

#include <stdlib.h>
#include <string.h>

// ---- values

static struct value list_of_one(struct arena *a, struct value v) {
    if (v.kind != VALUE_TEXT && v.kind != VALUE_NUMBER)
        return v;
    struct sv *list = ARENA_NEW(a, struct sv);
    *list = v.text;
    return (struct value){.kind = VALUE_LIST, .list = list, .count = 1};
}

static struct value converted(struct arena *a, struct value v, enum conversion as) {
    bool is_text = v.kind == VALUE_TEXT || v.kind == VALUE_NUMBER;
    if (as == AS_IT_IS)
        return v;
    if (as == AS_LIST)
        return list_of_one(a, v);
    if (as == AS_TEXT && v.kind == VALUE_BOOL)
        return (struct value){.kind = VALUE_TEXT, .text = v.truth ? SV("true") : SV("false")};
    if (as == AS_TEXT && is_text)
        return (struct value){.kind = VALUE_TEXT, .text = v.text};
    struct sv number = is_text ? sv_trim(v.text) : SV_NONE;
    if (as == AS_NUMBER && number_valid(number))
        return (struct value){.kind = VALUE_NUMBER, .text = number};
    return (struct value){0};
}

static struct value first_value(const struct expression *x, const struct scope *s) {
    struct value v = {0};
    for (size_t i = 0; i < x->path_count && v.kind == VALUE_NONE; i++)
        v = converted(s->arena, path_value(x->paths[i], s), x->as);
    return v;
}

// The scope in which item i is at hand; false when `when` leaves it out.
static bool item_scope(const struct expression *x, const struct scope *s, size_t i, struct scope *ret) {
    *ret = *s;
    ret->item = &s->event->items[i];
    return condition_holds(x->when, ret);
}

struct entry {
    struct sv text;
    size_t place;
};

static int by_text(const void *left, const void *right) {
    const struct entry *a = left, *b = right;
    size_t n = a->text.n < b->text.n ? a->text.n : b->text.n;
    int difference = memcmp(a->text.p, b->text.p, n);
    if (difference)
        return difference;
    if (a->text.n != b->text.n)
        return a->text.n < b->text.n ? -1 : 1;
    return a->place < b->place ? -1 : a->place > b->place;
}

static int by_place(const void *left, const void *right) {
    const struct entry *a = left, *b = right;
    return a->place < b->place ? -1 : a->place > b->place;
}

#define FEW 16

static bool is_among(const struct entry *entries, size_t n, struct sv text) {
    for (size_t i = 0; i < n; i++)
        if (sv_eq(entries[i].text, text))
            return true;
    return false;
}

// distinct: how many they are; these stand first, in their order. Very many are sorted, so that they take no longer than they should, and
// back; a few are compared with each other, which takes a tenth of that.
static size_t distinct(struct entry *entries, size_t n) {
    size_t kept = 0;
    bool few = n <= FEW;
    if (!few)
        qsort(entries, n, sizeof *entries, by_text);
    for (size_t i = 0; i < n; i++) {
        size_t from = few || kept == 0 ? 0 : kept - 1;  // among sorted ones the same can only be the last
        if (!is_among(&entries[from], kept - from, entries[i].text))
            entries[kept++] = entries[i];
    }
    if (!few)
        qsort(entries, kept, sizeof *entries, by_place);
    return kept;
}

static struct value list_value(const struct expression *x, const struct scope *s) {
    struct entry *entries = ARENA_ARRAY(s->arena, struct entry, s->event->item_count);
    size_t n = 0;
    for (size_t i = 0; i < s->event->item_count; i++) {
        struct scope at;
        struct value v = {0};
        if (item_scope(x, s, i, &at))
            v = path_value(x->paths[0], &at);
        if (v.kind == VALUE_TEXT || v.kind == VALUE_NUMBER)
            entries[n++] = (struct entry){v.text, i};
    }
    if (n == 0)
        return (struct value){0};
    size_t kept = distinct(entries, n);
    struct sv *list = ARENA_ARRAY(s->arena, struct sv, kept);
    for (size_t i = 0; i < kept; i++)
        list[i] = entries[i].text;
    return (struct value){.kind = VALUE_LIST, .list = list, .count = kept};
}

static struct value count_value(const struct expression *x, const struct scope *s) {
    struct scope at;
    size_t n = 0;
    for (size_t i = 0; i < s->event->item_count; i++)
        n += item_scope(x, s, i, &at);
    return (struct value){.kind = VALUE_NUMBER, .text = arena_fmt(s->arena, "%zu", n)};
}

static struct value sum_value(const struct expression *x, const struct scope *s) {
    struct value sum = {0};
    for (size_t i = 0; i < s->event->item_count; i++) {
        struct scope at;
        struct value v = {0};
        if (item_scope(x, s, i, &at))
            v = path_value(x->paths[0], &at);
        if (v.kind == VALUE_NUMBER && sum.kind == VALUE_NUMBER)
            sum.text = number_plus(s->arena, sum.text, v.text);
        else if (v.kind == VALUE_NUMBER)
            sum = v;
    }
    return sum;
}

bool expression_names_person(const struct expression *x) {
    for (size_t i = 0; i < x->path_count; i++)
        if (path_is_person(x->paths[i]))
            return true;
    for (size_t i = 0; i < x->fields.n; i++)
        if (expression_names_person(x->fields.v[i].from))
            return true;
    return false;
}

bool expression_may_be_amount(const struct expression *x) {
    bool number = x->source == OF_COUNT || x->source == OF_SUM || (x->source == FROM_PATHS && x->as != AS_LIST);
    return number || (x->source == FROM_CONSTANT && amount_valid(x->constant.text));
}

struct value expression_value(const struct expression *x, const struct scope *s) {
    bool of_items = x->source == OF_LIST || x->source == OF_COUNT || x->source == OF_SUM;
    if (!of_items && !condition_holds(x->when, s))
        return (struct value){0};
    switch (x->source) {
    case FROM_PATHS: return first_value(x, s);
    case FROM_CONSTANT: return x->constant;
    case OF_LIST: return list_value(x, s);
    case OF_COUNT: return count_value(x, s);
    case OF_SUM: return sum_value(x, s);
    default: return (struct value){0};
    }
}

// ---- writing values: level counts from 1, the value of a field

static struct sv cut(struct sv s, const struct limits *limits) {
    if (s.n <= limits->text_bytes)
        return s;
    size_t at = 0;
    uint32_t code;
    for (size_t step; (step = unicode_next(sv_sub(s, at, s.n), &code)) > 0 && at + step <= limits->text_bytes;)
        at += step;
    return sv_sub(s, 0, at);
}

// A whole number beyond 64 bits is an id, and stays exact as a text.
static void write_number(struct jw *w, struct sv number, const struct limits *limits) {
    if (number_valid(number) && number_fits(number))
        jw_number(w, number);
    else
        jw_string(w, cut(number, limits));
}

static void write_node(struct jw *w, const struct json *node, const struct limits *limits, unsigned level);

static void write_children(struct jw *w, const struct json *node, const struct limits *limits, unsigned level) {
    bool is_object = node->type == JSON_OBJECT;
    size_t n = 0;
    jw_open(w, is_object ? '{' : '[');
    JSON_EACH(child, node) {
        if (level >= limits->depth || n++ == limits->list_length || !buf_ok(w->out))
            break;
        if (is_object)
            jw_key_sv(w, cut(child->key, limits));
        write_node(w, child, limits, level + 1);
    }
    jw_close(w, is_object ? '}' : ']');
}

// As deep as the limits allow.
static void write_node(struct jw *w, const struct json *node, const struct limits *limits, unsigned level) {
    switch (node->type) {
    case JSON_NUMBER: write_number(w, node->text, limits); break;
    case JSON_STRING: jw_string(w, cut(node->text, limits)); break;
    case JSON_ARRAY:
    case JSON_OBJECT: write_children(w, node, limits, level); break;
    default: jw_node(w, node); break;
    }
}

static void write_value(struct jw *w, const struct value *v, const struct limits *limits, unsigned level) {
    switch (v->kind) {
    case VALUE_NONE: jw_node(w, NULL); break;
    case VALUE_TEXT: jw_string(w, cut(v->text, limits)); break;
    case VALUE_NUMBER: write_number(w, v->text, limits); break;
    case VALUE_BOOL: jw_bool(w, v->truth); break;
    case VALUE_NODE: write_node(w, v->node, limits, level); break;
    case VALUE_LIST:
        jw_open(w, '[');
        for (size_t i = 0; i < v->count && i < limits->list_length && level < limits->depth; i++)
            jw_string(w, cut(v->list[i], limits));
        jw_close(w, ']');
        break;
    }
}

void value_write(struct jw *w, const struct value *v, const struct limits *limits) {
    write_value(w, v, limits, 1);
}

// ---- writing fields

static bool write_member(struct jw *w, struct sv name, const struct expression *x, const struct scope *s, const struct limits *limits,
                         unsigned level);

// Where the writer was.
struct mark {
    struct jw writer;
    size_t n;
};

static struct mark mark(const struct jw *w) {
    return (struct mark){*w, w->out->n};
}

// Takes back what was written since; a failure stays.
static bool take_back(struct jw *w, const struct mark *to) {
    *w = to->writer;
    if (w->out->n > to->n)
        w->out->n = to->n;
    return false;
}

static bool write_object(struct jw *w, const struct fields *fields, const struct scope *s, const struct limits *limits, unsigned level) {
    const struct mark before = mark(w);
    size_t written = 0;
    if (level >= limits->depth)
        return false;
    jw_open(w, '{');
    for (size_t i = 0; i < fields->n && buf_ok(w->out); i++)
        written += write_member(w, fields->v[i].name, fields->v[i].from, s, limits, level + 1);
    jw_close(w, '}');
    return written > 0 || take_back(w, &before);
}

static bool write_each(struct jw *w, const struct expression *x, const struct scope *s, const struct limits *limits, unsigned level) {
    size_t written = 0;
    jw_open(w, '[');
    for (size_t i = 0; i < s->event->item_count && written < limits->list_length && buf_ok(w->out); i++) {
        struct scope at;
        if (item_scope(x, s, i, &at))
            written += write_object(w, &x->fields, &at, limits, level + 1);
    }
    jw_close(w, ']');
    return written > 0;
}

// Klaviyo ignores a property that is 0, null or "", and so may everybody.
static bool is_empty(const struct value *v) {
    switch (v->kind) {
    case VALUE_NONE: return true;
    case VALUE_TEXT: return v->text.n == 0;
    case VALUE_NUMBER: return v->text.n == 0 || (number_valid(v->text) && number_is_zero(v->text));
    case VALUE_BOOL: return false;
    case VALUE_LIST: return v->count == 0;
    case VALUE_NODE: return v->node->count == 0;
    }
    return true;
}

static bool write_plain(struct jw *w, const struct expression *x, const struct scope *s, const struct limits *limits, unsigned level) {
    struct value v = expression_value(x, s);
    bool has_levels = v.kind == VALUE_LIST || v.kind == VALUE_NODE;
    if (is_empty(&v) || (has_levels && level >= limits->depth))
        return false;
    write_value(w, &v, limits, level);
    return true;
}

static bool write_member(struct jw *w, struct sv name, const struct expression *x, const struct scope *s, const struct limits *limits,
                         unsigned level) {
    const struct mark before = mark(w);
    bool written;
    jw_key_sv(w, cut(name, limits));
    if (x->source == OF_EACH)
        written = write_each(w, x, s, limits, level);
    else if (x->source == FROM_FIELDS)
        written = condition_holds(x->when, s) && write_object(w, &x->fields, s, limits, level);
    else
        written = write_plain(w, x, s, limits, level);
    return written || take_back(w, &before);
}

bool field_write(struct jw *w, const struct field *f, const struct scope *s, const struct limits *limits) {
    return write_member(w, f->name, f->from, s, limits, 1);
}
