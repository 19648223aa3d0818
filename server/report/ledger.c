// ledger.c: a line is {"event","source","origin","time","order","repeat","meta_event","meta","has":"em fbc","clicked","klaviyo","gap"};
// what is absent or false is left out. Names are never changed: lines of older versions are read for months.
#include "server/report/ledger.h"

#include "base/json.h"

#define LINE_BYTES_MOST 4096

static const char *const outcomes[META_OUTCOME_COUNT] = {
    [META_OTHER] = "other", [META_SENT] = "sent", [META_FAILED] = "failed", [META_EXPIRED] = "expired",
    [META_CONSENT_DENIED] = "consent_denied", [META_CONSENT_UNKNOWN] = "consent_unknown", [META_OPTED_OUT] = "opted_out",
    [META_NO_IDENTITY] = "no_identity", [META_NO_VALUE] = "no_value", [META_NOT_MAPPED] = "not_mapped",
    [META_NOT_CONFIGURED] = "not_configured", [META_TEST] = "test",
};

// How the reasons of the plan begin (mapping/meta/meta.c, mapping/consent.c, mapping/rules/rules.c, dispatch/plan.c).
static const struct {
    const char *begins;
    enum meta_outcome outcome;
} reasons[] = {
    {"consent denied", META_CONSENT_DENIED},
    {"consent unknown", META_CONSENT_UNKNOWN},
    {"opted out of sale", META_OPTED_OUT},
    {"expired", META_EXPIRED},
    {"too little identity", META_NO_IDENTITY},
    {"Purchase without", META_NO_VALUE},
    {"no Meta event", META_NOT_MAPPED},
    {"skipped by the mapping", META_NOT_MAPPED},
    {"the mapping's `when`", META_NOT_MAPPED},
    {"meta is not configured", META_NOT_CONFIGURED},
    {"test event", META_TEST},
};

static const char *const identifiers[IDENTIFIER_COUNT] = {"em", "ph", "external_id", "fbp", "fbc", "ip+ua"};

const char *meta_outcome_text(enum meta_outcome outcome) {
    return outcomes[outcome];
}

const char *identifier_text(enum identifier id) {
    return identifiers[id];
}

enum meta_outcome meta_skipped(struct sv reason) {
    for (size_t i = 0; i < COUNTOF(reasons); i++)
        if (sv_starts(reason, sv_of(reasons[i].begins)))
            return reasons[i].outcome;
    return META_OTHER;
}

bool meta_meant(enum meta_outcome outcome) {
    return outcome != META_NOT_MAPPED && outcome != META_NOT_CONFIGURED && outcome != META_TEST;
}

void identifiers_read(struct sv identity, bool ret[IDENTIFIER_COUNT]) {
    struct sv pair, key, from;
    bool ip = false, agent = false;
    for (size_t i = 0; i < IDENTIFIER_COUNT; i++)
        ret[i] = false;
    for (bool more = sv_present(identity); more;) {
        more = sv_cut(identity, ',', &pair, &identity);
        sv_cut(sv_trim(pair), '=', &key, &from);
        ip |= sv_is(key, "client_ip_address");
        agent |= sv_is(key, "client_user_agent");
        for (size_t i = 0; i < IDENTIFIER_COUNT; i++)
            ret[i] |= sv_is(key, identifiers[i]);
    }
    ret[ID_BROWSER] = ip && agent;
}

struct sv order_of(struct sv order_id, struct sv event_id) {
    const struct sv gid = SV("gid://shopify/Order/");
    struct sv kind, number, what;
    order_id = sv_trim(order_id);
    if (sv_present(order_id))
        return sv_starts(order_id, gid) ? sv_sub(order_id, gid.n, order_id.n) : order_id;
    if (!sv_cut(event_id, '_', &kind, &number) || !sv_is(kind, "ord"))
        return event_id;
    sv_cut(number, '_', &number, &what);
    return sv_present(number) ? number : event_id;
}

static void write_true(struct jw *w, const char *key, bool value) {
    if (!value)
        return;
    jw_key(w, key);
    jw_bool(w, true);
}

static void write_number(struct jw *w, const char *key, int64_t n) {
    jw_key(w, key);
    jw_int(w, n);
}

static struct sv identifiers_line(struct arena *a, const bool has[IDENTIFIER_COUNT]) {
    struct sv line = SV_NONE;
    for (size_t i = 0; i < IDENTIFIER_COUNT; i++)
        if (has[i])
            line = arena_join(a, SVS(line, line.p ? SV(" ") : SV(""), sv_of(identifiers[i])));
    return line;
}

struct sv ledger_write(struct arena *a, const struct ledger_entry *e) {
    struct buf out;
    struct jw w;
    buf_init(&out, LINE_BYTES_MOST);
    jw_init(&w, &out);
    jw_open(&w, '{');
    jw_member(&w, "event", e->event);
    jw_member(&w, "source", e->source);
    jw_member(&w, "origin", e->origin);
    jw_member(&w, "order", e->order);
    write_true(&w, "repeat", e->repeat);
    if (!e->repeat) {
        write_number(&w, "time", e->time_ms);
        jw_member(&w, "meta_event", e->meta_event);
        jw_member(&w, "meta", sv_of(outcomes[e->meta]));
        jw_member(&w, "has", identifiers_line(a, e->identifiers));
        write_true(&w, "clicked", e->clicked);
        jw_member(&w, "klaviyo", e->klaviyo);
        if (e->has_gap)
            write_number(&w, "gap", e->gap_ms);
    }
    jw_close(&w, '}');
    return buf_take(&out, a);
}

static void read_has(struct sv has, bool ret[IDENTIFIER_COUNT]) {
    struct sv word;
    for (bool more = has.p != NULL; more;) {
        more = sv_cut(has, ' ', &word, &has);
        for (size_t i = 0; i < IDENTIFIER_COUNT; i++)
            ret[i] |= sv_is(word, identifiers[i]);
    }
}

bool ledger_read(struct arena *a, struct sv line, struct ledger_entry *ret) {
    struct json *root;
    *ret = (struct ledger_entry){0};
    if (json_parse(a, line, &root, NULL) != RC_OK || !sv_present(json_str(root, "event")) || !sv_present(json_str(root, "source")))
        return false;
    *ret = (struct ledger_entry){
        .event = json_str(root, "event"), .source = json_str(root, "source"), .origin = json_str(root, "origin"),
        .repeat = json_is_true(json_get(root, "repeat")), .order = json_str(root, "order"), .meta_event = json_str(root, "meta_event"),
        .clicked = json_is_true(json_get(root, "clicked")), .klaviyo = json_str(root, "klaviyo"),
    };
    struct sv meta = json_str(root, "meta");
    for (size_t i = 0; i < META_OUTCOME_COUNT; i++)
        if (sv_is(meta, outcomes[i]))
            ret->meta = (enum meta_outcome)i;
    read_has(json_str(root, "has"), ret->identifiers);
    ret->has_gap = sv_i64(json_str(root, "gap"), &ret->gap_ms);
    return ret->repeat || sv_i64(json_str(root, "time"), &ret->time_ms);
}
