// fireorder check: reads the configuration as the service would, and says what is wrong with it or what it holds. Never a secret.
#include "server/commands/commands.h"
#include "server/config/config.h"

#include <getopt.h>
#include <stdio.h>

static const char usage[] =
    "usage: fireorder check --config FILE\n"
    "\n"
    "Checks the configuration and the mapping. Prints every fault with file and line and exits with 1,\n"
    "or prints what is configured and exits with 0. Nothing is sent, nothing is stored.\n"
    "\n"
    "  --config FILE  the configuration\n";

static const char *const signatures[] = {[RECHARGE_AUTO] = "auto", [RECHARGE_TIMESTAMPED] = "timestamped", [RECHARGE_LEGACY] = "legacy"};

static const char *plural(size_t n) {
    return n == 1 ? "" : "s";
}

static void print_source(const char *name, const struct secrets *secrets, const char *detail) {
    if (secrets->n > 0)
        printf("    %-9s%zu secret%s%s%s\n", name, secrets->n, plural(secrets->n), detail ? ", " : "", detail ? detail : "");
    else
        printf("    %-9sclosed: no secrets\n", name);
}

static void print_shop(const struct shop *s) {
    printf("  shop " SV_FMT "\n", SV_ARG(s->name));
    print_source("shopify", &s->shopify.secrets, s->shopify.purchase_on_paid ? "purchase on orders/paid" : "purchase on orders/create");
    print_source("recharge", &s->recharge.secrets, signatures[s->recharge.signature]);
    print_source("events", &s->events.secrets, NULL);
    if (s->context.origin_count > 0)
        printf("    context  %zu origin%s\n", s->context.origin_count, plural(s->context.origin_count));
    else
        printf("    context  closed: no origins\n");
    if (s->meta.configured)
        printf("    meta     pixel " SV_FMT " at " SV_FMT "/" SV_FMT "%s\n", SV_ARG(s->meta.pixel_id), SV_ARG(s->meta.base_url),
               SV_ARG(s->meta.api_version), sv_present(s->meta.test_event_code) ? ", test events" : "");
    else
        printf("    meta     not configured: its steps will be skipped\n");
    if (s->klaviyo.configured)
        printf("    klaviyo  " SV_FMT ", revision " SV_FMT "%s\n", SV_ARG(s->klaviyo.base_url), SV_ARG(s->klaviyo.revision),
               s->klaviyo.native_integration ? ", own Shopify integration assumed (native_integration)" : "");
    else
        printf("    klaviyo  not configured: its steps will be skipped\n");
}

// Of the store only what comes before the first colon: the rest may hold a password.
static void print_config(const struct config *c) {
    struct sv scheme, rest;
    sv_cut(c->store, ':', &scheme, &rest);
    if (sv_is(scheme, "sqlite"))
        scheme = c->store;
    printf(SV_FMT ": ok\n", SV_ARG(c->file));
    printf("  listen   " SV_FMT "\n", SV_ARG(c->listen));
    printf("  admin    " SV_FMT ", %s\n", SV_ARG(c->admin), sv_present(c->admin_token) ? "with a token" : "without a token");
    printf("  store    " SV_FMT ", %s\n", SV_ARG(scheme), c->relaxed ? "relaxed: may lose what it acknowledged" : "strict");
    for (size_t i = 0; i < c->shop_count; i++)
        print_shop(&c->shops[i]);
}

static int check(const char *file) {
    struct config *config;
    struct buf faults;
    struct err e;
    buf_init(&faults, (size_t)1 << 20);
    enum rc rc = config_load(file, &config, &faults, &e);
    if (rc == RC_OK)
        print_config(config);
    else
        fprintf(stderr, "%s%s%s", buf_cstr(&faults), rc == RC_INVALID ? e.text : "", rc == RC_INVALID ? "\n" : "");
    buf_free(&faults);
    config_drop(config);
    return rc == RC_OK ? 0 : 1;
}

int command_check(int argc, char **argv) {
    enum { CONFIG = 1, HELP };
    static const struct option options[] = {{"config", 1, NULL, CONFIG}, {"help", 0, NULL, HELP}, {NULL, 0, NULL, 0}};
    const char *file = NULL;
    for (int o; (o = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (o == HELP) {
            fputs(usage, stdout);
            return 0;
        }
        if (o != CONFIG) {
            fputs(usage, stderr);
            return 2;
        }
        file = optarg;
    }
    if (!file || optind < argc) {
        fputs(file ? "" : "fireorder check: --config is missing\n", stderr);
        fputs(usage, stderr);
        return 2;
    }
    return check(file);
}
