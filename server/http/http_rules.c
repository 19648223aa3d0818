#include "server/http/http_rules.h"

#include <string.h>

static const char length_name[] = "Content-Length";

static bool is_length(struct sv s) {
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] < '0' || s.p[i] > '9')
            return false;
    return s.n >= 1 && s.n <= 9;
}

int http_head_fault(const struct http_request *r) {
    size_t lengths = headers_count(r->headers, length_name);
    if (!sv_starts(r->path, SV("/")))
        return 400;
    if (r->headers.n > HTTP_HEADERS_MAX || headers_count(r->headers, "Transfer-Encoding") > 0 || headers_count(r->headers, "Host") > 1)
        return 400;
    if (lengths > 1 || (lengths == 1 && !is_length(headers_get(r->headers, length_name))))
        return 400;
    return 0;
}

int http_body_length(const struct http_request *r, size_t limit, size_t *ret) {
    static const char *const with_body[] = {"POST", "PUT", "PATCH"};
    struct sv length = headers_get(r->headers, length_name);
    int64_t n = 0;
    *ret = 0;
    if (!length.p) {
        for (size_t i = 0; i < COUNTOF(with_body); i++)
            if (sv_is(r->method, with_body[i]))
                return 411;
        return 0;
    }
    if (!sv_i64(length, &n))
        return 400;
    if ((size_t)n > limit)
        return 413;
    *ret = (size_t)n;
    return 0;
}

bool http_waits_for_continue(const struct http_request *r) {
    return sv_is_nocase(headers_get(r->headers, "Expect"), "100-continue");
}

// No more than is plain: civetweb closes behind most other words, and an answer must not promise what it does not do.
bool http_may_stay(const struct http_request *r, const char *version) {
    struct sv wish = headers_get(r->headers, "Connection");
    return strcmp(version, "1.1") == 0 && headers_count(r->headers, "Connection") <= 1 && (!wish.p || sv_is_nocase(wish, "keep-alive"));
}
