// shop.h: what one shop has configured, as the pure layers and the server read it. Filled by server/config, then constant.
// Views live as long as the configuration snapshot. access_token, api_key and the secrets never enter a log or an error.
#ifndef MAPPING_SHOP_H
#define MAPPING_SHOP_H

#include "base/sv.h"

#define SECRETS_MAX 8

struct secrets {
    struct sv v[SECRETS_MAX];
    size_t n;  // 0: the source is closed
};

enum recharge_signature { RECHARGE_AUTO, RECHARGE_TIMESTAMPED, RECHARGE_LEGACY };

enum consent_purpose { CONSENT_FOR_NOTHING, CONSENT_FOR_MARKETING, CONSENT_FOR_ANALYTICS };
enum consent_unknown { UNKNOWN_ALLOW, UNKNOWN_DENY, UNKNOWN_BY_REGION };

// LIMITED: sent all the same, for limited data use (Meta); BY_REGION: where there is such a thing, else skipped
enum consent_opt_out { OPT_OUT_SKIP, OPT_OUT_LIMITED, OPT_OUT_BY_REGION };

struct consent_policy {
    enum consent_purpose purpose;
    enum consent_unknown unknown;
    enum consent_opt_out opt_out;  // what is done for who opted out of sale and sharing
};

struct rules;

#define KLAVIYO_URL "https://a.klaviyo.com"  // where base_url says nothing else

struct shop {
    struct sv name, domain;
    const struct rules *rules;                 // its mapping
    struct { struct secrets secrets; bool purchase_on_paid; } shopify;  // purchase_on: orders/paid instead of orders/create
    struct { struct secrets secrets; enum recharge_signature signature; } recharge;
    // content_id: how an item is named in the catalogue, see content_id.h; absent: "{variant_id}"
    struct { bool configured; struct sv pixel_id, access_token, api_version, base_url, test_event_code, content_id; } meta;
    // bulk_when_behind_ms: how long what waits for its limit may have to wait before it goes in bulk; 0: for ever
    struct { bool configured, native_integration, double_opt_in, delete_on_redact; struct sv api_key, revision, base_url, list_id; int64_t bulk_when_behind_ms; } klaviyo;
    struct { struct secrets secrets; } events;
    // customer_secret: with it a customer's id counts in a context only where the theme signed it; absent: as anybody says
    struct { struct sv origins[8]; size_t origin_count; int64_t lifetime_ms; struct sv customer_secret; } context;
    struct { struct consent_policy meta, klaviyo; } consent;
};

#endif
