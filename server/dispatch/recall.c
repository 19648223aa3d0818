#include "server/dispatch/recall.h"

#include "mapping/schedule.h"

#define SCHEDULE "subscription:"

struct sv person_key(struct arena *a, struct sv name) {
    return arena_fmt(a, "person:" SV_FMT, SV_ARG(name));
}

struct sv schedule_key(struct arena *a, struct sv subscription) {
    return arena_fmt(a, SCHEDULE SV_FMT, SV_ARG(subscription));
}

bool is_schedule_key(struct sv key) {
    return sv_starts(key, SV(SCHEDULE));
}

static enum rc recall_person(struct arena *a, struct event *event, recall_fn *known, void *ctx, struct err *e) {
    for (size_t i = 0; i < event->recall_count; i++) {
        const struct json *kept = NULL;
        struct sv kind, id;
        struct user person = {0};
        enum rc rc = known(ctx, person_key(a, event->recall[i]), &kept, e);
        if (rc != RC_OK)
            return rc;
        if (!kept)
            continue;
        user_read(a, kept, &person);
        sv_cut(event->recall[i], ':', &kind, &id);
        event_fill(event, &person, arena_cstr(a, kind));
        break;
    }
    return RC_OK;
}

static enum rc recall_schedule(struct arena *a, struct event *event, recall_fn *known, void *ctx, struct err *e) {
    const struct json *kept = NULL;
    struct schedule schedule;
    struct sv subscription = event_property_text(event, "subscription_id");
    if (!sv_is(event->source, "recharge") || !sv_present(subscription))
        return RC_OK;
    enum rc rc = known(ctx, schedule_key(a, subscription), &kept, e);
    if (rc == RC_OK && kept && schedule_read(kept, &schedule))
        schedule_apply(a, &schedule, event);
    return rc;
}

enum rc recall(struct arena *a, struct event *event, recall_fn *known, void *ctx, struct err *e) {
    enum rc rc = recall_person(a, event, known, ctx, e);
    return rc == RC_OK ? recall_schedule(a, event, known, ctx, e) : rc;
}
