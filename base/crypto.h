// crypto.h: hashes, signatures, sealing; the only module that sees OpenSSL. Thread-safe, no state.
#ifndef BASE_CRYPTO_H
#define BASE_CRYPTO_H

#include "base/arena.h"
#include "base/err.h"

#define SHA256_LEN 32
#define SEAL_KEY_LEN 32

struct digest {
    unsigned char b[SHA256_LEN];
};

struct digest sha256(struct sv bytes);
void sha1_hex(struct sv bytes, char ret[41]);                                     // how Redis names scripts; protects nothing
struct digest sha256_parts(const struct sv *parts, size_t n);                    // of the concatenation
struct digest hmac_sha256(struct sv key, const struct sv *parts, size_t n);      // of the concatenation
bool digest_eq(const struct digest *a, const struct digest *b);                  // constant time
bool bytes_eq(struct sv a, struct sv b);                                         // constant time for equal lengths

struct sv hex_of(struct arena *a, const void *bytes, size_t n);                  // lower case
void hex_into(char *out, const void *bytes, size_t n);                           // 2n characters and a NUL
bool hex_digest(struct sv hex, struct digest *ret);                              // exactly 64 hex digits
struct sv base64_of(struct arena *a, struct sv bytes);
bool base64_digest(struct sv text, struct digest *ret);                          // exactly 44 characters, canonical
bool base64_bytes(struct sv text, unsigned char *out, size_t out_len);           // must decode to exactly out_len bytes

void random_bytes(void *out, size_t n);                                          // aborts when the system has none
uint64_t random_below(uint64_t limit);                                           // uniform in [0, limit); 0 for limit 0

// derive_key: HKDF-SHA256(master, label), so that one seal_key serves several purposes that cannot be mixed up.
struct digest derive_key(struct sv master, const char *label);

// seal: AES-256-GCM record `1 | nonce 12 | ciphertext | tag 16`, bound to aad. open_sealed: RC_DENIED when key, aad or a byte differ.
struct sv seal(struct arena *a, const struct digest *key, struct sv aad, struct sv plain);
MUST_CHECK enum rc open_sealed(struct arena *a, const struct digest *key, struct sv aad, struct sv record, struct sv *ret, struct err *e);

void wipe(void *p, size_t n);

#endif
