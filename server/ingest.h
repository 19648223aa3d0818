// ingest.h: from an HTTP request to a durable acknowledgement: path -> signature -> scan -> accept -> 200. No tree, no destination.
// Runs in the HTTP worker threads.
#ifndef SERVER_INGEST_H
#define SERVER_INGEST_H

#include "server/config/config.h"
#include "server/http/http_in.h"
#include "server/metrics.h"
#include "server/store/store.h"

#define INGEST_BODY_LIMIT ((size_t)8 << 20)
#define INGEST_MARKS_MAX 192

struct ingest {
    struct config_slot *config;
    struct store *store;
    struct metrics *metrics;
    void (*accepted)(void *ctx);   // something new waits in the store, and its sender has been answered; from any thread
    void *accepted_ctx;
    // Of ingest.c; begin as zeros.
    uint64_t marks[INGEST_MARKS_MAX];    // atomic: what is known of shops' signatures (see there)
    bool fresh;                          // atomic: something new waits, for which nobody was woken yet
    int64_t complained_ms;               // atomic: when the store's failure was last logged
};

// For struct http_server_config; ctx is a struct ingest.
int ingest_early(void *ctx, const struct http_request *r);
void ingest_handle(void *ctx, const struct http_request *r, struct http_response *ret);
void ingest_done(void *ctx, const struct http_request *r);
void ingest_refused(void *ctx, const struct http_request *r, int status);

#endif
