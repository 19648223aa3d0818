// consent.h: consent, read once and decided once per destination. Pure.
#ifndef MAPPING_CONSENT_H
#define MAPPING_CONSENT_H

#include "mapping/event.h"
#include "mapping/shop.h"

// consent_read understands what a shop's `_consent` attribute may hold: `granted` or `denied`, Google's `gcs` (G1xy: x ads,
// y analytics), OneTrust groups ("C0002:1,C0004:0": 2 analytics, 4 marketing), or a JSON object with marketing and analytics, with gcs, onetrust or gpc, or with
// what Shopify's Customer Privacy API tells (marketingAllowed, analyticsProcessingAllowed, saleOfDataAllowed; or yes and no). Instead of
// granted and denied also yes, true, 1 and no, false, 0; all of it also percent-encoded, as it stands in a cookie.
// A later signal wins over what `consent` already holds, field by field; unreadable text changes nothing and returns false.
bool consent_read(struct arena *a, struct sv text, struct consent *consent);
bool consent_read_object(struct arena *a, const struct json *object, struct consent *consent);      // such an object; it may hold another one as `consent`
bool consent_is_form(struct arena *a, const struct json *node);                    // node is one of these, and nothing else stands in it
void consent_apply(struct consent *consent, struct consent signal);                // a later signal over what is held
void consent_tighten(struct consent *consent, struct consent also);                // two that were said at once: a refusal wins
struct consent consent_refusals(struct consent said);                             // what of it forbids something
bool consent_told(const struct consent *consent);                                  // it says anything

// consent_allows decides for one destination; when not, *ret_reason says why ("consent denied", "consent unknown in DE").
// part: of the event's rule, which may ask for another purpose than the shop's policy; NULL: it does not.
struct rule_part;
bool consent_allows(struct arena *a, const struct consent_policy *policy, const struct rule_part *part, const struct event *event,
                    struct sv *ret_reason);
// consent_allows_sale: the same for a destination that uses what it gets for itself: there an opt-out of sale counts whatever the purpose.
bool consent_allows_sale(struct arena *a, const struct consent_policy *policy, const struct rule_part *part, const struct event *event,
                         struct sv *ret_reason);

#endif
