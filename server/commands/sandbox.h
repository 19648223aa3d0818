// sandbox.h: the fake Meta and Klaviyo that come with the program: they answer like the real ones, keep a journal of what they saw in
// which order, and can be told to fail. For `sandbox` and `demo`; never part of `serve`. Thread-safe.
#ifndef SERVER_SANDBOX_H
#define SERVER_SANDBOX_H

#include "base/arena.h"
#include "base/err.h"

struct sighting {
    const char *destination;      // "meta", "klaviyo.event", "klaviyo.profile", "klaviyo.list"; "nobody" for another path
    char event_name[96], event_id[192], capi_status[16];
    uint64_t came, answered;      // one sequence over both destinations and both moments
    int64_t came_ms, answered_ms; // wall
    int status;
};

struct sandbox_config {
    struct sv listen;
    int64_t delay_ms;             // before each answer
    int meta_status, klaviyo_status;              // 0: as the real one would
    void (*saw)(void *ctx, const struct sighting *s);  // after each answer, one at a time; may be NULL
    void *ctx;
};

struct sandbox;
MUST_CHECK enum rc sandbox_start(const struct sandbox_config *config, struct sandbox **ret, struct err *e);
int sandbox_port(const struct sandbox *s);
// sandbox_fail: the next `times` requests of that event to Meta are answered with status. One event at a time.
void sandbox_fail(struct sandbox *s, const char *event_id, int status, int times);
// sandbox_journal: a copy of what was seen so far, in the order of the answers.
struct sighting *sandbox_journal(struct sandbox *s, struct arena *a, size_t *ret_count);
void sandbox_stop(struct sandbox *s);

#endif
