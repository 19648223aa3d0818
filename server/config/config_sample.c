// config_sample.c: the shop that stands in where no configuration is given.
#include "server/config/config_text.h"

// Everything is switched on and nothing changed.
static const char sample[] =
    "version: 1\n"
    "shops:\n"
    "  acme:\n"
    "    domain: acme.myshopify.com\n"
    "    shopify: { secrets: [\"not-a-secret\"] }\n"
    "    recharge: { secrets: [\"not-a-secret\"] }\n"
    "    events: { secrets: [\"not-a-secret\"] }\n"
    "    meta: { pixel_id: \"1234567890\", access_token: \"not-a-secret\" }\n"
    "    klaviyo: { api_key: \"not-a-secret\", list_id: \"Y6nRLr\" }\n";

enum rc config_sample(struct sv shop, struct config **ret, struct buf *faults, struct err *e) {
    return config_parse_over(sv_of(sample), "sample", shop, "shop.yaml", ret, faults, e);
}
