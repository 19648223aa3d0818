#include "server/commands/admin_client.h"

#include "server/commands/post.h"

#include <stdlib.h>

#define ANSWER_MOST ((size_t)16 << 20)

struct admin_client {
    struct config *config;
    struct http_client *http;
    const char *url;  // NULL: where the configuration says
};

enum rc admin_client_new(const char *config_file, const char *url, struct admin_client **ret, struct err *e) {
    struct admin_client *c = calloc(1, sizeof *c);
    struct buf faults;
    if (!c)
        return err_set(e, RC_IO, "out of memory");
    c->url = url;
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

// address: where the service listens, as this machine reaches it: all addresses are this one's own too.
static struct sv address(const struct admin_client *c, struct arena *a) {
    struct sv base = sv_of(c->url), listen = c->config->admin, rest = listen, head, port = rest;
    while (sv_ends(base, SV("/")))
        base.n--;
    if (sv_present(base))
        return base;
    while (sv_cut(rest, ':', &head, &rest))
        port = rest;
    struct sv host = port.n < listen.n ? sv_sub(listen, 0, listen.n - port.n - 1) : SV_NONE;
    if (!sv_present(host) || sv_is(host, "0.0.0.0") || sv_is(host, "[::]"))
        host = SV("127.0.0.1");
    return arena_fmt(a, "http://" SV_FMT ":" SV_FMT, SV_ARG(host), SV_ARG(port));
}

static enum rc understand(struct arena *a, struct sv base, const struct posted *answer, struct json **ret, struct err *e) {
    if (answer->status == 0)
        return err_set(e, RC_UNAVAILABLE, "nothing answers at " SV_FMT " (" SV_FMT "); start `fireorder serve`, or name it with --admin URL",
                       SV_ARG(base), SV_ARG(answer->error));
    if (answer->status == 401)
        return err_set(e, RC_DENIED, SV_FMT " wants another admin_token than this configuration has", SV_ARG(base));
    if (json_parse(a, answer->body, ret, e))
        return err_set(e, RC_IO, SV_FMT " answers %ld and no JSON; is it a fireorder of this version?", SV_ARG(base), answer->status);
    if (answer->status != 200)
        return err_set(e, RC_INVALID, SV_FMT, SV_ARG(sv_first(json_str(*ret, "error"), SV("refused, and no reason given"))));
    return RC_OK;
}

static enum rc ask(struct admin_client *c, struct arena *a, struct sv path, struct sv body, struct json **ret, struct err *e) {
    struct header authorization = {SV("Authorization"), arena_fmt(a, "Bearer " SV_FMT, SV_ARG(c->config->admin_token))};
    struct headers headers = {&authorization, sv_present(c->config->admin_token) ? 1 : 0};
    struct sv base = address(c, a), url = arena_fmt(a, SV_FMT SV_FMT, SV_ARG(base), SV_ARG(path));
    struct posted answer;
    if (body.p)
        post_and_wait(c->http, a, url, headers, body, &answer);
    else
        get_and_wait(c->http, a, url, headers, &answer);
    return understand(a, base, &answer, ret, e);
}

enum rc admin_get(struct admin_client *c, struct arena *a, struct sv path_and_query, struct json **ret, struct err *e) {
    return ask(c, a, path_and_query, SV_NONE, ret, e);
}

enum rc admin_post(struct admin_client *c, struct arena *a, struct sv path, struct sv body, struct json **ret, struct err *e) {
    return ask(c, a, path, body, ret, e);
}
