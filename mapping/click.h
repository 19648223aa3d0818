// click.h: the click on an ad that an event's fbc tells of, and when it was first seen. A landing page says which click it was, not when, and
// each webhook of a visit has another time: the earliest one that any of them gave is kept, and counts for all. Pure.
#ifndef MAPPING_CLICK_H
#define MAPPING_CLICK_H

#include "base/clock.h"
#include "mapping/event.h"

#define LANDING_SITE "landing_site"  // in origins.fbc: made of the page that the visit began with

#define CLICK_LIFETIME_MS DAYS_MS(90)  // of Meta's cookies

struct click {
    struct sv id;
    int64_t seen_ms;
};

struct click click_of(struct sv fbc);
struct sv click_key(struct arena *a, const struct event *e);               // "click:<id>"; absent: the event needs no first-seen time
void click_seen(struct arena *a, struct event *e, struct sv first_ms);     // the time that is kept, in its fbc, where that is earlier

#endif
