// fuzz.h: what the fuzz targets share. A target is one function from bytes to nothing that stops the process when a property does not
// hold. libFuzzer calls it with what it makes up; walk.c with the files of a folder, in the ordinary test build and without clang.
#ifndef TESTS_FUZZ_H
#define TESTS_FUZZ_H

#include "base/headers.h"
#include "base/json.h"

#include <stdio.h>
#include <stdlib.h>

#define NOW_MS INT64_C(1795262400000)  // 2026-11-21T12:00:00Z: the recordings are at most three days old
#define MEMORY ((size_t)256 << 20)
#define HEADERS_MOST 64

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CHECK(condition) \
    do { \
        if (!(condition)) { \
            fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, #condition); \
            abort(); \
        } \
    } while (0)

static inline struct sv input_of(const uint8_t *data, size_t size) {
    return (struct sv){size > 0 ? (const char *)data : "", size};
}

// first_line cuts the first line off, its end not included; the last line of all may have none.
static inline struct sv first_line(struct sv *rest) {
    struct sv line, tail;
    if (!sv_cut(*rest, '\n', &line, &tail))
        tail = SV("");
    *rest = tail;
    return line;
}

// head_read: "Name: value" lines up to an empty one; what follows stays in *rest.
static inline struct headers head_read(struct sv *rest, struct header headers[HEADERS_MOST]) {
    size_t n = 0;
    while (rest->n > 0 && n < HEADERS_MOST) {
        struct sv line = first_line(rest), name, value;
        if (line.n == 0)
            break;
        if (!sv_cut(line, ':', &name, &value))
            value = SV("");
        headers[n++] = (struct header){name, sv_trim(value)};
    }
    return (struct headers){headers, n};
}

// choice: one of n by the bytes of a word, for words that name none of them.
static inline size_t choice(struct sv word, size_t n) {
    size_t sum = 0;
    for (size_t i = 0; i < word.n; i++)
        sum += (unsigned char)word.p[i];
    return sum % n;
}

// checked_json: the text is JSON, and written again it is the same text.
static inline struct json *checked_json(struct arena *a, struct sv text) {
    struct json *tree;
    struct buf again;
    struct jw w;
    CHECK(json_parse(a, text, &tree, NULL) == RC_OK);
    buf_init(&again, text.n + 64);
    jw_init(&w, &again);
    jw_node(&w, tree);
    CHECK(sv_eq(buf_sv(&again), text));
    buf_free(&again);
    return tree;
}

#endif
