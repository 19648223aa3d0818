// signature.h: how Shopify, Recharge and people with events of their own sign; for struct source's verify. Private to handlers/.
#ifndef HANDLERS_SIGNATURE_H
#define HANDLERS_SIGNATURE_H

#include "handlers/source.h"

#define SHOPIFY_SIGNATURE "X-Shopify-Hmac-Sha256"
#define RECHARGE_SIGNATURE "X-Recharge-Webhook-Signature"
#define RECHARGE_LEGACY_SIGNATURE "X-Recharge-Hmac-Sha256"
#define EVENTS_SIGNATURE "X-Fireorder-Signature"

struct signature shopify_verify(const struct shop *shop, struct headers h, struct sv body, int64_t now_ms);
struct signature recharge_verify(const struct shop *shop, struct headers h, struct sv body, int64_t now_ms);
struct signature events_verify(const struct shop *shop, struct headers h, struct sv body, int64_t now_ms);

#endif
