// klaviyo_list.c: subscribing to the shop's list, and from it. Only on consent that the event itself carries. A subscription lifts an
// unsubscription at Klaviyo, so it is sent once, not again with each event.
#include "base/clock.h"
#include "mapping/klaviyo/klaviyo.h"
#include "mapping/subscription.h"

#define BODY_BYTES_MOST ((size_t)64 << 10)
#define SOURCE_BYTES_MOST 200

static bool is_leaving(const struct event *e) {
    return e->name == EVENT_CONSENT_REVOKED;
}

static bool allowed(struct arena *a, const struct event *e, const struct shop *shop, struct sv *ret_reason) {
    if (!shop->klaviyo.configured || !sv_present(shop->klaviyo.list_id)) {
        *ret_reason = SV("no list_id is configured");
        return false;
    }
    return is_leaving(e) || klaviyo_allowed(a, e, shop, ret_reason);  // who leaves is let go, whatever else is allowed
}

static bool applies(struct arena *a, const struct event *e, const struct shop *shop, struct sv *ret_reason) {
    struct scope scope = scope_of(a, e, shop);
    if (e->name != EVENT_SIGN_UP && !is_leaving(e))
        *ret_reason = SV("no sign-up");
    else if (!allowed(a, e, shop, ret_reason) || !part_applies(&e->rule->klaviyo, &scope, ret_reason))
        return false;
    else
        return is_leaving(e) ? subscription_reachable(a, e, ret_reason) : subscription_begins(a, e, shop, ret_reason);
    return false;
}

// Klaviyo: consented_at goes with historical_import only, which sends no confirmation and starts no flow of the list: right for a
// consent that is old news, and for one that was confirmed elsewhere.
static bool is_history(const struct event *e, const struct shop *shop, int64_t now_ms) {
    return klaviyo_is_backfill(e, now_ms) || shop->klaviyo.double_opt_in;
}

// Klaviyo: in the past; anything else refuses the whole job.
static struct sv consented_at(struct arena *a, const struct event *e, int64_t now_ms) {
    int64_t since_ms;
    if (!time_parse(event_property_text(e, "consented_at"), 0, &since_ms) || since_ms > now_ms)
        since_ms = e->time_ms;
    return time_iso(a, since_ms < now_ms ? since_ms : now_ms);
}

// since: absent where it is not history.
static void write_subscription(struct jw *w, const struct event *e, struct sv since) {
    jw_key(w, "subscriptions");
    jw_open(w, '{');
    jw_key(w, subscription_by_sms(e) ? "sms" : "email");
    jw_open(w, '{');
    jw_key(w, "marketing");
    jw_open(w, '{');
    jw_member(w, "consent", is_leaving(e) ? SV("UNSUBSCRIBED") : SV("SUBSCRIBED"));
    jw_member(w, "consented_at", since);
    for (int i = 0; i < 3; i++)
        jw_close(w, '}');
}

static void write_profiles(struct jw *w, struct arena *a, const struct event *e, struct sv since) {
    struct identifiers ids = klaviyo_identifiers(a, &e->user);
    jw_key(w, "profiles");
    jw_open(w, '{');
    jw_key(w, "data");
    jw_open(w, '[');
    jw_open(w, '{');
    jw_member(w, "type", SV("profile"));
    jw_key(w, "attributes");
    jw_open(w, '{');
    jw_member(w, subscription_by_sms(e) ? "phone_number" : "email", subscription_by_sms(e) ? ids.phone : ids.email);
    write_subscription(w, e, since);
    jw_close(w, '}');
    jw_close(w, '}');
    jw_close(w, ']');
    jw_close(w, '}');
}

static void write_list(struct jw *w, const struct shop *shop) {
    jw_key(w, "relationships");
    jw_open(w, '{');
    jw_key(w, "list");
    jw_open(w, '{');
    jw_key(w, "data");
    jw_open(w, '{');
    jw_member(w, "type", SV("list"));
    jw_member(w, "id", shop->klaviyo.list_id);
    for (int i = 0; i < 3; i++)
        jw_close(w, '}');
}

static void write_job(struct jw *w, struct arena *a, const struct event *e, const struct shop *shop, int64_t now_ms) {
    bool history = !is_leaving(e) && is_history(e, shop, now_ms);
    jw_open(w, '{');
    jw_key(w, "data");
    jw_open(w, '{');
    jw_member(w, "type", is_leaving(e) ? SV("profile-subscription-bulk-delete-job") : SV("profile-subscription-bulk-create-job"));
    jw_key(w, "attributes");
    jw_open(w, '{');
    if (!is_leaving(e)) {
        struct sv source = sv_first(event_property_text(e, "signup_source"), event_property_text(e, "source"));
        jw_member(w, "custom_source", sv_sub(sv_first(source, SV("fireorder")), 0, SOURCE_BYTES_MOST));
    }
    if (history) {
        jw_key(w, "historical_import");
        jw_bool(w, true);
    }
    write_profiles(w, a, e, history ? consented_at(a, e, now_ms) : SV_NONE);
    jw_close(w, '}');
    write_list(w, shop);
    jw_close(w, '}');
    jw_close(w, '}');
}

// Klaviyo: who is not in the list that an unsubscription names is unsubscribed from everything, so it goes out only for those who were
// subscribed from here.
static struct draft draft(struct arena *a, const struct event *e, const struct shop *shop, int64_t now_ms) {
    struct buf out;
    struct jw w;
    buf_init(&out, BODY_BYTES_MOST);
    jw_init(&w, &out);
    write_job(&w, a, e, shop, now_ms);
    struct draft made = {.body = buf_take(&out, a), .undoes = is_leaving(e)};
    // One consent is told once, by whichever webhook it comes; a new one, after they left perhaps, is told again.
    made.essence = arena_fmt(a, "state=%s " SV_FMT "\n", is_leaving(e) ? "left" : "subscribed",
                             SV_ARG(sv_first(event_property_text(e, "consented_at"), time_iso(a, e->time_ms))));
    return made;
}

static void address(struct arena *a, const struct shop *shop, const struct draft *sent, struct request *ret) {
    klaviyo_address(a, shop, sent->undoes ? "/api/profile-subscription-bulk-delete-jobs" : "/api/profile-subscription-bulk-create-jobs", ret);
}

const struct destination destination_klaviyo_list = {
    .name = "klaviyo.list",
    .account = "klaviyo",
    .changes = subscription_key,
    .allowed = allowed,
    .applies = applies,
    .draft = draft,
    .address = address,
    .outcome = klaviyo_side_outcome,
    .quota = klaviyo_people_quota,
};
