#include "mapping/subscription.h"

#include "mapping/klaviyo/klaviyo.h"

struct sv subscription_key(struct arena *a, const struct event *e, const struct shop *shop) {
    struct identifiers ids = klaviyo_identifiers(a, &e->user);
    bool by_sms = subscription_by_sms(e);
    if (!shop->klaviyo.configured || !sv_present(shop->klaviyo.list_id))
        return SV_NONE;
    return arena_fmt(a, "list:" SV_FMT ":%s:" SV_FMT, SV_ARG(shop->klaviyo.list_id), by_sms ? "sms" : "email", SV_ARG(by_sms ? ids.phone : ids.email));
}

bool subscription_by_sms(const struct event *e) {
    return sv_is(event_property_text(e, "channel"), "sms");
}

// Permission to write to somebody: Shopify's consent topics say it by their state, people's own sign-ups by the event's consent. What
// the storefront's banner was answered is consent to be tracked, another matter.
static bool permitted(const struct event *e) {
    struct sv state = event_property_text(e, "state");
    enum consent_state marketing = e->origins.consent ? e->said : e->consent.marketing;
    if (marketing == CONSENT_DENIED)
        return false;
    return sv_present(state) ? sv_is(state, "subscribed") : marketing == CONSENT_GRANTED;
}

static bool waits_for_confirmation(const struct event *e, const struct shop *shop) {
    bool confirmed = sv_is_nocase(event_property_text(e, "opt_in_level"), "confirmed_opt_in");
    return sv_is_nocase(event_property_text(e, "state"), "pending") || (shop->klaviyo.double_opt_in && !confirmed);
}

bool subscription_reachable(struct arena *a, const struct event *e, struct sv *ret_reason) {
    struct identifiers ids = klaviyo_identifiers(a, &e->user);
    bool by_sms = subscription_by_sms(e), reachable = sv_present(by_sms ? ids.phone : ids.email);
    if (!reachable)
        *ret_reason = by_sms ? SV("no phone number") : SV("no e-mail address");
    return reachable;
}

bool subscription_begins(struct arena *a, const struct event *e, const struct shop *shop, struct sv *ret_reason) {
    if (!subscription_reachable(a, e, ret_reason))
        return false;
    if (waits_for_confirmation(e, shop))
        *ret_reason = SV("waits for the confirmation of the opt-in");
    else if (!permitted(e))
        *ret_reason = SV("no consent in the event");
    else if (e->subscribed)
        *ret_reason = SV("is subscribed already");
    else
        return true;
    return false;
}
