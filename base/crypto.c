// crypto.c: everything over OpenSSL 3's EVP interface; nothing here is deprecated in 3.0 or later.
#include "base/crypto.h"

#include <limits.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { HMAC_BLOCK = 64, SEAL_VERSION = 1, NONCE_LEN = 12, TAG_LEN = 16, SEAL_HEAD = 1 + NONCE_LEN };

// Without these functions nothing that the program promises holds, so there is no error to return: they work or it stops.
static void must(bool ok, const char *what) {
    if (ok)
        return;
    fprintf(stderr, "%s failed, stopping\n", what);
    abort();
}

// Looking an algorithm up by name costs more than hashing a short text, so it is done once; never changed afterwards.
static struct {
    EVP_MD *sha256;
    EVP_CIPHER *aes_256_gcm;
} algorithm;

static void fetch_algorithms(void) {
    algorithm.sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
    algorithm.aes_256_gcm = EVP_CIPHER_fetch(NULL, "AES-256-GCM", NULL);
    must(algorithm.sha256 && algorithm.aes_256_gcm, "finding SHA-256 and AES-256-GCM");
}

static void need_algorithms(void) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, fetch_algorithms);
}

// ---- hashes

static EVP_MD_CTX *hasher_new(void) {
    need_algorithms();
    EVP_MD_CTX *hasher = EVP_MD_CTX_new();
    must(hasher, "SHA-256");
    return hasher;
}

// prefix is absent or what stands before the parts.
static struct digest hash(EVP_MD_CTX *hasher, struct sv prefix, const struct sv *parts, size_t n) {
    struct digest d = {{0}};
    bool ok = EVP_DigestInit_ex2(hasher, algorithm.sha256, NULL) == 1 && EVP_DigestUpdate(hasher, prefix.p, prefix.n) == 1;
    for (size_t i = 0; ok && i < n; i++)
        ok = EVP_DigestUpdate(hasher, parts[i].p, parts[i].n) == 1;
    must(ok && EVP_DigestFinal_ex(hasher, d.b, NULL) == 1, "SHA-256");
    return d;
}

void sha1_hex(struct sv bytes, char ret[41]) {
    unsigned char d[20];
    must(EVP_Digest(bytes.p ? bytes.p : "", bytes.n, d, NULL, EVP_sha1(), NULL) == 1, "SHA-1");
    hex_into(ret, d, sizeof d);
}

static struct sv digest_sv(const struct digest *d) {
    return (struct sv){(const char *)d->b, sizeof d->b};
}

struct digest sha256_parts(const struct sv *parts, size_t n) {
    EVP_MD_CTX *hasher = hasher_new();
    struct digest d = hash(hasher, SV_NONE, parts, n);
    EVP_MD_CTX_free(hasher);
    return d;
}

struct digest sha256(struct sv bytes) {
    return sha256_parts(&bytes, 1);
}

// RFC 2104 over the digest above: a third of the cost of the library's HMAC for short texts, and it takes parts.
struct digest hmac_sha256(struct sv key, const struct sv *parts, size_t n) {
    EVP_MD_CTX *hasher = hasher_new();
    struct digest hashed_key = {{0}};
    if (key.n > HMAC_BLOCK) {
        hashed_key = hash(hasher, key, NULL, 0);
        key = digest_sv(&hashed_key);
    }
    char inner_key[HMAC_BLOCK], outer_key[HMAC_BLOCK];
    for (size_t i = 0; i < HMAC_BLOCK; i++) {
        char k = i < key.n ? key.p[i] : 0;
        inner_key[i] = (char)(k ^ 0x36);
        outer_key[i] = (char)(k ^ 0x5c);
    }
    struct digest inner = hash(hasher, (struct sv){inner_key, HMAC_BLOCK}, parts, n);
    struct sv inner_part = digest_sv(&inner);
    struct digest d = hash(hasher, (struct sv){outer_key, HMAC_BLOCK}, &inner_part, 1);
    EVP_MD_CTX_free(hasher);
    wipe(&hashed_key, sizeof hashed_key);
    wipe(inner_key, sizeof inner_key);
    wipe(outer_key, sizeof outer_key);
    return d;
}

bool digest_eq(const struct digest *a, const struct digest *b) {
    return CRYPTO_memcmp(a->b, b->b, SHA256_LEN) == 0;
}

// An absent secret equals nothing, not even another absent one.
bool bytes_eq(struct sv a, struct sv b) {
    return a.p && b.p && a.n == b.n && CRYPTO_memcmp(a.p, b.p, a.n) == 0;
}

