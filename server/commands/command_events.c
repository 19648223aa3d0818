// fireorder events, dead, replay: what the running service holds, and to have dead ones tried again.
#include "server/commands/admin_client.h"
#include "server/commands/commands.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ASK_MEMORY ((size_t)256 << 20)
#define REPLAY_SLICE 100  // what the service takes at once

static const char events_usage[] =
    "usage: fireorder events --config FILE [--state pending|done|dead|ignored] [--shop NAME] [--json]\n"
    "       fireorder dead   --config FILE [--shop NAME] [--json]\n"
    "\n"
    "Lists what the running service holds: each webhook, the events it became, and what each destination made of them.\n"
    "Finished ones are listed for as long as `retention` keeps them. No bodies, no personal data.\n"
    "\n"
    "  --config FILE  the configuration of the running service: admin address and token come from it\n"
    "  --state STATE  only these (default: all)\n"
    "  --shop NAME    only this shop's\n"
    "  --admin URL    where the service is (default: this machine, the port of `admin`)\n"
    "  --json         one JSON object a line\n";

static const char replay_usage[] =
    "usage: fireorder replay --config FILE [--shop NAME] ID... | --all-dead\n"
    "\n"
    "Has dead webhooks tried again, each at its place in its person's order. What a destination took is not sent to it again;\n"
    "what failed is made anew by the mapping of now. IDs are those that `fireorder dead` prints.\n"
    "\n"
    "  --config FILE  the configuration of the running service\n"
    "  --shop NAME    the shop that the IDs are of (default: the only one, or each is asked)\n"
    "  --admin URL    where the service is (default: this machine, the port of `admin`)\n"
    "  --all-dead     all of them, of that shop or of all shops\n";

struct options {
    const char *config, *state, *shop, *admin;
    bool json, all_dead;
};

static const char *const all_states[] = {"pending", "done", "dead", "ignored"};

// What is done with each job of a page.
typedef void see_job(void *ctx, struct sv shop, const struct json *job);

// each_job goes through all pages of one shop and state.
static enum rc each_job(struct admin_client *c, struct sv shop, const char *state, see_job *see, void *ctx, struct err *e) {
    struct arena a;
    char after[80] = "";
    enum rc rc;
    arena_init(&a, ASK_MEMORY);
    do {
        struct json *page;
        struct sv path = arena_fmt(&a, "/events?shop=" SV_FMT "&state=%s&after=%s", SV_ARG(shop), state, after);
        rc = admin_get(c, &a, path, &page, e);
        if (rc)
            break;
        JSON_EACH(job, json_get(page, "events"))
            see(ctx, shop, job);
        struct sv next = json_str(page, "next");
        snprintf(after, sizeof after, SV_FMT, SV_ARG(next));
        arena_reset(&a);
    } while (*after);
    arena_free(&a);
    return rc;
}

// ---- events

static void print_json(const struct json *job) {
    struct buf out;
    struct jw w;
    buf_init(&out, (size_t)1 << 20);
    jw_init(&w, &out);
    jw_node(&w, job);
    puts(buf_cstr(&out));
    buf_free(&out);
}

static void print_text(const struct json *event, const char *name) {
    struct sv s = json_str(event, name);
    printf("  " SV_FMT, SV_ARG(s));
}

static void print_step(const struct json *step) {
    struct sv reason = json_str(step, "reason"), state = json_str(step, "state");
    printf("  " SV_FMT "=" SV_FMT, SV_ARG(step->key), SV_ARG(state));
    if (sv_present(reason))
        printf("(" SV_FMT ")", SV_ARG(reason));
}

