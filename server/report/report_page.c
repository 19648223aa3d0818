#include "server/report/report_page.h"

#include "base/clock.h"
#include "base/log.h"
#include "server/report/report.h"

#include <stdlib.h>

#define ANSWER_LIMIT ((size_t)8 << 20)
#define PAGE_MEMORY ((size_t)64 << 20)

struct question {
    struct sv since, shop;
    int64_t since_ms;        // wall
    const struct shop *only; // NULL: all
};

static bool refuse(struct http_response *ret, int status, struct sv text) {
    ret->status = status;
    ret->body = text;
    return false;
}

// ask reads the query; false: it was refused. Nothing of the query is repeated in an answer.
static bool ask(const struct config *config, const struct http_request *r, int64_t now_ms, struct question *q, struct http_response *ret) {
    struct sv pair, key, value, rest = r->query;
    int64_t ms = 0;
    *q = (struct question){.since = SV("7d")};
    for (bool more = sv_present(rest); more;) {
        more = sv_cut(rest, '&', &pair, &rest);
        sv_cut(pair, '=', &key, &value);
        if (sv_is(key, "since"))
            q->since = value;
        else if (sv_is(key, "shop"))
            q->shop = value;
        else
            return refuse(ret, 400, SV("{\"error\":\"the query may hold since and shop\"}"));
    }
    if (!duration_parse(q->since, &ms) || ms <= 0)
        return refuse(ret, 400, SV("{\"error\":\"since: not a duration such as 30m, 24h or 7d\"}"));
    if (ms > config->report_lifetime_ms)
        return refuse(ret, 400, SV("{\"error\":\"since: further back than report_lifetime, the ledger's memory\"}"));
    q->since_ms = now_ms - ms;
    q->only = q->shop.p ? config_shop(config, q->shop) : NULL;
    if (q->shop.p && !q->only)
        return refuse(ret, 404, SV("{\"error\":\"shop: there is none of that name\"}"));
    return true;
}

// read_ledger: what is written while it reads is left for the next report.
static enum rc read_ledger(struct store *store, struct sv shop, int64_t since_ms, int64_t until_ms, struct report *report, struct err *e) {
    struct arena a;
    int64_t after_ms = since_ms, after_n = -1;
    size_t count = 1;
    enum rc rc = RC_OK;
    arena_init(&a, PAGE_MEMORY);
    while (rc == RC_OK && count > 0 && after_ms <= until_ms) {
        struct ledger_line *lines = NULL;
        rc = store_ledger(store, &a, shop, after_ms, after_n, &lines, &count, e);
        for (size_t i = 0; rc == RC_OK && i < count; i++) {
            after_ms = lines[i].at_ms;
            after_n = lines[i].n;
            report_add(report, lines[i].text);
        }
        arena_reset(&a);
    }
    arena_free(&a);
    if (rc == RC_OK && report->failed)
        rc = err_set(e, RC_UNAVAILABLE, "out of memory");
    report_end(report);
    return rc;
}

static enum rc write_shop(struct store *store, const struct shop *shop, int64_t since_ms, int64_t now_ms, struct jw *w, struct err *e) {
    struct report *report = malloc(sizeof *report);
    char since[25], until[25];
    if (!report)
        return err_set(e, RC_UNAVAILABLE, "out of memory");
    report_init(report);
    enum rc rc = read_ledger(store, shop->name, since_ms, now_ms, report, e);
    time_iso_ms(since, since_ms);
    time_iso_ms(until, now_ms);
    jw_open(w, '{');
    jw_member(w, "shop", shop->name);
    jw_member(w, "since", sv_of(since));
    jw_member(w, "until", sv_of(until));
    report_write(report, w);
    jw_close(w, '}');
    report_free(report);
    free(report);
    return rc;
}

void report_page(struct store *store, const struct config *config, const struct http_request *r, struct http_response *ret) {
    int64_t now_ms = clock_wall_ms();
    struct question q;
    struct buf out;
    struct jw w;
    struct err e = {0};
    enum rc rc = RC_OK;
    if (!ask(config, r, now_ms, &q, ret))
        return;
    buf_init(&out, ANSWER_LIMIT);
    jw_init(&w, &out);
    jw_open(&w, '{');
    jw_key(&w, "shops");
    jw_open(&w, '[');
    for (size_t i = 0; i < config->shop_count && rc == RC_OK; i++)
        if (!q.only || q.only == &config->shops[i])
            rc = write_shop(store, &config->shops[i], q.since_ms, now_ms, &w, &e);
    jw_close(&w, ']');
    jw_close(&w, '}');
    if (rc != RC_OK) {
        log_warn("no report: %s", e.text);
        refuse(ret, 503, SV("{\"error\":\"the store is away\"}"));
    } else if (!buf_ok(&out)) {
        refuse(ret, 500, SV("{\"error\":\"the report is too long; ask for one shop\"}"));
    } else {
        ret->body = arena_dup(r->arena, buf_sv(&out));
    }
    buf_free(&out);
}
