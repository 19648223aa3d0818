// fireorder map: what a recorded webhook would become at each destination, and why, without sending anything.
#include "base/clock.h"
#include "handlers/source.h"
#include "mapping/destination.h"
#include "server/commands/commands.h"
#include "server/commands/fixture.h"
#include "server/config/config.h"
#include "server/dispatch/plan.h"

#include <getopt.h>
#include <stdio.h>

static const char usage[] =
    "usage: fireorder map FIXTURE [--config FILE] [--shop NAME] [--json]\n"
    "\n"
    "Prints the canonical events of a recorded webhook and the request each destination would get, as if it had been\n"
    "delivered the moment it happened. Sends nothing.\n"
    "\n"
    "  --config FILE  map as this configuration says (default: a sample shop with everything switched on,\n"
    "                 over which the fixture's shop.yaml is laid)\n"
    "  --shop NAME    which shop (default: the first one)\n"
    "  --json         one JSON object\n";

// Which line of which mapping each field came from.
static void write_origins(struct jw *w, struct arena *a, const char *key, const struct fields *fields) {
    if (fields->n == 0)
        return;
    jw_key(w, key);
    jw_open(w, '{');
    for (size_t i = 0; i < fields->n; i++) {
        jw_key_sv(w, fields->v[i].name);
        jw_string(w, arena_fmt(a, "%s:%zu", fields->v[i].file, fields->v[i].line));
    }
    jw_close(w, '}');
}

static void write_rule(struct jw *w, struct arena *a, const struct rule *r) {
    if (!r->file)
        return;
    jw_key(w, "rule");
    jw_open(w, '{');
    jw_member(w, "event", r->event);
    jw_member(w, "from", arena_fmt(a, "%s:%zu", r->file, r->line));
    for (const struct place *p = r->places; p; p = p->next) {
        jw_key_sv(w, p->key);
        jw_string(w, arena_fmt(a, "%s:%zu", p->file, p->line));
    }
    write_origins(w, a, "meta", &r->meta.fields);
    write_origins(w, a, "klaviyo", &r->klaviyo.fields);
    write_origins(w, a, "profile", &r->profile);
    jw_close(w, '}');
}

static void write_step(struct jw *w, struct arena *a, const struct shop *shop, const struct plan *p, size_t event, size_t i) {
    const struct step *step = &p->events[event].steps[i];
    struct request request = {0};
    struct json *body = NULL;
    jw_open(w, '{');
    jw_member(w, "destination", sv_of(destinations[i]->name));
    if (step->state == STEP_SKIPPED) {
        jw_member(w, "skipped", step->reason);
    } else {
        destinations[i]->address(a, shop, &step->draft, &request);
        jw_key(w, "request");
        jw_open(w, '{');
        jw_member(w, "method", SV("POST"));
        jw_member(w, "url", request.url);
        jw_key(w, "body");
        if (!step->draft.body.p || json_parse(a, step->draft.body, &body, NULL))
            body = NULL;
        jw_node(w, body);
        jw_close(w, '}');
        jw_member(w, "identity", step->draft.identity);
    }
    jw_close(w, '}');
}

// As if Meta had taken it, where it gets it.
static void write_event(struct jw *w, struct arena *a, const struct shop *shop, struct plan *p, size_t i) {
    const struct event *e = p->events[i].event;
    if (p->events[i].steps[0].state == STEP_PENDING)
        p->events[i].steps[0].state = STEP_SENT;
    jw_open(w, '{');
    jw_key(w, "event");
    event_write(w, e);
    if (e->recall_count > 0)
        jw_member(w, "person_from_store", e->recall[0]);
    write_rule(w, a, e->rule);
    jw_key(w, "steps");
    jw_open(w, '[');
    for (size_t step = 0; step < destination_count; step++) {
        (void)plan_tell(a, p, i, step);
        write_step(w, a, shop, p, i, step);
    }
    jw_close(w, ']');
    jw_close(w, '}');
}

