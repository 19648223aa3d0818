// fireorder demo: the whole product on one machine. The sandbox plays Meta and Klaviyo, the service runs on a temporary SQLite file,
// recorded webhooks and own events are signed and sent over HTTP, and what arrived where, and when, is printed as a timeline and checked.
#include "server/commands/demo.h"

#include "base/clock.h"
#include "base/log.h"
#include "server/commands/commands.h"

#include <dirent.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DEMO_DEADLINE_MS 60000

static const char usage[] =
    "usage: fireorder demo [--stay] [--fixtures DIR]\n"
    "\n"
    "Starts a fake Meta and Klaviyo and the service on free ports, sends recorded Shopify and Recharge webhooks and events of the\n"
    "shop's own, and prints when each event reached which destination. Exits 0 when the order held for every event.\n"
    "\n"
    "  --stay          keep everything running afterwards and print URL and secret to try by hand\n"
    "  --fixtures DIR  where the recorded webhooks are\n";

// What is sent, in this order.
static const struct act scenario[] = {
    {.fixture = "events/product_viewed/with_browser", .story = "the shop's own event: a product viewed"},
    {.fixture = "events/lead/form", .story = "... and a lead"},
    {.fixture = "shopify/orders/create/with_fbp_fbc", .story = "order with _fbp and _fbc from the cart"},
    {.fixture = "shopify/orders/create/fbclid_only", .story = "order whose click id comes from fbclid"},
    {.fixture = "shopify/checkouts/create/with_email", .story = "checkout ..."},
    {.fixture = "shopify/orders/create/after_checkout", .story = "... and its order"},
    {.fixture = "recharge/charge/paid/renewal", .story = "renewal, told by Recharge ..."},
    {.fixture = "shopify/orders/create/renewal_mirror", .story = "... and again by Shopify"},
    {.fixture = "shopify/orders/cancelled/by_customer", .story = "cancellation"},
    {.fixture = "shopify/orders/create/with_fbp_fbc", .story = "the first delivery once more"},
    {.fixture = "shopify/orders/create/with_fbp_fbc", .story = "a forged signature", .forged = true},
    {.fixture = "shopify/orders/create/big_id", .story = "order while Meta answers 500", .meta_failures = 2},
    {.fixture = "recharge/subscription/created/monthly", .story = "subscription started"},
    {.fixture = "shopify/refunds/create/partial", .story = "refund: who bought is remembered"},
};

static struct config *demo_config(const struct demo *d, struct err *e) {
    struct buf text, faults;
    struct config *config = NULL;
    char random[16], secret[33];
    random_bytes(random, sizeof(random));
    hex_into(secret, random, sizeof(random));
    buf_init(&text, 1 << 16);
    buf_init(&faults, 1 << 16);
    buf_fmt(&text,
            "version: 1\nlisten: 127.0.0.1:0\nadmin: 127.0.0.1:0\nstore: \"sqlite:%s/demo.db\"\nshops:\n  demo:\n"
            "    domain: demo.myshopify.com\n"
            "    shopify: { secrets: [\"%s\"] }\n    recharge: { secrets: [\"%s\"] }\n    events: { secrets: [\"%s\"] }\n"
            "    meta: { pixel_id: \"1234567890\", access_token: demo, base_url: \"http://127.0.0.1:%d\" }\n"
            "    klaviyo: { api_key: pk_demo, base_url: \"http://127.0.0.1:%d\" }\n",
            d->folder, secret, secret, secret, sandbox_port(d->sandbox), sandbox_port(d->sandbox));
    if (config_parse(buf_sv(&text), "demo", &config, &faults, e))
        err_wrap(e, "%s", buf_cstr(&faults));
    buf_free(&text);
    buf_free(&faults);
    return config;
}

