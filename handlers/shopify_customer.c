// shopify_customer.c: people: a new account, and what they allow a shop to send them.
//
// Consent webhooks may arrive in any order; consent_updated_at says which is the newest. Decoding cannot see the others, so it says
// whose state this is (supersedes_key "consent:<channel>:<customer>") and of when (as_of_ms), also for a state that is no event: a
// sign-up older than what is known must not be sent, whatever came between. The store has to remember one time a key.
// This is consent to be written to. It says nothing of tracking, so it never becomes the event's `consent`.
#include "base/clock.h"
#include "handlers/shopify.h"

#include <inttypes.h>

static struct user customer_user(const struct json *customer) {
    const struct json *address = json_get(customer, "default_address");
    struct user u = {
        .email = json_str(customer, "email"),
        .phone = first_text(customer, PATHS("phone", "default_address.phone")),
        .external_id = decimal_id(json_str(customer, "id")),
        .first_name = json_str(customer, "first_name"),
        .last_name = json_str(customer, "last_name"),
        .locale = json_str(customer, "locale"),
    };
    shopify_address(address, &u);
    return u;
}

// Fields of consent, by channel, as a consent webhook has them. API versions before 2025-01 have them in the customer as well.
struct channel {
    const char *name, *member;        // of the consent
    const char *const *id, *const *address;  // of whose it is
};
static const char *const email_id[] = {"customer_id", NULL}, *const email_address[] = {"email_address", NULL};
static const char *const sms_id[] = {"id", "customer_id", NULL}, *const sms_address[] = {"phone", NULL};
static const struct channel email = {"email", "email_marketing_consent", email_id, email_address};
static const struct channel sms = {"sms", "sms_marketing_consent", sms_id, sms_address};

static void consent_properties(const struct channel *channel, const struct json *consent, struct event *e) {
    event_property(e, "channel", sv_of(channel->name));
    event_property(e, "state", json_str(consent, "state"));
    event_property(e, "opt_in_level", json_str(consent, "opt_in_level"));
    event_property(e, e->name == EVENT_CONSENT_REVOKED ? "revoked_at" : "consented_at", json_str(consent, "consent_updated_at"));
    event_property(e, "signup_source", json_str(consent, "consent_collected_from"));
}

void customer_created(struct arena *a, const struct shop *shop, const struct topic *topic, const struct json *body, struct decoded *ret) {
    struct sv id = shopify_id(a, body, "Customer", ret);
    if (!id.p)
        return;
    struct event *e = event_new(a, shop, "shopify", topic->event);
    if (!first_time(body, PATHS("created_at"), 0, &e->time_ms)) {
        ret->undecodable = SV("customer has no created_at");
        return;
    }
    e->id = arena_fmt(a, "cus_" SV_FMT "_sign_up", SV_ARG(id));
    e->user = customer_user(body);
    e->user.external_id = id;
    event_property(e, "state", SV("not_subscribed"));  // an account is no permission to write; the topics of consent tell that
    decoded_event(ret, e);
}

// The states that are not in here end nothing and begin nothing.
static const struct {
    const char *state;
    enum event_name event;
    const char *ignored;
} states[] = {
    {"subscribed", EVENT_SIGN_UP, NULL},
    {"unsubscribed", EVENT_CONSENT_REVOKED, NULL},
    {"pending", EVENT_SIGN_UP, NULL},  // the second opt-in will come; until then nobody is subscribed
    {"not_subscribed", EVENT_CUSTOM, "never subscribed: nothing begins and nothing ends"},
    {"invalid", EVENT_CUSTOM, "the address is not valid"},
    {"redacted", EVENT_CUSTOM, "the person was erased"},
};

// state_event: false, with the reason in *ret, when that state is none.
static bool state_event(struct sv state, enum event_name *event, struct decoded *ret) {
    for (size_t i = 0; i < COUNTOF(states); i++) {
        if (!sv_is_nocase(state, states[i].state))
            continue;
        *event = states[i].event;
        ret->ignored = sv_of(states[i].ignored);
        return !states[i].ignored;
    }
    ret->ignored = SV("consent is in a state that is not known here");
    return false;
}

static struct sv lower(struct arena *a, struct sv text) {
    char *copy = arena_cstr(a, text);
    for (char *c = copy; *c; c++)
        if (*c >= 'A' && *c <= 'Z')
            *c = (char)(*c | 0x20);
    return sv_of(copy);
}

static void consent_changed(struct arena *a, const struct shop *shop, const struct topic *topic, const struct channel *channel,
                            const struct json *body, struct decoded *ret) {
    const struct json *consent = json_get(body, channel->member);
    struct sv id = decimal_id(first_text(body, channel->id)), state = lower(a, json_str(consent, "state"));
    enum event_name name = EVENT_CUSTOM;
    int64_t as_of_ms;
    if (!id.p || !sv_present(state)) {
        ret->undecodable = arena_fmt(a, "body is not a customer's %s consent: no id or no state", channel->name);
        return;
    }
    bool telling = state_event(state, &name, ret);
    if (!first_time(consent, PATHS("consent_updated_at"), 0, &as_of_ms)) {
        if (telling)
            ret->undecodable = SV("consent has no consent_updated_at: whether it is the newest cannot be told");
        return;
    }
    decoded_as_of(a, ret, channel->name, first_text(body, channel->address), id, as_of_ms);
    if (!telling)
        return;
    struct event *e = event_new(a, shop, "shopify", name);
    e->id = arena_fmt(a, "cus_" SV_FMT "_%s_" SV_FMT "_%" PRId64, SV_ARG(id), channel->name, SV_ARG(state), as_of_ms / 1000);
    e->time_ms = as_of_ms;
    e->user.external_id = id;
    *(channel == &email ? &e->user.email : &e->user.phone) = first_text(body, channel->address);
    consent_properties(channel, consent, e);
    event_property(e, "state", state);
    event_property(e, "told_by", sv_of(topic->name));  // the account was told of by itself
    decoded_event(ret, e);
}

void email_consent_changed(struct arena *a, const struct shop *shop, const struct topic *topic, const struct json *body, struct decoded *ret) {
    consent_changed(a, shop, topic, &email, body, ret);
}

// Shopify calls the consent to SMS "marketing consent".
void sms_consent_changed(struct arena *a, const struct shop *shop, const struct topic *topic, const struct json *body, struct decoded *ret) {
    consent_changed(a, shop, topic, &sms, body, ret);
}