static void write_decoded(struct buf *out, struct arena *a, const struct fixture *f, const struct shop *shop, const struct decoded *d) {
    struct plan *plan = ARENA_NEW(a, struct plan);
    struct jw w;
    jw_init(&w, out);
    jw_open(&w, '{');
    jw_member(&w, "source", f->source);
    jw_member(&w, "topic", f->topic);
    jw_member(&w, "fixture", f->name);
    jw_member(&w, "ignored", d->ignored);
    jw_member(&w, "undecodable", d->undecodable);
    jw_key(&w, "events");
    jw_open(&w, '[');
    plan_make(a, shop, d, d->count > 0 ? d->events[0].time_ms : 0, plan);
    for (size_t i = 0; i < plan->event_count; i++)
        write_event(&w, a, shop, plan, i);
    jw_close(&w, ']');
    jw_close(&w, '}');
}

// print_tree: a JSON tree for people: keys, indentation, no quotes around names.
static void print_tree(const struct json *node, int indent) {
    JSON_EACH(item, node) {
        printf("%*s", indent, "");
        if (sv_present(item->key))
            printf(SV_FMT ":", SV_ARG(item->key));
        else
            printf("-");
        if (item->child) {
            printf("\n");
            print_tree(item, indent + 2);
        } else {
            printf(" " SV_FMT "\n", SV_ARG(item->type == JSON_NULL ? SV("null") : item->text));
        }
    }
}

static void map_fixture(struct arena *a, const struct fixture *f, const struct shop *shop, bool as_json, struct decoded *ret) {
    struct buf out;
    struct json *tree = NULL;
    buf_init(&out, (size_t)32 << 20);
    fixture_decode(a, f, shop, ret);
    write_decoded(&out, a, f, shop, ret);
    if (as_json)
        printf("%s\n", buf_cstr(&out));
    else if (json_parse(a, buf_sv(&out), &tree, NULL) == RC_OK)
        print_tree(tree, 0);
    buf_free(&out);
}

// file NULL: the sample shop. NULL when it was said why.
static struct config *load(const char *file, const struct fixture *f) {
    struct config *config = NULL;
    struct buf faults;
    struct err e;
    buf_init(&faults, 1 << 20);
    if (file ? config_load(file, &config, &faults, &e) : config_sample(f->shop, &config, &faults, &e))
        fprintf(stderr, "%s%s\n", buf_cstr(&faults), e.text);
    buf_free(&faults);
    return config;
}

static int map_one(const char *path, const char *file, const char *name, bool as_json) {
    struct arena a;
    struct fixture f;
    struct err e;
    struct decoded decoded = {0};
    struct config *config = NULL;
    int status = 1;
    arena_init(&a, (size_t)64 << 20);
    if (fixture_read(&a, path, &f, &e))
        fprintf(stderr, "fireorder map: %s\n", e.text);
    else
        config = load(file, &f);
    const struct shop *shop = !config ? NULL : name ? config_shop(config, sv_of(name)) : &config->shops[0];
    if (config && !shop)
        fprintf(stderr, "fireorder map: no shop %s\n", name);
    if (shop) {
        map_fixture(&a, &f, shop, as_json, &decoded);
        status = sv_present(decoded.undecodable) ? 1 : 0;
    }
    config_drop(config);
    arena_free(&a);
    return status;
}

int command_map(int argc, char **argv) {
    enum { CONFIG = 1, SHOP, JSON, HELP };
    static const struct option options[] = {
        {"config", 1, NULL, CONFIG}, {"shop", 1, NULL, SHOP}, {"json", 0, NULL, JSON}, {"help", 0, NULL, HELP}, {NULL, 0, NULL, 0}};
    const char *file = NULL, *name = NULL;
    bool as_json = false;
    for (int o; (o = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        switch (o) {
        case CONFIG: file = optarg; break;
        case SHOP: name = optarg; break;
        case JSON: as_json = true; break;
        case HELP: fputs(usage, stdout); return 0;
        default: fputs(usage, stderr); return 2;
        }
    }
    if (optind + 1 == argc)
        return map_one(argv[optind], file, name, as_json);
    fputs(usage, stderr);
    return 2;
}
