// context_in.h: POST /context/<shop>: what a browser says of its visit, kept until the order comes. It never makes a job.
// Public, so everything is bounded: 4 KiB, an allowed origin, a rate for an address and one for a shop; nothing of it is echoed.
// Runs in the HTTP worker threads.
#ifndef SERVER_CONTEXT_CONTEXT_IN_H
#define SERVER_CONTEXT_CONTEXT_IN_H

#include "server/config/config.h"
#include "server/http/http_in.h"
#include "server/metrics.h"
#include "server/store/store.h"

#define CONTEXT_ROOT SV("/context/")
#define CONTEXT_BODY_LIMIT ((size_t)4 << 10)

// A page posts once, and again when consent or the cart change. Many buyers may share the address of a mobile network.
#define CONTEXT_ADDRESS_PER_SECOND 5
#define CONTEXT_ADDRESS_BURST 60
#define CONTEXT_SHOP_PER_SECOND 100
#define CONTEXT_SHOP_BURST 500

// Of the server's threads only so many read and keep contexts at once: browsers come over slow networks, and a webhook must find a thread.
#define CONTEXT_THREADS_MOST 64

struct context_in;
struct context_in *context_in_new(struct config_slot *config, struct store *store, struct metrics *metrics);  // borrows all three
void context_in_free(struct context_in *in);                                                                  // NULL is fine

// As in struct http_server_config; ctx is a struct context_in.
int context_in_early(void *ctx, const struct http_request *r);
void context_in_handle(void *ctx, const struct http_request *r, struct http_response *ret);
void context_in_done(void *ctx, const struct http_request *r);
const char *context_in_refused(void *ctx, const struct http_request *r, int status);

#endif
