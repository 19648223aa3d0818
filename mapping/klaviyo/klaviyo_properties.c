// klaviyo_properties.c: what flows can read: our own marks, the names that Klaviyo recommends, and the event's own properties.
// Klaviyo ignores a property that is 0, null or "": such are left out. Its limits: 100 KB a string, 4,000 elements an array, depth 10,
// integers of 64 bits; beyond them it refuses the whole event.
#include "mapping/amount.h"
#include "mapping/klaviyo/klaviyo.h"

#include <string.h>

const struct limits klaviyo_limits = {.text_bytes = 100000, .list_length = 4000, .depth = 8};  // `properties` is two levels deep itself

static void member(struct jw *w, const char *key, struct sv value) {
    jw_member(w, key, sv_sub(value, 0, klaviyo_limits.text_bytes));
}

// ---- our own marks

// The disposition of Meta comes right after capi_event_id, once it is known.
static size_t write_marks(struct jw *w, struct arena *a, const struct event *e) {
    member(w, "source", SV("fireorder"));
    member(w, "event_id", e->id);
    member(w, "dedup_scope", arena_join(a, SVS(e->shop, SV(":"), event_label(e))));
    member(w, "origin", e->origin);
    member(w, "purpose", e->purpose == PURPOSE_TRANSACTIONAL ? SV("transactional") : SV("marketing"));
    member(w, "capi_event_id", e->id);
    size_t tell_at = w->out->n;
    member(w, "customer_id", e->user.external_id);  // Klaviyo: an external_id on the profile can split one person into two
    member(w, "experiment_id", e->experiment_id);
    member(w, "variant", e->experiment_variant);
    return tell_at;
}

struct sv klaviyo_tell(struct arena *a, struct draft draft, const struct disposition *before) {
    struct buf told;
    struct jw w;
    buf_init(&told, (size_t)64 << 10);
    jw_init(&w, &told);
    jw_open(&w, '{');
    member(&w, "capi_status", before->status);
    member(&w, "capi_reason", before->reason);
    jw_close(&w, '}');
    struct sv members = sv_sub(buf_sv(&told), 1, buf_sv(&told).n - 2), before_it = sv_sub(draft.body, 0, draft.tell_at);
    struct sv after_it = sv_sub(draft.body, draft.tell_at, draft.body.n);
    char *body = arena_room(a, draft.body.n + members.n + 2), *at = body;
    at = mempcpy(at, before_it.p, before_it.n);
    *at++ = ',';
    at = mempcpy(at, members.p, members.n);
    at = mempcpy(at, after_it.p, after_it.n);
    buf_free(&told);
    return (struct sv){body, (size_t)(at - body)};
}

static bool is_mark(struct sv name) {
    for (const char *const *mark = rules_marks; *mark; mark++)
        if (sv_is(name, *mark))
            return true;
    return false;
}

// ---- the event's own properties

// "$value" and its like mean something to Klaviyo, revenue for one; only $extra, which no segment sees, is the sender's to fill.
static bool may_pass(const struct property *p) {
    return !is_mark(p->name) && (!sv_starts(p->name, SV("$")) || sv_is(p->name, "$extra"));
}

static bool is_empty(const struct property *p) {
    struct sv text = p->node ? p->node->text : p->text;
    switch (p->type) {
    case JSON_NULL: return true;
    case JSON_STRING: return text.n == 0;
    case JSON_NUMBER: return text.n == 0 || amount_is_zero(text);
    case JSON_ARRAY: return p->node ? p->node->count == 0 : p->list_count == 0;
    case JSON_OBJECT: return !p->node || p->node->count == 0;
    default: return false;
    }
}

static bool is_written(const struct field *fields, const bool *written, size_t n, struct sv name) {
    for (size_t i = 0; i < n; i++)
        if (written[i] && sv_eq(fields[i].name, name))
            return true;
    return false;
}

static struct value own_value(const struct property *p) {
    if (p->node && p->type != JSON_STRING && p->type != JSON_NUMBER && p->type != JSON_TRUE && p->type != JSON_FALSE)
        return (struct value){.kind = VALUE_NODE, .node = p->node};
    struct sv text = p->node ? p->node->text : p->text;
    switch (p->type) {
    case JSON_NUMBER: return (struct value){.kind = VALUE_NUMBER, .text = text};
    case JSON_TRUE:
    case JSON_FALSE: return (struct value){.kind = VALUE_BOOL, .truth = p->type == JSON_TRUE};
    case JSON_ARRAY: return (struct value){.kind = VALUE_LIST, .list = p->list, .count = p->list_count};
    default: return (struct value){.kind = VALUE_TEXT, .text = text};
    }
}

// The event's own properties under their own names, but for those that the mapping has filled.
static void write_own(struct jw *w, const struct event *e, const bool *written) {
    for (size_t i = 0; i < e->property_count; i++) {
        const struct property *p = &e->properties[i];
        if (!may_pass(p) || is_empty(p) || is_written(e->rule->klaviyo.fields.v, written, e->rule->klaviyo.fields.n, p->name))
            continue;
        struct value value = own_value(p);
        jw_key_sv(w, sv_sub(p->name, 0, klaviyo_limits.text_bytes));
        value_write(w, &value, &klaviyo_limits);
    }
}

size_t klaviyo_properties(struct jw *w, struct arena *a, const struct event *e, const struct shop *shop) {
    const struct fields *fields = &e->rule->klaviyo.fields;
    struct scope scope = scope_of(a, e, shop);
    bool *written = ARENA_ARRAY(a, bool, fields->n + 1);
    jw_open(w, '{');
    size_t tell_at = write_marks(w, a, e);
    for (size_t i = 0; i < fields->n; i++)
        written[i] = field_write(w, &fields->v[i], &scope, &klaviyo_limits);
    if (e->rule->pass)
        write_own(w, e, written);
    jw_close(w, '}');
    return tell_at;
}
