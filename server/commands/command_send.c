// fireorder send: signs recorded webhooks and posts them, as Shopify, Recharge and a shop itself would.
#include "base/clock.h"
#include "handlers/source.h"
#include "server/commands/commands.h"
#include "server/commands/fixture.h"
#include "server/commands/post.h"
#include "server/config/config.h"

#include <getopt.h>
#include <stdio.h>

static const char usage[] =
    "usage: fireorder send FIXTURE... --config FILE [--url URL] [--shop NAME] [--now]\n"
    "\n"
    "Signs fixtures with the shop's own secret and posts them. A fixture is a folder such as\n"
    "fixtures/shopify/orders/create/with_fbp_fbc.\n"
    "\n"
    "  --config FILE  the configuration of the running server: shops and secrets come from it\n"
    "  --url URL      where the server is (default: http://127.0.0.1 and the port of `listen`)\n"
    "  --shop NAME    which shop (default: the first one)\n"
    "  --now          move the recorded times so that it has just happened\n"
    "\n"
    "What was sent before is answered `duplicate` and goes nowhere: the server knows it by its body.\n"
    "To rehearse without accounts, run `fireorder sandbox` and set base_url of meta and klaviyo to it.\n";

struct send_options {
    const char *config, *url, *shop;
    bool now;
};

static struct sv default_url(struct arena *a, const struct config *config) {
    struct sv rest = config->listen, host, port = rest;
    while (sv_cut(rest, ':', &host, &rest))
        port = rest;
    return arena_fmt(a, "http://127.0.0.1:" SV_FMT, SV_ARG(port));
}

static struct sv hook_url(struct arena *a, struct sv base, const struct shop *shop, const struct fixture *f) {
    struct sv path = source_path(a, source_named(f->source), shop->name, f->topic);
    return arena_fmt(a, SV_FMT SV_FMT, SV_ARG(base), SV_ARG(path));
}

// send_one: true when the server took it.
static bool send_one(struct http_client *http, struct arena *a, const struct shop *shop, struct sv base, const char *path, bool now) {
    struct fixture f;
    struct err e;
    struct posted posted;
    if (fixture_read(a, path, &f, &e)) {
        fprintf(stderr, "%s: %s\n", path, e.text);
        return false;
    }
    const struct secrets *secrets = source_named(f.source)->secrets(shop);
    if (secrets->n == 0) {
        fprintf(stderr, "%s: shop " SV_FMT " has no secret for " SV_FMT "\n", path, SV_ARG(shop->name), SV_ARG(f.source));
        return false;
    }
    if (now)
        fixture_shift(a, &f, clock_wall_ms());
    post_and_wait(http, a, hook_url(a, base, shop, &f), fixture_sign(a, &f, secrets->v[0], clock_wall_ms()), f.body, &posted);
    printf("%ld  " SV_FMT " " SV_FMT " " SV_FMT "  " SV_FMT "\n", posted.status, SV_ARG(f.source), SV_ARG(f.topic), SV_ARG(f.name),
           SV_ARG(posted.status ? posted.body : posted.error));
    return posted.status >= 200 && posted.status < 300;
}

static int send_all(const struct send_options *o, char **paths, int n) {
    struct config *config = NULL;
    struct http_client *http = NULL;
    struct buf faults;
    struct err e;
    struct arena a;
    int status = 0;
    buf_init(&faults, 1 << 20);
    arena_init(&a, (size_t)64 << 20);
    if (config_load(o->config, &config, &faults, &e) || http_client_new(&http, &e)) {
        fprintf(stderr, "%s%s\n", buf_cstr(&faults), e.text);
        status = 1;
        goto out;
    }
    const struct shop *shop = o->shop ? config_shop(config, sv_of(o->shop)) : &config->shops[0];
    if (!shop) {
        fprintf(stderr, "fireorder send: %s has no shop %s\n", o->config, o->shop);
        status = 1;
        goto out;
    }
    struct sv base = o->url ? sv_of(o->url) : default_url(&a, config);
    if (sv_ends(base, SV("/")))
        base.n--;
    base = arena_dup(&a, base);
    for (int i = 0; i < n; i++)
        if (!send_one(http, &a, shop, base, paths[i], o->now))
            status = 1;
out:
    http_client_free(http);
    config_drop(config);
    arena_free(&a);
    buf_free(&faults);
    return status;
}

int command_send(int argc, char **argv) {
    enum { CONFIG = 1, URL, SHOP, NOW, HELP };
    static const struct option options[] = {{"config", 1, NULL, CONFIG}, {"url", 1, NULL, URL},   {"shop", 1, NULL, SHOP},
                                            {"now", 0, NULL, NOW},       {"help", 0, NULL, HELP}, {NULL, 0, NULL, 0}};
    struct send_options chosen = {0};
    for (int o; (o = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        switch (o) {
        case CONFIG: chosen.config = optarg; break;
        case URL: chosen.url = optarg; break;
        case SHOP: chosen.shop = optarg; break;
        case NOW: chosen.now = true; break;
        case HELP: fputs(usage, stdout); return 0;
        default: fputs(usage, stderr); return 2;
        }
    }
    if (!chosen.config || optind == argc) {
        fputs(usage, stderr);
        return 2;
    }
    return send_all(&chosen, argv + optind, argc - optind);
}