struct digest derive_key(struct sv master, const char *label) {
    static const char no_salt[SHA256_LEN];
    struct digest extracted = hmac_sha256((struct sv){no_salt, sizeof no_salt}, &master, 1);
    const struct sv info[] = {sv_of(label), SV("\x01")};  // RFC 5869: one block of 32 bytes is all that is needed
    struct digest key = hmac_sha256(digest_sv(&extracted), info, COUNTOF(info));
    wipe(&extracted, sizeof extracted);
    return key;
}

// ---- text forms

void hex_into(char *out, const void *bytes, size_t n) {
    const unsigned char *b = bytes;
    for (size_t i = 0; i < n; i++) {
        out[2 * i] = "0123456789abcdef"[b[i] >> 4];
        out[2 * i + 1] = "0123456789abcdef"[b[i] & 15];
    }
    out[2 * n] = '\0';
}

struct sv hex_of(struct arena *a, const void *bytes, size_t n) {
    char *out = arena_room(a, 2 * n + 1);
    hex_into(out, bytes, n);
    return (struct sv){out, 2 * n};
}

// The place of c in alphabet, or -1. Decoded are signatures that came from outside: nothing secret hangs on the timing.
static int place_in(const char *alphabet, char c) {
    const char *at = c ? strchr(alphabet, c) : NULL;
    return at ? (int)(at - alphabet) : -1;
}

bool hex_digest(struct sv hex, struct digest *ret) {
    static const char digits[] = "0123456789abcdefABCDEF";
    if (!hex.p || hex.n != 2 * SHA256_LEN)
        return false;
    for (size_t i = 0; i < SHA256_LEN; i++) {
        int high = place_in(digits, hex.p[2 * i]), low = place_in(digits, hex.p[2 * i + 1]);
        if (high < 0 || low < 0)
            return false;
        ret->b[i] = (unsigned char)((high > 15 ? high - 6 : high) << 4 | (low > 15 ? low - 6 : low));
    }
    return true;
}

struct sv base64_of(struct arena *a, struct sv bytes) {
    must(bytes.n <= INT_MAX / 2, "base64 of so many bytes");
    unsigned char *out = arena_room(a, 4 * ((bytes.n + 2) / 3) + 1);
    int n = EVP_EncodeBlock(out, (const unsigned char *)bytes.p, (int)bytes.n);
    return (struct sv){(const char *)out, (size_t)n};
}

// Strict on purpose: a signature has exactly one spelling, so two texts never stand for the same bytes.
bool base64_bytes(struct sv text, unsigned char *out, size_t out_len) {
    static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    size_t padding = (3 - out_len % 3) % 3;
    if (!text.p || out_len > SIZE_MAX / 2 || text.n != (out_len + padding) / 3 * 4)
        return false;
    size_t written = 0;
    uint32_t bits = 0;
    for (size_t i = 0; i < text.n - padding; i++) {
        int value = place_in(alphabet, text.p[i]);
        if (value < 0)
            return false;
        bits = bits << 6 | (uint32_t)value;
        if (i % 4 != 0)  // 6, 12, 18, 24 bits in: a byte is full after the second, third and fourth character
            out[written++] = (unsigned char)(bits >> (6 - 2 * (i % 4)));
    }
    for (size_t i = 0; i < padding; i++)
        if (text.p[text.n - 1 - i] != '=')
            return false;
    return (bits & ((1u << 2 * padding) - 1)) == 0;  // bits that no byte takes must be zero
}

bool base64_digest(struct sv text, struct digest *ret) {
    return base64_bytes(text, ret->b, sizeof ret->b);
}

// ---- randomness

// From the kernel: OpenSSL would make a generator of 6 KB for each thread that asks, and there are hundreds. Each question is a system
// call, and most want a nonce; so each thread asks for twenty at once.
static _Thread_local struct {
    unsigned char bytes[20 * NONCE_LEN];
    size_t left;
} stock;

// A child must not have what its parent has. Only the thread that forks lives on in it.
static void forget_stock(void) {
    stock.left = 0;
}

static void watch_forks(void) {
    must(pthread_atfork(NULL, NULL, forget_stock) == 0, "watching for forks");
}

static void ask(void *out, size_t n) {
    for (size_t most = 256, done = 0, piece; done < n; done += piece) {  // of getentropy
        piece = n - done < most ? n - done : most;
        must(getentropy((char *)out + done, piece) == 0, "the system's random numbers");
    }
}

void random_bytes(void *out, size_t n) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, watch_forks);
    if (n > sizeof stock.bytes) {
        ask(out, n);
        return;
    }
    if (stock.left < n) {
        ask(stock.bytes, sizeof stock.bytes);
        stock.left = sizeof stock.bytes;
    }
    stock.left -= n;
    memcpy(out, stock.bytes + stock.left, n);
    wipe(stock.bytes + stock.left, n);
}

