// headers.h: HTTP header fields as they came, in both directions. Views into the message; names match without case.
#ifndef BASE_HEADERS_H
#define BASE_HEADERS_H

#include "base/sv.h"

struct header {
    struct sv name, value;
};

struct headers {
    const struct header *v;
    size_t n;
};

struct sv headers_get(struct headers h, const char *name);   // the first one, trimmed; absent when there is none
size_t headers_count(struct headers h, const char *name);    // how often the name occurs

#endif