// expect works out by the pure layers what ought to happen to the webhook, so that what did happen can be held against it.
// A person whom only an earlier webhook named is filled in from that one, as the service does from its store.
static void expect(struct demo *d, struct row *rows, struct row *row, const struct fixture *f) {
    source_decode(&d->arena, source_named(f->source), d->shop, f->topic, f->body, &row->decoded);
    for (const struct row *earlier = rows; earlier < row && row->decoded.count > 0; earlier++)
        for (size_t i = 0; i < earlier->decoded.remember_count; i++)
            if (row->decoded.events[0].recall_count > 0 && sv_eq(earlier->decoded.remember[i], row->decoded.events[0].recall[0]))
                user_fill(&row->decoded.events[0].user, &earlier->decoded.person);
    plan_make(&d->arena, d->shop, &row->decoded, clock_wall_ms(), &row->plan);
}

static bool send_act(struct demo *d, const struct act *act, struct row *rows, struct row *row, struct err *e) {
    struct fixture f;
    struct posted posted;
    struct arena *a = &d->arena;
    row->act = act;
    if (fixture_read(a, arena_fmt(a, SV_FMT "/%s", SV_ARG(d->fixtures), act->fixture).p, &f, e))
        return false;
    fixture_shift(a, &f, d->started_ms);
    expect(d, rows, row, &f);
    if (act->meta_failures > 0 && row->decoded.count > 0)
        sandbox_fail(d->sandbox, arena_cstr(a, row->decoded.events[0].id), 500, act->meta_failures);
    struct sv secret = act->forged ? SV("not the secret") : d->shop->shopify.secrets.v[0];
    struct sv path = source_path(a, source_named(f.source), d->shop->name, f.topic);
    struct sv url = arena_fmt(a, "http://127.0.0.1:%d" SV_FMT, service_port(d->service), SV_ARG(path));
    row->topic = arena_fmt(a, SV_FMT " " SV_FMT, SV_ARG(f.source), SV_ARG(f.topic));
    row->sent_ms = clock_wall_ms();
    post_and_wait(d->http, a, url, fixture_sign(a, &f, secret, row->sent_ms), f.body, &posted);
    row->status = posted.status;
    struct json *answer = NULL;
    if (json_parse(a, posted.body, &answer, NULL) == RC_OK) {
        const struct json *results = json_get(answer, "results");  // of own events, one each
        row->answer = json_str(results ? results->child : answer, "status");
    }
    if (posted.status == 0)
        return err_set(e, RC_UNAVAILABLE, "the service did not answer: " SV_FMT, SV_ARG(posted.error)), false;
    return true;
}

static bool drained(struct demo *d) {
    int64_t end = clock_mono_ms() + DEMO_DEADLINE_MS;
    struct store_stats stats;
    while (clock_mono_ms() < end) {
        if (store_stats(service_store(d->service), d->shop->name, &stats, NULL) == RC_OK && stats.pending == 0)
            return true;
        http_client_run(d->http, 20);
    }
    return false;
}

static bool start(struct demo *d, struct err *e) {
    const char *tmp = getenv("TMPDIR");
    struct sandbox_config sandbox = {.listen = SV("127.0.0.1:0")};
    snprintf(d->folder, sizeof(d->folder), "%s/fireorder-demo-XXXXXX", tmp ? tmp : "/tmp");
    if (!mkdtemp(d->folder))
        return err_set(e, RC_IO, "%s: cannot be made", d->folder), false;
    d->folder_made = true;
    if (!sv_present(d->fixtures))
        return err_set(e, RC_NOT_FOUND, "no fixtures folder here: run it in the repository or give --fixtures DIR"), false;
    if (sandbox_start(&sandbox, &d->sandbox, e) || http_client_new(&d->http, e))
        return false;
    struct config *config = demo_config(d, e);
    if (!config)
        return false;
    d->config = config_take(config);
    d->shop = &d->config->shops[0];
    return service_start(config, &d->service, e) == RC_OK;
}

static void remove_folder(const char *folder) {
    DIR *dir = opendir(folder);
    for (struct dirent *entry; dir && (entry = readdir(dir));)
        if (entry->d_name[0] != '.' || strlen(entry->d_name) > 2)
            unlinkat(dirfd(dir), entry->d_name, 0);
    if (dir)
        closedir(dir);
    rmdir(folder);
}

