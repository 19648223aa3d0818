// klaviyo_profile.c: Klaviyo's profile import: what is known of the person, before the event that flows look at. It answers once the
// profile is written, so a flow that the event starts sees it.
#include "base/clock.h"
#include "mapping/klaviyo/klaviyo.h"

#define BODY_BYTES_MOST ((size_t)95000)  // Klaviyo: 100 KB a profile

// More than who it is; where no event follows that would say this, that too.
static bool says_something(struct arena *a, const struct event *e) {
    const struct user *u = &e->user;
    struct identifiers ids = klaviyo_identifiers(a, u);
    return sv_present(u->first_name) || sv_present(u->last_name) || sv_present(u->locale) || sv_present(u->city) || sv_present(u->region) ||
           sv_present(u->zip) || sv_present(u->country) || (sv_present(ids.email) && sv_present(ids.phone)) || e->rule->profile.n > 0 ||
           e->rule->klaviyo.skip;
}

static bool applies(struct arena *a, const struct event *e, const struct shop *shop, struct sv *ret_reason) {
    struct scope scope = scope_of(a, e, shop);
    struct rule_part part = e->rule->klaviyo;
    part.skip = part.skip && !e->rule->identify;  // what is skipped is the event
    if (!klaviyo_allowed(a, e, shop, ret_reason) || !part_applies(&part, &scope, ret_reason))
        return false;
    if (!e->rule->identify)
        *ret_reason = SV("the mapping does not identify here");
    else if (!says_something(a, e))
        *ret_reason = SV("nothing to tell of the profile");
    else
        return true;
    return false;
}

// Old attributes must not replace newer ones.
static bool expired(int64_t event_ms, int64_t now_ms) {
    return now_ms - event_ms > DAYS_MS(3);
}

// By the one identifier by which the event names the person too: with more of them somebody who gives a number now and then would have two
// marks, and each knew nothing of what was sent under the other.
static struct sv changes(struct arena *a, const struct event *e, const struct shop *shop) {
    (void)shop;
    struct identifiers ids = klaviyo_identifiers(a, &e->user);
    return arena_fmt(a, "profile:" SV_FMT, SV_ARG(sv_first(ids.email, sv_first(ids.phone, ids.external_id))));
}

static void write_properties(struct jw *w, const struct event *e, const struct scope *scope) {
    jw_key(w, "properties");
    jw_open(w, '{');
    jw_member(w, "customer_id", e->user.external_id);
    for (size_t i = 0; i < e->rule->profile.n; i++)
        (void)field_write(w, &e->rule->profile.v[i], scope, &klaviyo_limits);
    jw_close(w, '}');
}

// A name is its parent's, a dot and the key.
static void write_leaves(struct arena *a, struct buf *out, struct sv parent, const struct json *node) {
    JSON_EACH(child, node) {
        if (child->child) {
            struct sv name = arena_fmt(a, SV_FMT "." SV_FMT, SV_ARG(parent), SV_ARG(child->key));
            write_leaves(a, out, name, child);
            continue;
        }
        buf_put(out, parent);
        buf_putc(out, '.');
        buf_put(out, child->key);
        buf_putc(out, '=');
        buf_put(out, child->text);
        buf_putc(out, '\n');
    }
}

// Each attribute by itself, so that an event which says less than the one before it changes nothing.
static struct sv essence_of(struct arena *a, struct sv body) {
    struct json *root;
    struct buf out;
    buf_init(&out, 2 * BODY_BYTES_MOST);
    if (json_parse(a, body, &root, NULL) == RC_OK)
        write_leaves(a, &out, SV(""), json_at(root, "data.attributes"));
    struct sv essence = arena_dup(a, buf_sv(&out));
    buf_free(&out);
    return essence;
}

static struct draft draft(struct arena *a, const struct event *e, const struct shop *shop, int64_t now_ms) {
    (void)now_ms;
    struct scope scope = scope_of(a, e, shop);
    struct identifiers ids = klaviyo_identifiers(a, &e->user);
    struct buf out;
    struct jw w;
    buf_init(&out, BODY_BYTES_MOST);
    jw_init(&w, &out);
    klaviyo_open(&w, NULL, "profile");
    klaviyo_identify(&w, &ids);
    klaviyo_describe(&w, a, &e->user);
    write_properties(&w, e, &scope);
    klaviyo_close(&w);
    struct draft made = {.body = buf_ok(&out) ? arena_dup(a, buf_sv(&out)) : SV_NONE};
    made.essence = essence_of(a, made.body);
    buf_free(&out);
    return made;
}

static void address(struct arena *a, const struct shop *shop, const struct draft *sent, struct request *ret) {
    (void)sent;
    klaviyo_address(a, shop, "/api/profile-import", ret);
}

const struct destination destination_klaviyo_profile = {
    .name = "klaviyo.profile",
    .account = "klaviyo",
    .perishable = true,
    .changes = changes,
    .allowed = klaviyo_allowed,
    .applies = applies,
    .expired = expired,
    .draft = draft,
    .address = address,
    .outcome = klaviyo_side_outcome,
    .quota = klaviyo_people_quota,
    .amend = klaviyo_amend,
};
