// front.h: what answers on the webhook address: webhooks and events, what browsers post, and the script that makes them.
#ifndef SERVER_FRONT_H
#define SERVER_FRONT_H

#include "server/context/context_in.h"
#include "server/ingest.h"

struct front {
    struct ingest ingest;
    struct context_in *context;
};

// For struct http_server_config; ctx is a struct front.
int front_early(void *ctx, const struct http_request *r);
void front_handle(void *ctx, const struct http_request *r, struct http_response *ret);
void front_done(void *ctx, const struct http_request *r);
const char *front_refused(void *ctx, const struct http_request *r, int status);

#endif