static void stop(struct demo *d) {
    if (d->service)
        service_stop(d->service);
    sandbox_stop(d->sandbox);
    http_client_free(d->http);
    config_drop(d->config);
    if (d->folder_made)
        remove_folder(d->folder);
    arena_free(&d->arena);
}

static void stay(struct demo *d, const sigset_t *signals) {
    int number = 0;
    printf("\nStill running. Send your own from another terminal (it takes curl and openssl), and look at the metrics:\n"
           "  URL     http://127.0.0.1:%d/hooks/demo/shopify\n"
           "  secret  " SV_FMT "\n"
           "  admin   http://127.0.0.1:%d/metrics\n\n"
           "  body='{\"id\":'$(date +%%s)',\"email\":\"you@klaviyo-demo.com\",\"total_price\":\"9.50\",\"currency\":\"USD\",\"created_at\":\"'$(date -u +%%FT%%TZ)'\"}'\n"
           "  curl http://127.0.0.1:%d/hooks/demo/shopify -H 'X-Shopify-Topic: orders/create' --data-binary \"$body\" \\\n"
           "    -H \"X-Shopify-Hmac-Sha256: $(printf %%s \"$body\" | openssl dgst -sha256 -hmac " SV_FMT " -binary | base64)\"\n\n"
           "Ctrl-C ends it.\n",
           service_port(d->service), SV_ARG(d->shop->shopify.secrets.v[0]), service_admin_port(d->service), service_port(d->service),
           SV_ARG(d->shop->shopify.secrets.v[0]));
    fflush(stdout);
    sigwait(signals, &number);
}

static int run(struct demo *d, bool stays, const sigset_t *signals) {
    struct err e = {0};
    struct row rows[COUNTOF(scenario)] = {0};
    printf("fireorder demo: Meta first, then Klaviyo\n\n");
    if (!start(d, &e)) {
        fprintf(stderr, "fireorder demo: %s\n", e.text);
        return 1;
    }
    printf("  fake Meta and Klaviyo  127.0.0.1:%d\n  fireorder              127.0.0.1:%d, store: a temporary SQLite file\n\n",
           sandbox_port(d->sandbox), service_port(d->service));
    d->started_ms = clock_wall_ms();
    for (size_t i = 0; i < COUNTOF(scenario); i++)
        if (!send_act(d, &scenario[i], rows, &rows[i], &e)) {
            fprintf(stderr, "fireorder demo: %s\n", e.text);
            return 1;
        }
    bool all_done = drained(d);
    struct verdict verdict = {0};
    timeline_print(d, rows, COUNTOF(rows), &verdict);
    if (!all_done)
        printf("  still not everything delivered after %d s\n", DEMO_DEADLINE_MS / 1000);
    if (stays)
        stay(d, signals);
    return all_done && verdict.violations == 0 && verdict.missing == 0 && verdict.repeated == 0 ? 0 : 1;
}

int command_demo(int argc, char **argv) {
    enum { STAY = 1, FIXTURES, HELP };
    static const struct option options[] = {
        {"stay", 0, NULL, STAY}, {"fixtures", 1, NULL, FIXTURES}, {"help", 0, NULL, HELP}, {NULL, 0, NULL, 0}};
    struct demo d = {0};
    bool stays = false;
    arena_init(&d.arena, (size_t)256 << 20);
    d.fixtures = fixture_folder(&d.arena);
    for (int o; (o = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        switch (o) {
        case STAY: stays = true; break;
        case FIXTURES: d.fixtures = sv_of(optarg); break;
        case HELP: fputs(usage, stdout); arena_free(&d.arena); return 0;
        default: fputs(usage, stderr); arena_free(&d.arena); return 2;
        }
    }
    // Blocked before there are threads, so that only stay() takes them; without --stay they end the demo as usual.
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGTERM);
    if (stays)
        pthread_sigmask(SIG_BLOCK, &signals, NULL);
    log_set_level(LOG_ERROR);
    int status = run(&d, stays, &signals);
    stop(&d);
    return status;
}