static void print_job(void *ctx, struct sv shop, const struct json *job) {
    const struct options *o = ctx;
    if (o->json) {
        print_json(job);
        return;
    }
    struct sv id = json_str(job, "job"), state = json_str(job, "state"), reason = json_str(job, "reason");
    printf(SV_FMT "  %-7.*s  " SV_FMT, SV_ARG(id), SV_ARG(state), SV_ARG(shop));
    print_text(job, "received");
    print_text(job, "source");
    print_text(job, "topic");
    if (sv_present(reason))
        printf("  \"" SV_FMT "\"", SV_ARG(reason));
    printf("\n");
    JSON_EACH(event, json_get(job, "events")) {
        struct sv event_id = json_str(event, "id");
        printf("    " SV_FMT, SV_ARG(event_id));
        JSON_EACH(step, json_get(event, "steps"))
            print_step(step);
        printf("\n");
    }
}

static bool wanted(const struct options *o, const struct shop *shop) {
    return !o->shop || sv_is(shop->name, o->shop);
}

static enum rc list_events(struct admin_client *c, const struct options *o, struct err *e) {
    const struct config *config = admin_client_config(c);
    enum rc rc = RC_OK;
    for (size_t i = 0; i < config->shop_count && !rc; i++)
        for (size_t s = 0; s < COUNTOF(all_states) && !rc; s++)
            if (wanted(o, &config->shops[i]) && (!o->state || strcmp(o->state, all_states[s]) == 0))
                rc = each_job(c, config->shops[i].name, all_states[s], print_job, (void *)(uintptr_t)o, e);
    return rc;
}

// ---- replay

// The ids that are to be redriven, JOB_ID_LEN characters each and a blank.
struct ids {
    struct buf text;
    size_t n;
};

static void add_id(void *ctx, struct sv shop, const struct json *job) {
    struct ids *ids = ctx;
    (void)shop;
    struct sv id = json_str(job, "job");
    buf_put(&ids->text, id);
    buf_putc(&ids->text, ' ');
    ids->n++;
}

struct tally {
    size_t redriven, not_dead;
};

static void count_results(const struct json *answer, struct tally *tally) {
    JSON_EACH(result, json_get(answer, "results")) {
        struct sv status = json_str(result, "status");
        tally->redriven += sv_is(status, "redriven");
        tally->not_dead += sv_is(status, "not dead");
    }
}

// redrive_slice takes at most REPLAY_SLICE ids off *ids.
static enum rc redrive_slice(struct admin_client *c, struct sv shop, struct sv *ids, struct tally *tally, struct err *e) {
    struct arena a;
    struct buf body;
    struct jw w;
    struct json *answer;
    arena_init(&a, ASK_MEMORY);
    buf_init(&body, (size_t)1 << 20);
    jw_init(&w, &body);
    jw_open(&w, '{');
    jw_member(&w, "shop", shop);
    jw_key(&w, "jobs");
    jw_open(&w, '[');
    struct sv id;
    for (size_t i = 0; i < REPLAY_SLICE && sv_present(*ids); i++) {
        sv_cut(*ids, ' ', &id, ids);
        jw_string(&w, id);
    }
    jw_close(&w, ']');
    jw_close(&w, '}');
    enum rc rc = admin_post(c, &a, SV("/redrive"), buf_sv(&body), &answer, e);
    if (rc == RC_OK)
        count_results(answer, tally);
    buf_free(&body);
    arena_free(&a);
    return rc;
}

// All dead ones are gathered first: those that die again meanwhile are not tried without end.
static enum rc replay_shop(struct admin_client *c, const struct options *o, struct sv shop, struct sv given, struct tally *tally, struct err *e) {
    struct ids ids = {0};
    buf_init(&ids.text, (size_t)256 << 20);
    enum rc rc = o->all_dead ? each_job(c, shop, "dead", add_id, &ids, e) : RC_OK;
    struct sv left = o->all_dead ? buf_sv(&ids.text) : given;
    while (rc == RC_OK && sv_present(left))
        rc = redrive_slice(c, shop, &left, tally, e);
    buf_free(&ids.text);
    return rc;
}

