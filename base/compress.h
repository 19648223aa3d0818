// compress.h: zstd; the only module that sees libzstd. Thread-safe.
// usual: a text of what stands in most of what is packed, which then needs less room; NULL: none. What was packed with one can be unpacked
// only with the very same, and what was packed with none also with one.
#ifndef BASE_COMPRESS_H
#define BASE_COMPRESS_H

#include "base/arena.h"
#include "base/err.h"

struct usual;
struct usual *usual_new(struct sv text);  // the text is copied; without memory the process ends
void usual_free(struct usual *u);         // NULL is fine

struct sv compress(struct arena *a, const struct usual *usual, struct sv plain);
// compress_quickly: for what does not stay: half of the time, a third more bytes.
struct sv compress_quickly(struct arena *a, const struct usual *usual, struct sv plain);
// decompress: RC_TOO_LARGE over limit.
MUST_CHECK enum rc decompress(struct arena *a, const struct usual *usual, struct sv packed, size_t limit, struct sv *ret, struct err *e);

#endif