uint64_t random_below(uint64_t limit) {
    if (limit == 0)
        return 0;
    uint64_t uneven = (UINT64_MAX - limit + 1) % limit;  // 2^64 mod limit: so many values would make some results likelier
    uint64_t r;
    do {
        random_bytes(&r, sizeof r);
    } while (r < uneven);
    return r % limit;
}

// ---- sealing

struct sv seal(struct arena *a, const struct digest *key, struct sv aad, struct sv plain) {
    must(plain.n <= INT_MAX - SEAL_HEAD - TAG_LEN && aad.n <= INT_MAX, "sealing so many bytes");
    need_algorithms();
    size_t record_len = SEAL_HEAD + plain.n + TAG_LEN;
    unsigned char *record = arena_room(a, record_len);
    unsigned char *nonce = record + 1, *body = record + SEAL_HEAD, *tag = body + plain.n;
    record[0] = SEAL_VERSION;
    random_bytes(nonce, NONCE_LEN);

    EVP_CIPHER_CTX *cipher = EVP_CIPHER_CTX_new();
    int n = 0;
    bool ok = cipher && EVP_EncryptInit_ex2(cipher, algorithm.aes_256_gcm, key->b, nonce, NULL) == 1;
    if (ok && aad.n)
        ok = EVP_EncryptUpdate(cipher, NULL, &n, (const unsigned char *)aad.p, (int)aad.n) == 1;
    if (ok && plain.n)
        ok = EVP_EncryptUpdate(cipher, body, &n, (const unsigned char *)plain.p, (int)plain.n) == 1;
    ok = ok && EVP_EncryptFinal_ex(cipher, tag, &n) == 1 &&  // GCM: writes nothing here
         EVP_CIPHER_CTX_ctrl(cipher, EVP_CTRL_AEAD_GET_TAG, TAG_LEN, tag) == 1;
    must(ok, "AES-256-GCM");
    EVP_CIPHER_CTX_free(cipher);
    return (struct sv){(const char *)record, record_len};
}

// body_len bytes of ciphertext and the tag stand behind nonce; false when they do not belong to key and aad.
static bool decrypt(const struct digest *key, struct sv aad, const unsigned char *nonce, size_t body_len, unsigned char *out) {
    const unsigned char *body = nonce + NONCE_LEN;
    unsigned char tag[TAG_LEN], unused[TAG_LEN];
    memcpy(tag, body + body_len, TAG_LEN);
    need_algorithms();
    EVP_CIPHER_CTX *cipher = EVP_CIPHER_CTX_new();
    int n = 0;
    bool ok = cipher && EVP_DecryptInit_ex2(cipher, algorithm.aes_256_gcm, key->b, nonce, NULL) == 1;
    must(ok, "AES-256-GCM");
    if (aad.n)
        ok = EVP_DecryptUpdate(cipher, NULL, &n, (const unsigned char *)aad.p, (int)aad.n) == 1;
    if (ok && body_len)
        ok = EVP_DecryptUpdate(cipher, out, &n, body, (int)body_len) == 1;
    ok = ok && EVP_CIPHER_CTX_ctrl(cipher, EVP_CTRL_AEAD_SET_TAG, TAG_LEN, tag) == 1 &&
         EVP_DecryptFinal_ex(cipher, unused, &n) == 1;
    EVP_CIPHER_CTX_free(cipher);
    return ok;
}

enum rc open_sealed(struct arena *a, const struct digest *key, struct sv aad, struct sv record, struct sv *ret, struct err *e) {
    *ret = SV_NONE;
    if (!record.p || record.n < SEAL_HEAD + TAG_LEN || record.n > INT_MAX || aad.n > INT_MAX || record.p[0] != SEAL_VERSION)
        return err_set(e, RC_DENIED, "a sealed record of %zu bytes is damaged or not one", record.n);
    size_t plain_len = record.n - SEAL_HEAD - TAG_LEN;
    unsigned char *plain = arena_room(a, plain_len);
    if (!arena_ok(a))
        return err_set(e, RC_TOO_LARGE, "a sealed record of %zu bytes is over the memory limit", record.n);
    if (!decrypt(key, aad, (const unsigned char *)record.p + 1, plain_len, plain)) {
        ERR_clear_error();          // others on this thread must not see it
        wipe(plain, plain_len);     // bytes that nobody vouches for
        return err_set(e, RC_DENIED, "a sealed record does not open: it is damaged, or seal_key is not the one it was sealed with");
    }
    *ret = (struct sv){(const char *)plain, plain_len};
    return RC_OK;
}

void wipe(void *p, size_t n) {
    OPENSSL_cleanse(p, n);
}
