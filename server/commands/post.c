#include "server/commands/post.h"

#define POST_TIMEOUT_MS 15000

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

void post_and_wait(struct http_client *c, struct arena *a, struct sv url, struct headers headers, struct sv body, struct posted *ret) {
    struct request request = {.url = url, .body = body};
    struct err e;
    *ret = (struct posted){0};
    for (size_t i = 0; i < headers.n && request.header_count < COUNTOF(request.headers); i++)
        request.headers[request.header_count++] =
            arena_fmt(a, SV_FMT ": " SV_FMT, SV_ARG(headers.v[i].name), SV_ARG(headers.v[i].value));
    struct waiting w = {.arena = a, .posted = ret};
    if (http_client_post(c, &request, POST_TIMEOUT_MS, take_answer, &w, &e)) {
        ret->error = arena_dup(a, sv_of(e.text));
        return;
    }
    while (!w.done)
        http_client_run(c, 1000);
}
