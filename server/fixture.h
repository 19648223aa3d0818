// fixture.h: a recorded webhook on disk: fixtures/<source>/<topic>/<case>/request.json and request.headers.
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
};

MUST_CHECK enum rc fixture_read(struct arena *a, const char *folder, struct fixture *ret, struct err *e);
// file_read: a whole file, at most limit bytes.
MUST_CHECK enum rc file_read(struct arena *a, const char *path, size_t limit, struct sv *ret, struct err *e);

#endif
