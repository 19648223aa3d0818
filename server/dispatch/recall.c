#include "server/dispatch/recall.h"

#include "mapping/click.h"
#include "mapping/schedule.h"

#define PEOPLE_MAX COUNTOF(((struct event *)NULL)->recall)
enum { SCHEDULE = PEOPLE_MAX, CLICK };
_Static_assert(CLICK + 1 == RECALL_KEYS_MAX, "one key for each name, one for a schedule, one for a click");

struct sv person_key(struct arena *a, struct sv name) {
    return arena_join(a, SVS(SV("person:"), name));
}

struct sv schedule_key(struct arena *a, struct sv subscription) {
    return arena_fmt(a, "subscription:" SV_FMT, SV_ARG(subscription));
}

void recall_keys(struct arena *a, const struct event *e, struct recall_key ret[RECALL_KEYS_MAX]) {
    struct sv subscription = event_property_text(e, "subscription_id");
    for (size_t i = 0; i < PEOPLE_MAX; i++)
        ret[i] = (struct recall_key){.text = i < e->recall_count ? person_key(a, e->recall[i]) : SV_NONE};
    ret[SCHEDULE] = (struct recall_key){.mark = true};
    ret[CLICK] = (struct recall_key){.text = click_key(a, e), .mark = true};
    if (sv_is(e->source, "recharge") && sv_present(subscription))
        ret[SCHEDULE].text = schedule_key(a, subscription);
}

void recall_apply(struct arena *a, struct event *e, const struct json *const kept[RECALL_KEYS_MAX]) {
    struct sv kind, id;
    struct user person = {0};
    struct schedule schedule;
    size_t first = 0;
    while (first < e->recall_count && !kept[first])
        first++;
    if (first < e->recall_count) {
        user_read(a, kept[first], &person);
        sv_cut(e->recall[first], ':', &kind, &id);
        event_fill(e, &person, arena_cstr(a, kind));
    }
    if (kept[CLICK])
        click_seen(a, e, json_text(kept[CLICK]));
    if (kept[SCHEDULE] && schedule_read(kept[SCHEDULE], &schedule))
        schedule_apply(a, &schedule, e);
}
