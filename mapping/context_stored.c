// context_stored.c: a context as it is kept, and two of them made one:
// {"fbp":["fb.1...",ms],...,"consent":{"marketing":"granted","analytics":"denied","opt_out_of_sale":true,"at":ms},
// "links":["context:checkout:..."]}
#include "mapping/consent.h"
#include "mapping/context.h"

#include <stddef.h>
#include <string.h>

#define CONTEXT_BYTES_MOST ((size_t)64 << 10)

static const struct member {
    const char *name;
    size_t offset;  // of a struct seen_text in struct context
} members[] = {
#define MEMBER(field) {#field, offsetof(struct context, field)}
    MEMBER(fbp), MEMBER(fbc), MEMBER(fbclid), MEMBER(ip), MEMBER(user_agent), MEMBER(page_url), MEMBER(email), MEMBER(customer_id),
};

static struct seen_text *at(struct context *c, const struct member *m) {
    return (struct seen_text *)(void *)((char *)c + m->offset);
}

static const char *const states[] = {[CONSENT_UNKNOWN] = NULL, [CONSENT_GRANTED] = "granted", [CONSENT_DENIED] = "denied"};

static void write_links(struct jw *w, const struct context *c) {
    if (c->link_count == 0)
        return;
    jw_key(w, "links");
    jw_open(w, '[');
    for (size_t i = 0; i < c->link_count; i++)
        jw_string(w, c->links[i]);
    jw_close(w, ']');
}

struct sv context_write(struct arena *a, const struct context *c) {
    struct context copy = *c;
    struct buf out;
    struct jw w;
    buf_init(&out, CONTEXT_BYTES_MOST);
    jw_init(&w, &out);
    jw_open(&w, '{');
    for (size_t i = 0; i < COUNTOF(members); i++) {
        const struct seen_text *seen = at(&copy, &members[i]);
        if (!sv_present(seen->text))
            continue;
        jw_key(&w, members[i].name);
        jw_open(&w, '[');
        jw_string(&w, seen->text);
        jw_int(&w, seen->at_ms);
        jw_close(&w, ']');
    }
    if (consent_told(&c->consent)) {
        jw_key(&w, "consent");
        jw_open(&w, '{');
        jw_member(&w, "marketing", sv_of(states[c->consent.marketing]));
        jw_member(&w, "analytics", sv_of(states[c->consent.analytics]));
        jw_key(&w, "opt_out_of_sale");
        jw_bool(&w, c->consent.opt_out_of_sale);
        if (c->consent.sale_allowed) {
            jw_key(&w, "sale_allowed");
            jw_bool(&w, true);
        }
        jw_key(&w, "at");
        jw_int(&w, c->consent_at_ms);
        jw_close(&w, '}');
    }
    write_links(&w, c);
    jw_close(&w, '}');
    struct sv json = buf_ok(&out) ? arena_dup(a, buf_sv(&out)) : SV_NONE;
    buf_free(&out);
    return json;
}

static bool read_seen(const struct json *node, struct seen_text *ret) {
    if (!node)
        return true;
    if (!json_is_array(node) || node->count != 2 || node->child->type != JSON_STRING)
        return false;
    ret->text = node->child->text;
    return sv_i64(json_text(node->child->next), &ret->at_ms);
}

static bool read_state(struct sv text, enum consent_state *ret) {
    *ret = sv_is(text, "granted") ? CONSENT_GRANTED : sv_is(text, "denied") ? CONSENT_DENIED : CONSENT_UNKNOWN;
    return !text.p || *ret != CONSENT_UNKNOWN;
}

static bool read_consent(const struct json *node, struct context *c) {
    if (!node)
        return true;
    c->consent.opt_out_of_sale = json_is_true(json_get(node, "opt_out_of_sale"));
    c->consent.sale_allowed = json_is_true(json_get(node, "sale_allowed"));
    return read_state(json_str(node, "marketing"), &c->consent.marketing) && read_state(json_str(node, "analytics"), &c->consent.analytics) &&
           sv_i64(json_str(node, "at"), &c->consent_at_ms);
}

static bool read_links(const struct json *node, struct context *c) {
    if (node && (!json_is_array(node) || node->count > CONTEXT_LINKS_MAX))
        return false;
    JSON_EACH(link, node) {
        if (link->type != JSON_STRING || !sv_present(link->text))
            return false;
        c->links[c->link_count++] = link->text;
    }
    return true;
}

enum rc context_read(struct arena *a, struct sv json, struct context *ret, struct err *e) {
    struct json *root;
    struct context c = {0};
    *ret = c;
    if (json_parse(a, json, &root, e))
        return err_wrap(e, "stored context");
    bool fine = json_is_object(root) && read_consent(json_get(root, "consent"), &c) &&
                read_links(json_get(root, "links"), &c);
    for (size_t i = 0; i < COUNTOF(members) && fine; i++)
        fine = read_seen(json_get(root, members[i].name), at(&c, &members[i]));
    if (!fine)
        return err_set(e, RC_INVALID, "stored context: it cannot be understood");
    *ret = c;
    return RC_OK;
}

// ---- merging

static void merge_seen(struct seen_text *known, struct seen_text newer) {
    if (sv_present(newer.text) && (!sv_present(known->text) || newer.at_ms >= known->at_ms))
        *known = newer;
}

static void merge_click(struct seen_text *known, struct seen_text newer) {
    bool same = sv_present(known->text) && sv_eq(known->text, newer.text);
    if (same && newer.at_ms < known->at_ms)
        known->at_ms = newer.at_ms;
    else if (!same)
        merge_seen(known, newer);
}

static void merge_consent(struct context *known, const struct context *newer) {
    struct consent merged = known->consent;
    if (newer->consent_at_ms == known->consent_at_ms) {
        consent_tighten(&merged, newer->consent);
    } else if (newer->consent_at_ms > known->consent_at_ms) {
        consent_apply(&merged, newer->consent);
        known->consent_at_ms = newer->consent_at_ms;
    } else {
        merged = newer->consent;
        consent_apply(&merged, known->consent);
    }
    known->consent = merged;
}

// Beyond their number the oldest ones go.
static void merge_links(struct context *known, const struct context *newer) {
    for (size_t i = 0; i < newer->link_count; i++) {
        size_t k = 0;
        while (k < known->link_count && !sv_eq(known->links[k], newer->links[i]))
            k++;
        if (k < known->link_count)
            continue;
        if (known->link_count == CONTEXT_LINKS_MAX)
            memmove(known->links, known->links + 1, --known->link_count * sizeof *known->links);
        known->links[known->link_count++] = newer->links[i];
    }
}

void context_merge(struct context *known, const struct context *newer) {
    struct context copy = *newer;
    merge_consent(known, newer);
    if (known->consent.marketing == CONSENT_DENIED) {
        *known = (struct context){.consent = known->consent, .consent_at_ms = known->consent_at_ms};
        return;
    }
    merge_links(known, newer);
    merge_click(&known->fbclid, copy.fbclid);
    copy.fbclid = (struct seen_text){0};
    for (size_t i = 0; i < COUNTOF(members); i++)
        merge_seen(at(known, &members[i]), *at(&copy, &members[i]));
}
