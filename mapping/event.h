// event.h: the canonical event: what happened in a shop, in the same words whoever reported it.
// Views point into the webhook's bytes or the job's arena and live as long as the job. Ids and money are text.
// docs/event.md is the published form of this struct as JSON.
#ifndef MAPPING_EVENT_H
#define MAPPING_EVENT_H

#include "base/json.h"

enum event_name {
    EVENT_CUSTOM,  // a name of the shop's own
    EVENT_PURCHASE, EVENT_REPEAT_PURCHASE, EVENT_CHECKOUT_STARTED, EVENT_CART_STARTED, EVENT_ADD_TO_CART,
    EVENT_PRODUCT_VIEWED, EVENT_SEARCH, EVENT_SIGN_UP, EVENT_LEAD, EVENT_REFUND, EVENT_ORDER_CANCELLED,
    EVENT_ORDER_FULFILLED, EVENT_BACK_IN_STOCK_REQUESTED, EVENT_INVENTORY_RESTOCKED, EVENT_BECAME_AT_RISK, EVENT_SUBSCRIPTION_STARTED,
    EVENT_RENEWAL_CHARGED, EVENT_RENEWAL_FAILED, EVENT_SKIPPED_ORDER, EVENT_SUBSCRIPTION_CANCELLED, EVENT_CONSENT_REVOKED,
    EVENT_NAME_COUNT
};

const char *event_name_text(enum event_name name);     // "purchase"
enum event_name event_name_of(struct sv text);         // aliases too (begin_checkout, view_content, view_item, started_checkout); else EVENT_CUSTOM

bool event_name_valid(struct sv text);                 // 1 to 64 of a-z, 0-9 and _: what an event may be called

enum purpose { PURPOSE_MARKETING, PURPOSE_TRANSACTIONAL };
enum purpose purpose_of(enum event_name name);         // what an event of that name is for, unless it says otherwise itself

enum consent_state { CONSENT_UNKNOWN, CONSENT_GRANTED, CONSENT_DENIED };

struct consent {
    enum consent_state marketing, analytics;
    bool opt_out_of_sale;  // Global Privacy Control or a US opt-out
    bool sale_allowed;     // said in so many words: lifts an opt-out that was told before
};

struct user {
    struct sv email, phone, external_id, first_name, last_name, locale;
    struct sv address1, city, region, zip, country;  // region: province code; country: ISO 3166 alpha-2
    struct sv ip, user_agent, fbp, fbc;              // the buyer's, never the webhook sender's
};

// Where an identifier came from: "note attribute", "landing_site", "context:checkout", "order" (remembered with an order).
// NULL: from what the sender said of the event itself.
struct origins {
    const char *email, *phone, *external_id, *ip, *user_agent, *fbp, *fbc, *consent;
};

// What is left out because it is malformed, or too old.
enum dropped { DROPPED_FBP = 1, DROPPED_FBC = 2, DROPPED_FBCLID = 4 };

struct item {
    struct sv product_id, variant_id, inventory_item_id, sku, title, variant_title, price, url, image_url, category, vendor;
    struct sv quantity;
};

struct property {
    struct sv name;
    enum json_type type;      // JSON_STRING, JSON_NUMBER, JSON_TRUE, JSON_FALSE, JSON_ARRAY (of strings: list), or any with node
    struct sv text;
    const struct sv *list;    // JSON_ARRAY of strings
    size_t list_count;
    const struct json *node;  // a value taken over as it came; wins over text and list
};

#define EVENT_PROPERTIES_MAX 48

struct rule;

struct event {
    struct sv id;             // a pure function of the business fact; Meta's event_id and Klaviyo's unique_id
    struct sv also;           // another id of the same fact, under which it may have been told with less known of it; absent: none
    enum event_name name;
    struct sv custom_name;    // with EVENT_CUSTOM
    int64_t time_ms;          // of the fact, never of processing
    struct sv shop, source, origin;
    enum purpose purpose;
    struct user user;
    struct origins origins;   // of what is in user, and of consent
    bool clicked;             // there are signs of a click on one of Meta's ads, whether its id could be used or not
    unsigned dropped;         // of enum dropped: what was told of a click or browser, and cannot be used
    struct consent consent;
    int64_t consent_at_ms;    // when it was told; 0: before the event, nobody knows when
    enum consent_state said;  // with origins.consent: the marketing consent that the sender itself told of
    struct sv value, currency;
    struct item *items;
    size_t item_count;
    struct sv experiment_id, experiment_variant;
    const struct rule *rule;  // that it goes by; chosen when it is planned
    bool subscribed;          // of a sign-up: the person is on the shop's list already, by a permission of just before
    struct sv due;            // of a renewal: the day that it was planned for, "2026-11-20"
    // Names under which another webhook kept this person ("order:450789469"); the first one found fills absent identity.
    struct sv recall[3];
    size_t recall_count;
    size_t property_count;
    struct property properties[EVENT_PROPERTIES_MAX];  // the last member: see event_in_short
};

struct sv event_label(const struct event *e);                                    // name text, also of a custom one
void event_property(struct event *e, const char *name, struct sv text);          // a string; nothing when absent or empty
void event_property_number(struct event *e, const char *name, struct sv text);   // a JSON number; nothing when absent or empty
void event_property_list(struct event *e, const char *name, const struct sv *list, size_t n);
void event_property_node(struct event *e, struct sv name, const struct json *node);  // node lives as long as the event
void event_property_set(struct event *e, const struct property *p);
struct sv event_property_text(const struct event *e, const char *name);          // SV_NONE when there is none

void event_write(struct jw *w, const struct event *e);                           // the published JSON form
void user_write(struct jw *w, const struct user *u);
void user_read(struct arena *a, const struct json *node, struct user *ret);      // what user_write wrote
void event_fill(struct event *e, const struct user *known, const char *from);    // user_fill, and notes in origins what it filled
void user_fill(struct user *u, const struct user *known);                        // identity that u lacks, from known: never ip, agent, fbp, fbc
// event_in_short: a copy that needs nothing of the webhook: without items and origins, and of its properties only the texts. Its memory
// ends with the last of those: it takes no more of them, and is not to be copied as a whole.
struct event *event_in_short(struct arena *a, const struct event *e);
bool user_has_identifier(const struct user *u);                                  // e-mail, phone or external_id

#endif
