// post.h: one request and its answer, for commands that wait for it.
#ifndef SERVER_POST_H
#define SERVER_POST_H

#include "server/http/http_out.h"

struct posted {
    long status;        // 0: no answer, error says why
    struct sv body;     // in the arena
    struct sv error;
};

void post_and_wait(struct http_client *c, struct arena *a, struct sv url, struct headers headers, struct sv body, struct posted *ret);
void get_and_wait(struct http_client *c, struct arena *a, struct sv url, struct headers headers, struct posted *ret);

#endif
