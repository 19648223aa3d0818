// admin_client.h: commands that ask the running service. They go over its admin address with the token of the configuration: a
// second process cannot open the store.
#ifndef SERVER_ADMIN_CLIENT_H
#define SERVER_ADMIN_CLIENT_H

#include "base/json.h"
#include "server/config/config.h"

struct admin_client;

// admin_client_new: url NULL: the address of the configuration, seen from this machine; else it is borrowed. RC_INVALID for a faulty
// configuration, with every fault in e's text that fits.
MUST_CHECK enum rc admin_client_new(const char *config_file, const char *url, struct admin_client **ret, struct err *e);
void admin_client_free(struct admin_client *c);  // NULL is fine
const struct config *admin_client_config(const struct admin_client *c);

// The answer of 200, as a tree in the arena. RC_UNAVAILABLE: nothing listens, or nobody answers; RC_DENIED: the token is wrong;
// else what the service complains of.
MUST_CHECK enum rc admin_get(struct admin_client *c, struct arena *a, struct sv path_and_query, struct json **ret, struct err *e);
MUST_CHECK enum rc admin_post(struct admin_client *c, struct arena *a, struct sv path, struct sv body, struct json **ret, struct err *e);

#endif
