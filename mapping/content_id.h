// content_id.h: how an item is named in the shop's Meta catalogue, by the shop's template: "{variant_id}",
// "shopify_{country}_{product_id}_{variant_id}".
// Placeholders are {variant_id}, {product_id}, {sku} and {country}, the buyer's as ISO 3166 alpha-2. Pure.
#ifndef MAPPING_CONTENT_ID_H
#define MAPPING_CONTENT_ID_H

#include "mapping/event.h"
#include "mapping/shop.h"

// content_id: when a placeholder has no value, the first of variant_id, product_id, sku stands for the whole; absent when there is none.
struct sv content_id(struct arena *a, const struct shop *shop, const struct event *e, const struct item *item);

// content_id_valid: the placeholders are known, one of them names the item, and nothing else is in braces.
bool content_id_valid(struct sv template);

#endif
