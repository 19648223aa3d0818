// serve.h: the running service: store, dispatcher, the two HTTP addresses, signals. Used by `serve` and `demo`.
#ifndef SERVER_SERVE_H
#define SERVER_SERVE_H

#include "server/config/config.h"
#include "server/metrics.h"

struct service;
MUST_CHECK enum rc service_start(struct config *config, struct service **ret, struct err *e);  // takes over the reference
int service_port(const struct service *s);        // of the webhook address
int service_admin_port(const struct service *s);
struct metrics *service_metrics(struct service *s);
struct store *service_store(struct service *s);
void service_reload(struct service *s, struct config *next);  // takes over the reference
void service_stop(struct service *s);             // drains, at most about 15 s


#endif