static enum rc replay(struct admin_client *c, const struct options *o, struct sv given, size_t given_count, int *ret_status, struct err *e) {
    const struct config *config = admin_client_config(c);
    struct tally tally = {0};
    enum rc rc = RC_OK;
    for (size_t i = 0; i < config->shop_count && !rc; i++)
        if (wanted(o, &config->shops[i]))
            rc = replay_shop(c, o, config->shops[i].name, given, &tally, e);
    if (rc)
        return rc;
    size_t known = tally.redriven + tally.not_dead;
    size_t unknown = known < given_count ? given_count - known : 0;  // each shop was asked for each
    printf("%zu tried again, %zu not dead, %zu unknown\n", tally.redriven, tally.not_dead, unknown);
    *ret_status = unknown > 0;
    return RC_OK;
}

// ---- the commands

static int misuse(const char *usage) {
    fputs(usage, stderr);
    return 2;
}

// read_options: -1: go on; else the exit status.
static int read_options(int argc, char **argv, const char *usage, struct options *o) {
    enum { CONFIG = 1, STATE, SHOP, ADMIN, JSON, ALL_DEAD, HELP };
    static const struct option options[] = {{"config", 1, NULL, CONFIG}, {"state", 1, NULL, STATE}, {"shop", 1, NULL, SHOP},
                                            {"admin", 1, NULL, ADMIN},   {"json", 0, NULL, JSON},   {"all-dead", 0, NULL, ALL_DEAD},
                                            {"help", 0, NULL, HELP},     {NULL, 0, NULL, 0}};
    for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        switch (c) {
        case CONFIG: o->config = optarg; break;
        case STATE: o->state = optarg; break;
        case SHOP: o->shop = optarg; break;
        case ADMIN: o->admin = optarg; break;
        case JSON: o->json = true; break;
        case ALL_DEAD: o->all_dead = true; break;
        case HELP: fputs(usage, stdout); return 0;
        default: return misuse(usage);
        }
    }
    bool known = !o->state;
    for (size_t i = 0; i < COUNTOF(all_states); i++)
        known |= o->state && strcmp(o->state, all_states[i]) == 0;
    return o->config && known ? -1 : misuse(usage);
}

static enum rc open_client(const struct options *o, struct admin_client **ret, struct err *e) {
    enum rc rc = admin_client_new(o->config, o->admin, ret, e);
    if (rc == RC_OK && o->shop && !config_shop(admin_client_config(*ret), sv_of(o->shop)))
        rc = err_set(e, RC_NOT_FOUND, "%s has no shop %s", o->config, o->shop);
    return rc;
}

static int say(const char *command, enum rc rc, const struct err *e, int status) {
    if (rc == RC_OK)
        return status;
    fprintf(stderr, "fireorder %s: %s\n", command, e->text);
    return 1;
}

static int events(int argc, char **argv, struct options o) {
    struct admin_client *c = NULL;
    struct err e = {0};
    int status = read_options(argc, argv, events_usage, &o);
    if (status >= 0)
        return status;
    if (optind != argc || o.all_dead)
        return misuse(events_usage);
    enum rc rc = open_client(&o, &c, &e);
    if (rc == RC_OK)
        rc = list_events(c, &o, &e);
    admin_client_free(c);
    return say("events", rc, &e, 0);
}

int command_events(int argc, char **argv) {
    return events(argc, argv, (struct options){0});
}

int command_dead(int argc, char **argv) {
    return events(argc, argv, (struct options){.state = "dead"});
}

int command_replay(int argc, char **argv) {
    struct admin_client *c = NULL;
    struct options o = {0};
    struct err e = {0};
    struct buf given;
    int status = read_options(argc, argv, replay_usage, &o);
    if (status >= 0)
        return status;
    if (o.all_dead == (optind < argc) || o.state || o.json)
        return misuse(replay_usage);
    buf_init(&given, (size_t)1 << 20);
    for (int i = optind; i < argc; i++) {
        buf_puts(&given, argv[i]);
        buf_putc(&given, ' ');
    }
    enum rc rc = open_client(&o, &c, &e);
    if (rc == RC_OK)
        rc = replay(c, &o, buf_sv(&given), (size_t)(argc - optind), &status, &e);
    admin_client_free(c);
    buf_free(&given);
    return say("replay", rc, &e, status);
}
