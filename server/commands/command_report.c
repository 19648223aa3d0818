// fireorder report: asks the running service what its ledger says. It alone may have the store open.
#include "base/clock.h"
#include "server/commands/commands.h"
#include "server/commands/post.h"
#include "server/config/config.h"
#include "server/report/report_table.h"

#include <getopt.h>
#include <stdio.h>

#define REPORT_MEMORY ((size_t)64 << 20)

static const char usage[] =
    "usage: fireorder report --config FILE [--since 7d] [--shop NAME] [--admin URL] [--json]\n"
    "\n"
    "Prints where conversions leak, from what the running service recorded: identity of Meta's events, fbc of\n"
    "Purchase, consent, orders that are told or sent twice, and the time between Meta's answer and Klaviyo's request.\n"
    "\n"
    "  --config FILE  the configuration of the running service: shops, admin address and token come from it\n"
    "  --since TIME   how far back: 30m, 24h, 7d (default: 7d; at most report_lifetime)\n"
    "  --shop NAME    one shop (default: all)\n"
    "  --admin URL    where the service is (default: this machine, the port of `admin`)\n"
    "  --json         one JSON object\n"
    "\n"
    "docs/report.md says what each figure means.\n";

struct report_options {
    const char *config, *since, *shop, *admin;
    bool json;
};

// An address that stands for all of this machine's is asked at its own.
static struct sv admin_url(struct arena *a, const struct config *config) {
    struct sv rest = config->admin, host, port = rest, head;
    while (sv_cut(rest, ':', &head, &rest))
        port = rest;
    host = port.n < config->admin.n ? sv_sub(config->admin, 0, config->admin.n - port.n - 1) : SV_NONE;
    if (!sv_present(host) || sv_is(host, "0.0.0.0") || sv_is(host, "[::]"))
        host = SV("127.0.0.1");
    return arena_fmt(a, "http://" SV_FMT ":" SV_FMT, SV_ARG(host), SV_ARG(port));
}

// ask_shop: the one element of `shops` in the answer; NULL when it was said why there is none.
static const struct json *ask_shop(struct http_client *http, struct arena *a, const struct config *config, struct sv base, struct sv since, struct sv shop) {
    struct header authorization = {SV("Authorization"), arena_fmt(a, "Bearer " SV_FMT, SV_ARG(config->admin_token))};
    struct headers headers = {&authorization, sv_present(config->admin_token) ? 1 : 0};
    struct posted answer;
    struct json *root = NULL;
    struct sv url = arena_fmt(a, SV_FMT "/report?since=" SV_FMT "&shop=" SV_FMT, SV_ARG(base), SV_ARG(since), SV_ARG(shop));
    get_and_wait(http, a, url, headers, &answer);
    bool readable = answer.status != 0 && json_parse(a, answer.body, &root, NULL) == RC_OK;
    const struct json *shops = readable && answer.status == 200 ? json_get(root, "shops") : NULL;
    if (json_is_array(shops) && shops->child)
        return shops->child;
    if (answer.status == 0)
        fprintf(stderr, "fireorder report: nothing answers at " SV_FMT " (" SV_FMT "); start `fireorder serve`, or name it with --admin URL\n",
                SV_ARG(base), SV_ARG(answer.error));
    else if (answer.status == 401)
        fprintf(stderr, "fireorder report: " SV_FMT " wants another admin_token than this configuration has\n", SV_ARG(base));
    else if (sv_present(json_str(root, "error")))
        fprintf(stderr, "fireorder report: shop " SV_FMT ": " SV_FMT "\n", SV_ARG(shop), SV_ARG(json_str(root, "error")));
    else
        fprintf(stderr, "fireorder report: " SV_FMT " answers %ld and no report; is it a fireorder of this version?\n", SV_ARG(base), answer.status);
    return NULL;
}

static bool ask_all(struct http_client *http, struct arena *a, const struct config *config, const struct report_options *o, struct buf *out) {
    struct sv base = o->admin ? sv_of(o->admin) : admin_url(a, config);
    struct jw w;
    while (sv_ends(base, SV("/")))
        base.n--;
    jw_init(&w, out);
    if (o->json) {
        jw_open(&w, '{');
        jw_key(&w, "shops");
        jw_open(&w, '[');
    }
    for (size_t i = 0; i < config->shop_count; i++) {
        struct sv name = config->shops[i].name;
        if (o->shop && !sv_is(name, o->shop))
            continue;
        const struct json *shop = ask_shop(http, a, config, base, sv_of(o->since), name);
        if (!shop)
            return false;
        if (o->json)
            jw_node(&w, shop);
        else
            report_table(shop, out);
    }
    if (o->json) {
        jw_close(&w, ']');
        jw_close(&w, '}');
        buf_puts(out, "\n");
    }
    return true;
}

static int report(const struct report_options *o) {
    struct config *config = NULL;
    struct http_client *http = NULL;
    struct buf faults, out;
    struct err e;
    struct arena a;
    int status = 1;
    buf_init(&faults, 1 << 20);
    buf_init(&out, REPORT_MEMORY);
    arena_init(&a, REPORT_MEMORY);
    if (config_load(o->config, &config, &faults, &e) || http_client_new(&http, &e)) {
        fprintf(stderr, "%s%s\n", buf_cstr(&faults), e.text);
    } else if (o->shop && !config_shop(config, sv_of(o->shop))) {
        fprintf(stderr, "fireorder report: %s has no shop %s\n", o->config, o->shop);
    } else if (ask_all(http, &a, config, o, &out)) {
        fputs(buf_cstr(&out), stdout);
        status = 0;
    }
    http_client_free(http);
    config_drop(config);
    arena_free(&a);
    buf_free(&out);
    buf_free(&faults);
    return status;
}

int command_report(int argc, char **argv) {
    enum { CONFIG = 1, SINCE, SHOP, ADMIN, JSON, HELP };
    static const struct option options[] = {{"config", 1, NULL, CONFIG}, {"since", 1, NULL, SINCE}, {"shop", 1, NULL, SHOP}, {"admin", 1, NULL, ADMIN},
                                            {"json", 0, NULL, JSON},     {"help", 0, NULL, HELP},   {NULL, 0, NULL, 0}};
    struct report_options chosen = {.since = "7d"};
    int64_t ms;
    for (int o; (o = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        switch (o) {
        case CONFIG: chosen.config = optarg; break;
        case SINCE: chosen.since = optarg; break;
        case SHOP: chosen.shop = optarg; break;
        case ADMIN: chosen.admin = optarg; break;
        case JSON: chosen.json = true; break;
        case HELP: fputs(usage, stdout); return 0;
        default: fputs(usage, stderr); return 2;
        }
    }
    if (!chosen.config || optind != argc) {
        fputs(chosen.config ? "" : "fireorder report: --config is missing\n", stderr);
        fputs(usage, stderr);
        return 2;
    }
    if (!duration_parse(sv_of(chosen.since), &ms) || ms <= 0) {
        fprintf(stderr, "fireorder report: --since %s: not a duration such as 30m, 24h or 7d\n", chosen.since);
        return 2;
    }
    return report(&chosen);
}
