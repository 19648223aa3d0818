// schedule.c: a subscription's cadence and next charge, kept and joined to its charges.
#include "mapping/schedule.h"

#include "base/clock.h"

#define INTERVAL_MOST 1000
#define DATE_LEN 10               // "2026-12-20"
#define DAY_IN_EVERY_MONTH 28     // later ones are not in each; what Recharge makes of them is its own affair

// Somewhere a day begins 14 hours before it does in UTC, and ends 12 hours after.
#define DAY_BEGINS_MS (-HOURS_MS(14))
#define DAY_ENDS_MS HOURS_MS(36)

static const struct unit {
    const char *name, *plural;
    int64_t days, months;
} units[] = {
    {"day", "days", 1, 0}, {"week", "weeks", 7, 0}, {"month", "months", 0, 1}, {"year", "years", 0, 12},
};

static const struct unit *unit_of(struct sv text) {
    for (size_t i = 0; i < COUNTOF(units); i++)
        if (sv_is_nocase(text, units[i].name) || sv_is_nocase(text, units[i].plural))
            return &units[i];
    return NULL;
}

struct sv interval_unit(struct sv text) {
    const struct unit *unit = unit_of(text);
    return unit ? sv_of(unit->name) : SV_NONE;
}

struct sv schedule_cadence(struct arena *a, const struct schedule *s) {
    const struct unit *unit = unit_of(s->unit);
    if (!sv_present(s->every) || !unit)
        return SV_NONE;
    return arena_fmt(a, SV_FMT " %s", SV_ARG(s->every), sv_is(s->every, "1") ? unit->name : unit->plural);
}

// ---- kept

struct sv schedule_write(struct arena *a, const struct schedule *s) {
    struct buf out;
    struct jw w;
    buf_init(&out, 1 << 10);
    jw_init(&w, &out);
    jw_open(&w, '{');
    jw_key(&w, "as_of");
    jw_int(&w, s->as_of_ms);
    jw_member(&w, "every", s->every);
    jw_member(&w, "unit", s->unit);
    jw_member(&w, "charge_every", s->charge_every);
    jw_member(&w, "next", s->next);
    jw_close(&w, '}');
    return buf_take(&out, a);
}

bool schedule_read(const struct json *node, struct schedule *ret) {
    *ret = (struct schedule){.every = json_str(node, "every"), .unit = json_str(node, "unit"), .charge_every = json_str(node, "charge_every"),
                             .next = json_str(node, "next")};
    return sv_i64(json_str(node, "as_of"), &ret->as_of_ms);
}

// ---- joined

static bool day_ms(struct sv date, int64_t *ret) {
    return date.n == DATE_LEN && time_parse(date, 0, ret);
}

static struct sv later_month(struct arena *a, struct sv date, int64_t months) {
    int64_t year, month, day;
    if (!sv_i64(sv_sub(date, 0, 4), &year) || !sv_i64(sv_sub(date, 5, 2), &month) || !sv_i64(sv_sub(date, 8, 2), &day) || day > DAY_IN_EVERY_MONTH)
        return SV_NONE;
    int64_t n = year * 12 + month - 1 + months;
    return arena_fmt(a, "%04lld-%02lld-" SV_FMT, (long long)(n / 12), (long long)(n % 12 + 1), SV_ARG(sv_sub(date, 8, 2)));
}

// moved_on: the charge after the one that was due that day.
static struct sv moved_on(struct arena *a, const struct schedule *s, struct sv due) {
    const struct unit *unit = unit_of(s->unit);
    int64_t every, due_ms;
    if (!unit || !day_ms(due, &due_ms) || !sv_i64(sv_first(s->charge_every, s->every), &every) || every < 1 || every > INTERVAL_MOST)
        return SV_NONE;
    return unit->months ? later_month(a, due, every * unit->months) : sv_sub(time_iso(a, due_ms + DAYS_MS(every * unit->days)), 0, DATE_LEN);
}

// A charge that went through on the day that it was due, and is the one that the schedule speaks of.
static bool went_as_planned(const struct schedule *s, const struct event *e) {
    int64_t due_ms;
    return e->name == EVENT_RENEWAL_CHARGED && sv_eq(s->next, e->due) && day_ms(e->due, &due_ms) && e->time_ms >= due_ms + DAY_BEGINS_MS &&
           e->time_ms < due_ms + DAY_ENDS_MS;
}

static struct sv next_charge(struct arena *a, const struct schedule *s, const struct event *e) {
    int64_t next_ms, due_ms = 0;
    if (!day_ms(s->next, &next_ms))
        return SV_NONE;
    (void)day_ms(e->due, &due_ms);
    if (next_ms > due_ms && next_ms > e->time_ms)
        return s->next;
    return went_as_planned(s, e) ? moved_on(a, s, e->due) : SV_NONE;
}

void schedule_apply(struct arena *a, const struct schedule *s, struct event *e) {
    bool charge = e->name == EVENT_RENEWAL_CHARGED || e->name == EVENT_RENEWAL_FAILED;
    if (!sv_present(event_property_text(e, "cadence")))
        event_property(e, "cadence", schedule_cadence(a, s));
    if (charge && !sv_present(event_property_text(e, "next_charge_date")))
        event_property(e, "next_charge_date", next_charge(a, s, e));
}
