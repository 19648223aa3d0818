// compress.h: zstd; the only module that sees libzstd. Thread-safe.
#ifndef BASE_COMPRESS_H
#define BASE_COMPRESS_H

#include "base/arena.h"
#include "base/err.h"

struct sv compress(struct arena *a, struct sv plain);
struct sv compress_quickly(struct arena *a, struct sv plain);  // for what does not stay: two thirds of the time, a quarter more bytes
MUST_CHECK enum rc decompress(struct arena *a, struct sv packed, size_t limit, struct sv *ret, struct err *e);  // RC_TOO_LARGE over limit

#endif
