#include "server/front.h"

#include "server/context/script.h"

static bool is_context(const struct http_request *r) {
    return sv_starts(r->path, CONTEXT_ROOT);
}

static bool is_script(const struct http_request *r) {
    return sv_is(r->path, SCRIPT_PATH);
}

int front_early(void *ctx, const struct http_request *r) {
    struct front *f = ctx;
    if (is_script(r))
        return script_early(r);
    return is_context(r) ? context_in_early(f->context, r) : ingest_early(&f->ingest, r);
}

void front_handle(void *ctx, const struct http_request *r, struct http_response *ret) {
    struct front *f = ctx;
    if (is_script(r))
        script_handle(r, ret);
    else if (is_context(r))
        context_in_handle(f->context, r, ret);
    else
        ingest_handle(&f->ingest, r, ret);
}

const char *front_refused(void *ctx, const struct http_request *r, int status) {
    struct front *f = ctx;
    if (is_context(r))
        return context_in_refused(f->context, r, status);
    if (!is_script(r))
        ingest_refused(&f->ingest, r, status);
    return NULL;
}

void front_done(void *ctx, const struct http_request *r) {
    struct front *f = ctx;
    if (is_context(r))
        context_in_done(f->context, r);
    else
        ingest_done(&f->ingest, r);
}
