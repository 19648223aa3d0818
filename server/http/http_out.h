// http_out.h: HTTP requests out; the only module that sees libcurl. One multi handle, driven by one thread (the dispatcher, or a
// command). https and http only, no redirects, no proxies from the environment, no cookies, certificates checked, answers cut at 64 KiB.
// libcurl itself may send a request again on a connection that died while idle: ids make that harmless.
#ifndef SERVER_HTTP_OUT_H
#define SERVER_HTTP_OUT_H

#include "base/err.h"
#include "mapping/destination.h"

// Connections, in use or at rest. What calls two hosts in turn has up to two for each call that may be open; with fewer it would close one
// of one host for each that it opens to the other.
enum { HTTP_CONNECTIONS_KEPT = 2048 };

struct http_client;
struct http_call;

// Called from http_client_run. answer's views are valid during the call only.
typedef void http_done(void *ctx, const struct answer *answer);

MUST_CHECK enum rc http_client_new(struct http_client **ret, struct err *e);
void http_client_free(struct http_client *c);  // open calls are dropped without a call of done, and their bodies not looked at any more

// http_client_post starts a POST; request is copied, but for its body, which stays as it is until done is called or the client is not run any more.
// timeout_ms bounds the whole exchange (connecting: at most 3 s of it).
MUST_CHECK enum rc http_client_post(struct http_client *c, const struct request *request, int64_t timeout_ms, http_done *done, void *ctx, struct err *e);
// http_client_get: the same with GET; a body is not sent.
MUST_CHECK enum rc http_client_get(struct http_client *c, const struct request *request, int64_t timeout_ms, http_done *done, void *ctx, struct err *e);
void http_client_take(struct http_client *c, size_t answer_bytes);  // before the first call: answers are cut there instead of at 64 KiB
// http_client_run works for at most wait_ms (returns early when something finished or http_client_wake was called).
void http_client_run(struct http_client *c, int64_t wait_ms);
void http_client_wake(struct http_client *c);  // from any thread
size_t http_client_open_calls(const struct http_client *c);

#endif
