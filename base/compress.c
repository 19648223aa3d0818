// compress.c: one zstd frame per record, its unpacked size checked before memory is taken.
#include "base/compress.h"

#include <stdio.h>
#include <stdlib.h>
#include <zstd.h>

enum { LEVEL = 1 };  // higher levels cost much time for few bytes on JSON

struct sv compress(struct arena *a, struct sv plain) {
    size_t room = ZSTD_compressBound(plain.n);
    char *out = arena_alloc(a, room);
    size_t n = ZSTD_compress(out, room, plain.p, plain.n, LEVEL);
    if (ZSTD_isError(n)) {  // with enough room only memory can be missing
        fprintf(stderr, "zstd: %s, stopping\n", ZSTD_getErrorName(n));
        abort();
    }
    return (struct sv){out, n};
}

// The size comes from the frame's own head and is checked before any memory is taken; a frame that does not tell it is refused.
enum rc decompress(struct arena *a, struct sv packed, size_t limit, struct sv *ret, struct err *e) {
    *ret = SV_NONE;
    unsigned long long size = packed.p ? ZSTD_getFrameContentSize(packed.p, packed.n) : ZSTD_CONTENTSIZE_ERROR;
    if (size == ZSTD_CONTENTSIZE_ERROR || size == ZSTD_CONTENTSIZE_UNKNOWN)
        return err_set(e, RC_INVALID, "compressed data of %zu bytes is not a zstd frame that states its size", packed.n);
    if (size > limit)
        return err_set(e, RC_TOO_LARGE, "compressed data unpacks to %llu bytes, at most %zu are allowed", size, limit);
    if (ZSTD_findFrameCompressedSize(packed.p, packed.n) != packed.n)
        return err_set(e, RC_INVALID, "compressed data of %zu bytes is cut off or has something behind it", packed.n);
    char *out = arena_alloc(a, (size_t)size + 1);
    if (!arena_ok(a))
        return err_set(e, RC_TOO_LARGE, "compressed data unpacks to %llu bytes, over the memory limit", size);
    size_t n = ZSTD_decompress(out, (size_t)size, packed.p, packed.n);
    if (ZSTD_isError(n))
        return err_set(e, RC_INVALID, "compressed data is damaged: %s", ZSTD_getErrorName(n));
    if (n != size)
        return err_set(e, RC_INVALID, "compressed data unpacks to %zu bytes instead of %llu", n, size);
    *ret = (struct sv){out, n};
    return RC_OK;
}
