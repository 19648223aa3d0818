#include "server/context/script.h"

#include "base/crypto.h"
#include "context_script.h"

int script_early(const struct http_request *r) {
    return sv_is(r->method, "GET") || sv_is(r->method, "HEAD") ? 0 : 405;
}

// If-None-Match: a list of tags, each perhaps weak ("W/"), or "*".
static bool has_it_already(struct sv known, struct sv tag) {
    struct sv one;
    while (known.p) {
        sv_cut(known, ',', &one, &known);
        one = sv_trim(one);
        if (sv_starts(one, SV("W/")))
            one = sv_sub(one, 2, one.n);
        if (sv_eq(one, tag) || sv_is(one, "*"))
            return true;
    }
    return false;
}

void script_handle(const struct http_request *r, struct http_response *ret) {
    struct sv script = sv_of(js_context);
    struct digest d = sha256(script);
    struct sv hex = hex_of(r->arena, d.b, 8);
    struct sv tag = arena_fmt(r->arena, "\"" SV_FMT "\"", SV_ARG(hex));
    bool known = has_it_already(headers_get(r->headers, "If-None-Match"), tag);
    ret->status = known ? 304 : 200;
    ret->content_type = "text/javascript; charset=utf-8";
    ret->extra_headers = arena_fmt(r->arena, "Cache-Control: public, max-age=3600\r\nETag: " SV_FMT "\r\nX-Content-Type-Options: nosniff\r\n"
                                   "Cross-Origin-Resource-Policy: cross-origin\r\n", SV_ARG(tag)).p;
    ret->body = known ? SV("") : script;
}
