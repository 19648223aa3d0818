// klaviyo_event.c: Klaviyo's Create Event. Klaviyo answers 202 before it looks closely: what is sent must be right, because what it
// drops later it drops in silence.
#include "base/clock.h"
#include "base/crypto.h"
#include "mapping/amount.h"
#include "mapping/klaviyo/klaviyo_bulk.h"

#define BODY_BYTES_MOST ((size_t)5000000)  // Klaviyo: 5 MB
#define UNIQUE_ID_MOST 255
#define METRIC_NAME_MOST 127

static struct sv metric_name(const struct event *e, const struct shop *shop) {
    if (rule_trigger_used(e->rule, shop))
        return e->rule->trigger;
    return sv_first(e->rule->klaviyo.name, e->name == EVENT_CUSTOM ? sv_trim(event_label(e)) : SV_NONE);
}

static bool applies(struct arena *a, const struct event *e, const struct shop *shop, struct sv *ret_reason) {
    struct scope scope = scope_of(a, e, shop);
    if (!klaviyo_allowed(a, e, shop, ret_reason) || !part_applies(&e->rule->klaviyo, &scope, ret_reason))
        return false;
    struct sv metric = metric_name(e, shop);
    if (!sv_present(metric))
        *ret_reason = arena_fmt(a, "no Klaviyo metric for " SV_FMT, SV_ARG(event_label(e)));
    else if (metric.n > METRIC_NAME_MOST)
        *ret_reason = SV("the event's name is too long for a Klaviyo metric");
    else
        return true;
    return false;
}

// Without a unique_id only one event per person, metric and second would survive; too long an id is replaced by its hash.
static struct sv unique_id(struct arena *a, struct sv id) {
    if (id.n <= UNIQUE_ID_MOST)
        return id;
    struct digest digest = sha256(id);
    return hex_of(a, digest.b, SHA256_LEN);
}

static void write_value(struct jw *w, struct arena *a, const struct event *e, const struct shop *shop) {
    struct scope scope = scope_of(a, e, shop);
    struct value value = e->rule->value ? expression_value(e->rule->value, &scope) : (struct value){0};
    if (!amount_valid(value.text))
        return;
    jw_member_number(w, "value", value.text);
    jw_member(w, "value_currency", currency_upper(a, e->currency));
}

// The least that says who it is. Where e-mail and phone belong to two profiles Klaviyo would refuse the event, or give it to the wrong
// one; the number comes with the profile, and there nothing is lost when it is refused.
static struct identifiers least_identifiers(struct arena *a, const struct user *u) {
    struct identifiers ids = klaviyo_identifiers(a, u);
    if (sv_present(ids.email))
        ids.phone = SV_NONE;
    return ids;
}

static size_t write_event(struct jw *w, struct arena *a, const struct event *e, const struct shop *shop, int64_t now_ms) {
    bool backfill = klaviyo_is_backfill(e, now_ms);
    struct identifiers ids = least_identifiers(a, &e->user);
    klaviyo_open(w, NULL, "event");
    jw_key(w, "properties");
    size_t tell_at = klaviyo_properties(w, a, e, shop);
    jw_member(w, "time", time_iso(a, e->time_ms < now_ms ? e->time_ms : now_ms));
    if (!rule_trigger_used(e->rule, shop))
        write_value(w, a, e, shop);
    jw_member(w, "unique_id", unique_id(a, e->id));
    if (backfill) {
        jw_key(w, "backfill");
        jw_bool(w, true);
    }
    klaviyo_open(w, "metric", "metric");
    jw_member(w, "name", metric_name(e, shop));
    klaviyo_close(w);
    klaviyo_open(w, "profile", "profile");
    klaviyo_identify(w, &ids);
    if (!backfill)  // each attribute is written to the profile: old names must not replace newer ones
        klaviyo_describe(w, a, &e->user);
    klaviyo_close(w);
    klaviyo_close(w);
    return tell_at;
}

static struct draft draft(struct arena *a, const struct event *e, const struct shop *shop, int64_t now_ms) {
    struct buf out;
    struct jw w;
    buf_init(&out, BODY_BYTES_MOST);
    jw_init(&w, &out);
    struct draft made = {.tell_at = write_event(&w, a, e, shop, now_ms)};
    made.body = buf_take(&out, a);
    return made;
}

static void address(struct arena *a, const struct shop *shop, const struct draft *sent, struct request *ret) {
    (void)sent;
    klaviyo_address(a, shop, "/api/events", ret);
}

const struct destination destination_klaviyo = {
    .name = "klaviyo.event",
    .account = "klaviyo",
    .allowed = klaviyo_allowed,
    .applies = applies,
    .draft = draft,
    .address = address,
    .outcome = klaviyo_outcome,
    .quota = klaviyo_event_quota,
    .bulk = &klaviyo_bulk,
    .tell = klaviyo_tell,
};
