// demo.h: what the demo's run (demo.c) and its timeline (timeline.c) share.
#ifndef SERVER_DEMO_H
#define SERVER_DEMO_H

#include "server/commands/fixture.h"
#include "server/commands/post.h"
#include "server/commands/sandbox.h"
#include "server/dispatch/plan.h"
#include "server/serve.h"
#include "server/store/store.h"

struct act {
    const char *fixture, *story;
    bool forged;           // signed with a wrong secret
    int meta_failures;     // Meta answers 500 so many times
};

struct row {
    const struct act *act;
    struct sv topic;
    int64_t sent_ms;
    long status;           // what the service answered
    struct sv answer;      // "accepted", "duplicate" ...; absent with 401
    struct decoded decoded;
    struct plan plan;      // what ought to happen
};

struct demo {
    struct arena arena;
    struct sv fixtures;
    char folder[256];
    bool folder_made;
    struct sandbox *sandbox;
    struct http_client *http;
    struct config *config;
    const struct shop *shop;
    struct service *service;
    int64_t started_ms;
};

struct verdict {
    size_t events, violations, missing, repeated;
};

// timeline_print: a line per webhook, then the summary that proves the order.
void timeline_print(struct demo *d, const struct row *rows, size_t n, struct verdict *ret);

#endif
