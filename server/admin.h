// admin.h: /healthz (alive), /readyz (store reachable, not stopping); with the admin token when one is set: /metrics, /report, and what
// admin_jobs.h has.
#ifndef SERVER_ADMIN_H
#define SERVER_ADMIN_H

#include "server/config/config.h"
#include "server/http/http_in.h"
#include "server/metrics.h"
#include "server/store/store.h"

#include <stdatomic.h>

struct admin {
    struct config_slot *config;
    struct store *store;
    struct metrics *metrics;
    const atomic_bool *stopping;  // /readyz answers 503 when set
};

void admin_handle(void *ctx, const struct http_request *r, struct http_response *ret);  // for struct http_server_config

#endif
