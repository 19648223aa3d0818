// fixture.h: a recorded webhook on disk: fixtures/<source>/<topic>/<case>/request.json and request.headers, and shop.yaml where
// the shop matters. A topic is <resource>/<action>, or one word: events/product_viewed/<case>.
#ifndef SERVER_FIXTURE_H
#define SERVER_FIXTURE_H

#include "base/arena.h"
#include "base/err.h"
#include "base/headers.h"

struct fixture {
    struct sv source, topic, name;  // "shopify", "orders/create", "with_fbp_fbc"
    struct sv body;
    struct header headers[16];      // as recorded, without signature
    size_t header_count;
    struct sv shop;                 // shop.yaml: keys of a shop that are laid over the sample one; absent: it is as it is
};

MUST_CHECK enum rc fixture_read(struct arena *a, const char *folder, struct fixture *ret, struct err *e);
// fixture_shift: moves every moment in the body (ISO times, click-id times) by the same amount, so that the youngest `created_at` or
// `processed_at` becomes now: a recorded webhook that just happened.
void fixture_shift(struct arena *a, struct fixture *f, int64_t now_ms);
// fixture_sign: the headers to post with: the recorded ones and the signature that its source would make.
struct headers fixture_sign(struct arena *a, const struct fixture *f, struct sv secret, int64_t now_ms);
// fixture_folder: where the fixtures that ship with the program are: ./fixtures, beside the program, or installed; absent when nowhere.
struct sv fixture_folder(struct arena *a);

#endif
