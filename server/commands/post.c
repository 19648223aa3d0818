#include "server/commands/post.h"

#define POST_TIMEOUT_MS 15000
#define GET_TIMEOUT_MS 120000  // a report may read months

typedef enum rc starts(struct http_client *c, const struct request *request, int64_t timeout_ms, http_done *done, void *ctx, struct err *e);

struct waiting {
    struct arena *arena;
    struct posted *posted;
    bool done;
};

static void take_answer(void *ctx, const struct answer *answer) {
    struct waiting *w = ctx;
    w->posted->status = answer->status;
    w->posted->body = arena_dup(w->arena, answer->body);
    w->posted->error = arena_dup(w->arena, answer->transport_error);
    w->done = true;
}

static void wait_for(struct http_client *c, struct arena *a, starts *begin, struct request request, struct headers headers, int64_t timeout_ms,
                     struct posted *ret) {
    struct err e;
    *ret = (struct posted){0};
    for (size_t i = 0; i < headers.n && request.header_count < COUNTOF(request.headers); i++)
        request.headers[request.header_count++] =
            arena_fmt(a, SV_FMT ": " SV_FMT, SV_ARG(headers.v[i].name), SV_ARG(headers.v[i].value));
    struct waiting w = {.arena = a, .posted = ret};
    if (begin(c, &request, timeout_ms, take_answer, &w, &e)) {
        ret->error = arena_dup(a, sv_of(e.text));
        return;
    }
    while (!w.done)
        http_client_run(c, 1000);
}

void post_and_wait(struct http_client *c, struct arena *a, struct sv url, struct headers headers, struct sv body, struct posted *ret) {
    wait_for(c, a, http_client_post, (struct request){.url = url, .body = body}, headers, POST_TIMEOUT_MS, ret);
}

void get_and_wait(struct http_client *c, struct arena *a, struct sv url, struct headers headers, struct posted *ret) {
    wait_for(c, a, http_client_get, (struct request){.url = url}, headers, GET_TIMEOUT_MS, ret);
}
