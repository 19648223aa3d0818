#include "server/admin_jobs.h"

#include "base/clock.h"
#include "base/crypto.h"
#include "base/log.h"
#include "server/report/report_page.h"

#define METRICS_LIMIT ((size_t)8 << 20)

static void healthz(struct admin *admin, const struct http_request *r, struct http_response *ret) {
    (void)admin;
    (void)r;
    ret->body = SV("{\"status\":\"ok\"}");
}

static void readyz(struct admin *admin, const struct http_request *r, struct http_response *ret) {
    struct err e;
    (void)r;
    ret->status = 503;
    if (*admin->stopping) {
        ret->body = SV("{\"status\":\"stopping\"}");
    } else if (store_check(admin->store, &e) != RC_OK) {
        log_warn("not ready: %s", e.text);
        ret->body = SV("{\"status\":\"store unavailable\"}");
    } else {
        int64_t waiting;
        ret->status = 200;
        ret->body = store_spools(admin->store, &waiting) ? SV("{\"status\":\"ready, webhooks wait in the spool\"}") : SV("{\"status\":\"ready\"}");
    }
}

// A shop whose numbers the store does not tell now is left out: a gauge that is missing is noticed, a zero would be believed.
static size_t read_gauges(struct admin *admin, const struct config *config, struct metrics_gauges *ret) {
    int64_t now_ms = clock_wall_ms();
    size_t n = 0;
    for (size_t i = 0; i < config->shop_count; i++) {
        struct store_stats stats;
        struct err e;
        if (store_stats(admin->store, config->shops[i].name, &stats, &e) != RC_OK) {
            log_warn("metrics of shop " SV_FMT " are incomplete: %s", SV_ARG(config->shops[i].name), e.text);
            continue;
        }
        int64_t age_ms = stats.oldest_pending_ms > 0 && stats.oldest_pending_ms < now_ms ? now_ms - stats.oldest_pending_ms : 0;
        ret[n++] = (struct metrics_gauges){config->shops[i].name, stats.pending, stats.dead, age_ms / 1000};
    }
    return n;
}

static void metrics(struct admin *admin, const struct http_request *r, struct http_response *ret) {
    struct config *config = config_current(admin->config);
    struct metrics_gauges *gauges = ARENA_ARRAY(r->arena, struct metrics_gauges, config->shop_count);
    struct buf out;
    int64_t spooled;
    store_spools(admin->store, &spooled);
    metrics_spooled(admin->metrics, spooled);
    buf_init(&out, METRICS_LIMIT);
    metrics_write(admin->metrics, gauges, read_gauges(admin, config, gauges), &out);
    ret->status = buf_ok(&out) ? 200 : 500;
    ret->content_type = "text/plain; version=0.0.4; charset=utf-8";
    ret->body = arena_dup(r->arena, buf_sv(&out));
    buf_free(&out);
    config_drop(config);
}

static void report(struct admin *admin, const struct http_request *r, struct http_response *ret) {
    struct config *config = config_current(admin->config);
    report_page(admin->store, config, r, ret);
    config_drop(config);
}

static const struct {
    const char *path;
    bool post;  // POST alone, else GET and HEAD
    bool open;  // no token needed: a load balancer has none
    void (*handle)(struct admin *admin, const struct http_request *r, struct http_response *ret);
} pages[] = {
    {"/healthz", false, true, healthz},
    {"/readyz", false, true, readyz},
    {"/metrics", false, false, metrics},
    {"/events", false, false, admin_events},
    {"/redrive", true, false, admin_redrive},
    {"/report", false, false, report},
};

static bool has_token(struct admin *admin, const struct http_request *r) {
    struct config *config = config_current(admin->config);
    struct sv given = headers_get(r->headers, "Authorization"), scheme, token;
    bool is_bearer = headers_count(r->headers, "Authorization") == 1 && sv_cut(given, ' ', &scheme, &token) && sv_is_nocase(scheme, "Bearer");
    bool ok = !sv_present(config->admin_token) || (is_bearer && bytes_eq(sv_trim(token), config->admin_token));
    config_drop(config);
    return ok;
}

static void refuse(struct http_response *ret, int status, struct sv body, const char *headers) {
    ret->status = status;
    ret->body = body;
    ret->extra_headers = headers;
}

void admin_handle(void *ctx, const struct http_request *r, struct http_response *ret) {
    struct admin *admin = ctx;
    size_t i = 0;
    while (i < COUNTOF(pages) && !sv_is(r->path, pages[i].path))
        i++;
    bool known = i < COUNTOF(pages);
    if ((!known || !pages[i].open) && !has_token(admin, r))
        refuse(ret, 401, SV("{\"error\":\"unauthorized\"}"), "WWW-Authenticate: Bearer\r\n");
    else if (!known)
        refuse(ret, 404, SV("{\"error\":\"not found\"}"), NULL);
    else if (pages[i].post ? !sv_is(r->method, "POST") : !sv_is(r->method, "GET") && !sv_is(r->method, "HEAD"))
        refuse(ret, 405, SV("{\"error\":\"method not allowed\"}"), pages[i].post ? "Allow: POST\r\n" : "Allow: GET, HEAD\r\n");
    else
        pages[i].handle(admin, r, ret);
}
