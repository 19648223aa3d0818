// compress.c: one zstd frame per record, its unpacked size checked before memory is taken. A byte before it says that zstd knew a text.
#include "base/compress.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#define ZSTD_STATIC_LINKING_ONLY  // ZSTD_c_forceAttachDict
#include <zstd.h>

enum { LEVEL = 1, LEVEL_QUICK = -2 };  // higher levels cost much time for few bytes on JSON
enum { SMALL = 1024 };  // what is shorter stays as it is: packing a progress takes a microsecond or two and saves a hundred bytes

// ---- contexts

// A context costs more to make than a webhook to pack, so some are kept: as many as cores are likely to want at once, not one for each
// thread, of which there are hundreds that wait.
enum { KEPT_MOST = 4 };

struct pool {
    pthread_mutex_t lock;
    void *kept[KEPT_MOST];
    size_t n;
};

static struct pool packers = {.lock = PTHREAD_MUTEX_INITIALIZER}, unpackers = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void *pool_take(struct pool *p) {
    pthread_mutex_lock(&p->lock);
    void *context = p->n > 0 ? p->kept[--p->n] : NULL;
    pthread_mutex_unlock(&p->lock);
    return context;
}

// pool_keep: false when there are enough.
static bool pool_keep(struct pool *p, void *context) {
    pthread_mutex_lock(&p->lock);
    bool kept = p->n < KEPT_MOST;
    if (kept)
        p->kept[p->n++] = context;
    pthread_mutex_unlock(&p->lock);
    return kept;
}

_Noreturn static void die(const char *why) {
    fprintf(stderr, "zstd: %s, stopping\n", why);
    abort();
}

static ZSTD_CCtx *packer_take(void) {
    ZSTD_CCtx *packer = pool_take(&packers);
    if (packer)
        return packer;
    if (!(packer = ZSTD_createCCtx()))
        die("out of memory");
    // It would copy the tables of the usual text, 100 KB, for each record of more than 8 KB, and take twice as long. A zstd that does not
    // know this parameter does so.
    (void)ZSTD_CCtx_setParameter(packer, ZSTD_c_forceAttachDict, ZSTD_dictForceAttach);
    return packer;
}

static ZSTD_DCtx *unpacker_take(void) {
    ZSTD_DCtx *unpacker = pool_take(&unpackers);
    if (!unpacker && !(unpacker = ZSTD_createDCtx()))
        die("out of memory");
    return unpacker;
}

// ---- the usual text

// The first byte of what was packed with one; a frame begins with another. A better text gets another number.
enum { WITH_USUAL = 1 };

struct usual {
    ZSTD_CDict *packs, *packs_quickly;
    ZSTD_DDict *unpacks;
};

struct usual *usual_new(struct sv text) {
    struct usual *u = calloc(1, sizeof *u);
    if (u)
        *u = (struct usual){ZSTD_createCDict(text.p, text.n, LEVEL), ZSTD_createCDict(text.p, text.n, LEVEL_QUICK), ZSTD_createDDict(text.p, text.n)};
    if (!u || !u->packs || !u->packs_quickly || !u->unpacks)
        die("out of memory");
    return u;
}

void usual_free(struct usual *u) {
    if (!u)
        return;
    ZSTD_freeCDict(u->packs);
    ZSTD_freeCDict(u->packs_quickly);
    ZSTD_freeDDict(u->unpacks);
    free(u);
}

// ---- frames

// framed: one raw block in a frame that states its size in four bytes (RFC 8878), so that it is unpacked like any other.
static struct sv framed(struct arena *a, struct sv plain) {
    enum { HEAD = 4 + 1 + 4 + 3, SINGLE_SEGMENT_SIZE_OF_4 = 0xA0, LAST_RAW_BLOCK = 1 };
    unsigned char *out = arena_room(a, HEAD + plain.n);
    const unsigned char head[HEAD] = {0x28, 0xB5, 0x2F, 0xFD, SINGLE_SEGMENT_SIZE_OF_4, plain.n & 0xFF, plain.n >> 8 & 0xFF, 0, 0,
                                      LAST_RAW_BLOCK | (plain.n << 3 & 0xFF), plain.n >> 5 & 0xFF, 0};
    memcpy(out, head, HEAD);
    if (plain.n > 0)
        memcpy(out + HEAD, plain.p, plain.n);
    return (struct sv){(const char *)out, HEAD + plain.n};
}

