// klaviyo.h: the parts of the three Klaviyo destinations: profile, event, list. Private to klaviyo*.c.
#ifndef MAPPING_KLAVIYO_H
#define MAPPING_KLAVIYO_H

#include "mapping/destination.h"
#include "mapping/rules/rules.h"

// external_id takes no part in Klaviyo's merging of profiles and can make a second one: only for those who have nothing else.
struct identifiers {
    struct sv email, phone, external_id;
};
struct identifiers klaviyo_identifiers(struct arena *a, const struct user *u);
bool klaviyo_identified(const struct identifiers *ids);

// What all three ask: configured, not a test, consent, somebody to tell it of.
bool klaviyo_allowed(struct arena *a, const struct event *e, const struct shop *shop, struct sv *ret_reason);
bool klaviyo_is_backfill(const struct event *e, int64_t now_ms);

// klaviyo_properties writes the object `properties` of an event; its return is where the disposition of Meta is to be put.
size_t klaviyo_properties(struct jw *w, struct arena *a, const struct event *e, const struct shop *shop);
struct sv klaviyo_tell(struct arena *a, struct draft draft, const struct disposition *before);

// klaviyo_identify and klaviyo_describe write members of a profile: who it is; names, locale and location.
void klaviyo_identify(struct jw *w, const struct identifiers *ids);
void klaviyo_describe(struct jw *w, struct arena *a, const struct user *u);
extern const struct limits klaviyo_limits;

// What it takes in a time, and what of that its answer says; see destination.quota.
struct quota klaviyo_event_quota(const struct shop *shop, const struct answer *answer, const struct quota *known);
struct quota klaviyo_bulk_quota(const struct shop *shop, const struct answer *answer, const struct quota *known);
struct quota klaviyo_people_quota(const struct shop *shop, const struct answer *answer, const struct quota *known);

// Klaviyo wraps what a request is about: {"data": {"type": type, "attributes": { ... }}}
void klaviyo_open(struct jw *w, const char *key, const char *type);
void klaviyo_close(struct jw *w);
void klaviyo_address(struct arena *a, const struct shop *shop, const char *path, struct request *ret);

struct outcome klaviyo_outcome(struct arena *a, const struct answer *answer, int64_t now_ms);
// klaviyo_side_outcome: for profiles and lists: a key without their scopes is no reason to keep the events.
struct outcome klaviyo_side_outcome(struct arena *a, const struct answer *answer, int64_t now_ms);
struct sv klaviyo_amend(struct arena *a, struct sv body);  // the body without phone numbers, where there is an e-mail

#endif
