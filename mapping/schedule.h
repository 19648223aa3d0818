// schedule.h: when a subscription charges. Its own webhooks say it, those of its charges do not: what the former told is kept, as a
// short text without personal data, and joined to the latter. Pure; views live as long as what they were read from.
#ifndef MAPPING_SCHEDULE_H
#define MAPPING_SCHEDULE_H

#include "base/clock.h"
#include "mapping/event.h"

#define SCHEDULE_LIFETIME_MS DAYS_MS(800)  // a year's cadence, and one order skipped

struct schedule {
    struct sv every, unit;   // between two orders: "2", "week"
    struct sv charge_every;  // between two charges, in the same unit; absent: as the orders (prepaid ones are charged less often)
    struct sv next;          // day of the next charge, "2026-12-20"; absent: none is planned
    int64_t as_of_ms;        // when that was so
};

struct sv interval_unit(struct sv text);  // "day", "week", "month" or "year", also for a plural and in any case; else absent
struct sv schedule_cadence(struct arena *a, const struct schedule *s);  // "1 month", "2 weeks"; absent when it is not known
struct sv schedule_write(struct arena *a, const struct schedule *s);    // as it is kept: JSON
bool schedule_read(const struct json *node, struct schedule *ret);
// schedule_apply gives an event the properties `cadence` and `next_charge_date` that it lacks. The date only to a charge, and only one
// that lies after it: one that does not was told before the charge, and is moved on where that is exact, else left out.
void schedule_apply(struct arena *a, const struct schedule *s, struct event *e);

#endif