// packed: dictionary: of that level; NULL: none.
static struct sv packed(struct arena *a, struct sv plain, const ZSTD_CDict *dictionary, int level) {
    if (plain.n < SMALL)
        return framed(a, plain);
    size_t head = dictionary ? 1 : 0, room = head + ZSTD_compressBound(plain.n);
    char *out = arena_room(a, room);
    ZSTD_CCtx *packer = packer_take();
    out[0] = WITH_USUAL;
    ZSTD_CCtx_setParameter(packer, ZSTD_c_compressionLevel, level);
    ZSTD_CCtx_refCDict(packer, dictionary);
    size_t n = ZSTD_compress2(packer, out + head, room - head, plain.p, plain.n);
    if (ZSTD_isError(n))  // with enough room only memory can be missing
        die(ZSTD_getErrorName(n));
    if (!pool_keep(&packers, packer))
        ZSTD_freeCCtx(packer);
    arena_shrink(a, out, room, head + n);
    return (struct sv){out, head + n};
}

struct sv compress(struct arena *a, const struct usual *usual, struct sv plain) {
    return packed(a, plain, usual ? usual->packs : NULL, LEVEL);
}

struct sv compress_quickly(struct arena *a, const struct usual *usual, struct sv plain) {
    return packed(a, plain, usual ? usual->packs_quickly : NULL, LEVEL_QUICK);
}

static size_t unpack(char *out, size_t size, struct sv frame, const ZSTD_DDict *dictionary) {
    ZSTD_DCtx *unpacker = unpacker_take();
    size_t n = ZSTD_decompress_usingDDict(unpacker, out, size, frame.p, frame.n, dictionary);
    if (!pool_keep(&unpackers, unpacker))
        ZSTD_freeDCtx(unpacker);
    return n;
}

// The size comes from the frame's own head and is checked before any memory is taken; a frame that does not tell it is refused.
enum rc decompress(struct arena *a, const struct usual *usual, struct sv packed, size_t limit, struct sv *ret, struct err *e) {
    bool with_usual = usual && packed.n > 0 && packed.p[0] == WITH_USUAL;
    packed = with_usual ? sv_sub(packed, 1, packed.n) : packed;
    *ret = SV_NONE;
    unsigned long long size = packed.p ? ZSTD_getFrameContentSize(packed.p, packed.n) : ZSTD_CONTENTSIZE_ERROR;
    if (size == ZSTD_CONTENTSIZE_ERROR || size == ZSTD_CONTENTSIZE_UNKNOWN)
        return err_set(e, RC_INVALID, "compressed data of %zu bytes is not a zstd frame that states its size", packed.n);
    if (size > limit)
        return err_set(e, RC_TOO_LARGE, "compressed data unpacks to %llu bytes, at most %zu are allowed", size, limit);
    if (ZSTD_findFrameCompressedSize(packed.p, packed.n) != packed.n)
        return err_set(e, RC_INVALID, "compressed data of %zu bytes is cut off or has something behind it", packed.n);
    char *out = arena_room(a, (size_t)size);
    if (!arena_ok(a))
        return err_set(e, RC_TOO_LARGE, "compressed data unpacks to %llu bytes, over the memory limit", size);
    size_t n = unpack(out, (size_t)size, packed, with_usual ? usual->unpacks : NULL);
    if (ZSTD_isError(n))
        return err_set(e, RC_INVALID, "compressed data is damaged: %s", ZSTD_getErrorName(n));
    if (n != size)
        return err_set(e, RC_INVALID, "compressed data unpacks to %zu bytes instead of %llu", n, size);
    *ret = (struct sv){out, n};
    return RC_OK;
}
