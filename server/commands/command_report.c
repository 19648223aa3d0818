// fireorder report: asks the running service what its ledger says. It alone may have the store open.
#include "base/clock.h"
#include "server/commands/admin_client.h"
#include "server/commands/commands.h"
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

static enum rc tell_all(struct admin_client *c, struct arena *a, const struct report_options *o, struct buf *out, struct err *e) {
    const struct config *config = admin_client_config(c);
    struct jw w;
    jw_init(&w, out);
    if (o->json) {
        jw_open(&w, '{');
        jw_key(&w, "shops");
        jw_open(&w, '[');
    }
    for (size_t i = 0; i < config->shop_count; i++) {
        struct json *root;
        struct sv name = config->shops[i].name;
        if (o->shop && !sv_is(name, o->shop))
            continue;
        enum rc rc = admin_get(c, a, arena_fmt(a, "/report?since=%s&shop=" SV_FMT, o->since, SV_ARG(name)), &root, e);
        if (rc)
            return rc;
        JSON_EACH(shop, json_get(root, "shops"))
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
    return RC_OK;
}

static int report(const struct report_options *o) {
    struct admin_client *c = NULL;
    struct buf out;
    struct err e = {0};
    struct arena a;
    buf_init(&out, REPORT_MEMORY);
    arena_init(&a, REPORT_MEMORY);
    enum rc rc = admin_client_new(o->config, o->admin, &c, &e);
    if (!rc && o->shop && !config_shop(admin_client_config(c), sv_of(o->shop)))
        rc = err_set(&e, RC_NOT_FOUND, "%s has no shop %s", o->config, o->shop);
    if (!rc)
        rc = tell_all(c, &a, o, &out, &e);
    fputs(rc ? "" : buf_cstr(&out), stdout);
    if (rc)
        fprintf(stderr, "fireorder report: %s\n", e.text);
    admin_client_free(c);
    arena_free(&a);
    buf_free(&out);
    return rc ? 1 : 0;
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
