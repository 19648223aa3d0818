#include "server/commands/admin_client.h"

#include "server/http/http_out.h"

#include <stdlib.h>

#define ASK_TIMEOUT_MS 30000
#define ANSWER_MOST ((size_t)16 << 20)

struct admin_client {
    struct config *config;
    struct http_client *http;
};

struct waiting {
    struct arena *arena;
    long status;
    struct sv body, error;
    bool done;
};

enum rc admin_client_new(const char *config_file, struct admin_client **ret, struct err *e) {
    struct admin_client *c = calloc(1, sizeof *c);
    struct buf faults;
    if (!c)
        return err_set(e, RC_IO, "out of memory");
    buf_init(&faults, 1 << 20);
    enum rc rc = config_load(config_file, &c->config, &faults, e);
    if (rc) {
        c->config = NULL;
        struct sv told = buf_sv(&faults);
        if (sv_present(told))
            err_set(e, rc, SV_FMT, SV_ARG(sv_trim(told)));
    } else {
        rc = http_client_new(&c->http, e);
    }
    buf_free(&faults);
    if (rc) {
        admin_client_free(c);
        return rc;
    }
    http_client_take(c->http, ANSWER_MOST);
    *ret = c;
    return RC_OK;
}

void admin_client_free(struct admin_client *c) {
    if (!c)
        return;
    http_client_free(c->http);
    config_drop(c->config);
    free(c);
}

const struct config *admin_client_config(const struct admin_client *c) {
    return c->config;
}

static void take_answer(void *ctx, const struct answer *answer) {
    struct waiting *w = ctx;
    w->status = answer->status;
    w->body = arena_dup(w->arena, answer->body);
    w->error = arena_dup(w->arena, answer->transport_error);
    w->done = true;
}

// address: where the service listens, as this machine reaches it: all addresses are this one's own too.
static struct sv address(struct arena *a, struct sv listen) {
    struct sv rest = listen, head, port = rest;
    while (sv_cut(rest, ':', &head, &rest))
        port = rest;
    struct sv host = port.n < listen.n ? sv_sub(listen, 0, listen.n - port.n - 1) : SV_NONE;
    if (!sv_present(host) || sv_is(host, "0.0.0.0") || sv_is(host, "[::]"))
        host = SV("127.0.0.1");
    return arena_fmt(a, "http://" SV_FMT ":" SV_FMT, SV_ARG(host), SV_ARG(port));
}

static enum rc understand(const struct waiting *w, struct sv base, struct json **ret, struct err *e) {
    if (w->status == 0)
        return err_set(e, RC_UNAVAILABLE, "no service answers at " SV_FMT " (" SV_FMT "); start one with `fireorder serve`", SV_ARG(base),
                       SV_ARG(w->error));
    if (w->status == 401)
        return err_set(e, RC_DENIED, "the service at " SV_FMT " has another admin_token", SV_ARG(base));
    if (json_parse(w->arena, w->body, ret, e))
        return err_set(e, RC_IO, "what listens at " SV_FMT " is no fireorder: it answered %ld without JSON", SV_ARG(base), w->status);
    struct sv error = json_str(*ret, "error");
    if (w->status != 200)
        return err_set(e, RC_INVALID, "%ld: " SV_FMT, w->status, SV_ARG(sv_first(error, SV("no reason given"))));
    return RC_OK;
}

typedef enum rc start(struct http_client *c, const struct request *request, int64_t timeout_ms, http_done *done, void *ctx, struct err *e);

static enum rc ask(struct admin_client *c, start *go, struct arena *a, struct sv path, struct sv body, struct json **ret, struct err *e) {
    struct sv base = address(a, c->config->admin), token = c->config->admin_token;
    struct request request = {.url = arena_fmt(a, SV_FMT SV_FMT, SV_ARG(base), SV_ARG(path)), .body = body};
    request.headers[request.header_count++] = SV("Content-Type: application/json");
    if (sv_present(token))
        request.headers[request.header_count++] = arena_fmt(a, "Authorization: Bearer " SV_FMT, SV_ARG(token));
    struct waiting w = {.arena = a};
    enum rc rc = go(c->http, &request, ASK_TIMEOUT_MS, take_answer, &w, e);
    if (rc)
        return rc;
    while (!w.done)
        http_client_run(c->http, 1000);
    return understand(&w, base, ret, e);
}

enum rc admin_get(struct admin_client *c, struct arena *a, struct sv path_and_query, struct json **ret, struct err *e) {
    return ask(c, http_client_get, a, path_and_query, SV_NONE, ret, e);
}

enum rc admin_post(struct admin_client *c, struct arena *a, struct sv path, struct sv body, struct json **ret, struct err *e) {
    return ask(c, http_client_post, a, path, body, ret, e);
}
