// fixture.h: a recorded webhook on disk: fixtures/<source>/<topic>/<case>/request.json and request.headers, shop.yaml where the shop
// matters, and stored.json where it is about something that an earlier webhook told. A topic is <resource>/<action>, or one word: events/product_viewed/<case>.
#ifndef SERVER_FIXTURE_H
#define SERVER_FIXTURE_H

#include "base/arena.h"
#include "base/err.h"
#include "handlers/source.h"

struct fixture {
    struct sv source, topic, name;  // "shopify", "orders/create", "with_fbp_fbc"
    struct sv body;
    struct header headers[16];      // as recorded, without signature
    size_t header_count;
    struct sv shop;                 // shop.yaml: keys of a shop that are laid over the sample one; absent: it is as it is
    const struct json *stored;      // stored.json: what the store would know, under its keys: {"subscription:1": {...}}; NULL: nothing
};

MUST_CHECK enum rc fixture_read(struct arena *a, const char *folder, struct fixture *ret, struct err *e);
// fixture_decode: what it becomes, with what is stored.
void fixture_decode(struct arena *a, const struct fixture *f, const struct shop *shop, struct decoded *ret);
// fixture_shift: moves every moment in the body (ISO times, click-id times) by the same amount, so that the youngest `created_at` or
// `processed_at` becomes now: a recorded webhook that just happened.
void fixture_shift(struct arena *a, struct fixture *f, int64_t now_ms);
// fixture_sign: the headers to post with: the recorded ones and the signature that its source would make.
struct headers fixture_sign(struct arena *a, const struct fixture *f, struct sv secret, int64_t now_ms);
// fixture_folder: where the fixtures that ship with the program are: ./fixtures, beside the program, or installed; absent when nowhere.
struct sv fixture_folder(struct arena *a);

#endif
