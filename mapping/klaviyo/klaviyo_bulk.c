#include "mapping/klaviyo/klaviyo_bulk.h"

#include "base/clock.h"

#define BODY_BYTES_MOST ((size_t)5000000)  // Klaviyo: 5 MB
#define GROUP_BYTES 256                    // the envelope of a group, and that of the whole
#define EVENT_BYTES_MOST ((size_t)1000000) // what is larger goes alone, so that each finds room
#define EVENT_MEMORY ((size_t)64 << 20)
#define GROUPS_AT "/data/attributes/events-bulk-create/data/"

// An event as it stands in the request.
struct piece {
    struct sv who, unique_id, text;
    bool backfill;
};

// ---- the request

static struct sv identifiers_of(struct arena *a, const struct json *profile) {
    struct buf out;
    struct jw w;
    buf_init(&out, EVENT_BYTES_MOST);
    jw_init(&w, &out);
    jw_open(&w, '{');
    jw_member(&w, "email", json_str(profile, "email"));
    jw_member(&w, "phone_number", json_str(profile, "phone_number"));
    jw_member(&w, "external_id", json_str(profile, "external_id"));
    jw_close(&w, '}');
    return buf_take(&out, a);
}

static struct sv without_profile(struct arena *a, const struct json *attributes) {
    struct buf out;
    struct jw w;
    buf_init(&out, EVENT_BYTES_MOST * 2);
    jw_init(&w, &out);
    jw_open(&w, '{');
    jw_member(&w, "type", SV("event"));
    jw_key(&w, "attributes");
    jw_open(&w, '{');
    JSON_EACH(member, attributes) {
        if (sv_is(member->key, "profile"))
            continue;
        jw_key_sv(&w, member->key);
        jw_node(&w, member);
    }
    jw_close(&w, '}');
    jw_close(&w, '}');
    return buf_take(&out, a);
}

// piece_of: false: it is not what klaviyo_event.c makes.
static bool piece_of(struct arena *a, struct arena *scratch, struct sv body, struct piece *ret) {
    struct json *root;
    if (body.n > EVENT_BYTES_MOST || json_parse(scratch, body, &root, NULL) != RC_OK)
        return false;
    const struct json *attributes = json_at(root, "data.attributes"), *profile = json_at(attributes, "profile.data.attributes");
    *ret = (struct piece){.unique_id = arena_dup(a, json_str(attributes, "unique_id")), .backfill = json_is_true(json_get(attributes, "backfill"))};
    if (!sv_present(ret->unique_id) || !json_is_object(profile))
        return false;
    ret->who = identifiers_of(a, profile);
    ret->text = without_profile(a, attributes);
    return ret->text.p && ret->who.n > 2;
}

// What is known of the request while it is made: the piece of each event, and the first piece of each group.
struct making {
    struct piece *pieces;
    size_t *firsts, groups, bytes;
};

// Klaviyo fails a request that says an event twice; and of a profile in two groups, one of them for flows and one not, it says nothing.
static bool goes_together(const struct making *m, const struct bulk_event *events, size_t n, size_t group) {
    const struct piece *p = &m->pieces[n];
    if (m->pieces[m->firsts[group]].backfill != p->backfill)
        return false;
    for (size_t i = 0; i < n; i++)
        if (events[i].place == BULK_IN && events[i].group == group && sv_eq(m->pieces[i].unique_id, p->unique_id))
            return false;
    return true;
}

static enum bulk_place place(struct making *m, struct bulk_event *events, size_t n) {
    const struct piece *p = &m->pieces[n];
    size_t group = 0;
    while (group < m->groups && !sv_eq(m->pieces[m->firsts[group]].who, p->who))
        group++;
    size_t bytes = p->text.n + 1 + (group == m->groups ? p->who.n + GROUP_BYTES : 0);
    if (m->bytes + bytes > BODY_BYTES_MOST || (group < m->groups && !goes_together(m, events, n, group)))
        return BULK_LATER;
    if (group == m->groups)
        m->firsts[m->groups++] = n;
    m->bytes += bytes;
    events[n].group = group;
    return BULK_IN;
}

static void write_group(struct buf *out, const struct making *m, const struct bulk_event *events, size_t n, size_t group) {
    const struct piece *first = &m->pieces[m->firsts[group]];
    buf_fmt(out, "%s{\"type\":\"event-bulk-create\",\"attributes\":{", group > 0 ? "," : "");
    if (first->backfill)
        buf_puts(out, "\"backfill\":true,");
    buf_puts(out, "\"profile\":{\"data\":{\"type\":\"profile\",\"attributes\":");
    buf_put(out, first->who);
    buf_puts(out, "}},\"events\":{\"data\":[");
    for (size_t i = m->firsts[group]; i < n; i++) {
        if (events[i].place != BULK_IN || events[i].group != group)
            continue;
        if (i > m->firsts[group])
            buf_putc(out, ',');
        buf_put(out, m->pieces[i].text);
    }
    buf_puts(out, "]}}}");
}

static struct sv body(struct arena *a, struct bulk_event *events, size_t n) {
    struct making m = {ARENA_ARRAY(a, struct piece, n), ARENA_ARRAY(a, size_t, n), 0, GROUP_BYTES};
    struct arena scratch;
    struct buf out;
    arena_init(&scratch, EVENT_MEMORY);
    for (size_t i = 0; i < n; i++) {
        events[i].place = piece_of(a, &scratch, events[i].body, &m.pieces[i]) ? place(&m, events, i) : BULK_ALONE;
        arena_reset(&scratch);
    }
    arena_free(&scratch);
    if (m.groups == 0)
        return SV_NONE;
    buf_init(&out, BODY_BYTES_MOST);
    buf_puts(&out, "{\"data\":{\"type\":\"event-bulk-create-job\",\"attributes\":{\"events-bulk-create\":{\"data\":[");
    for (size_t group = 0; group < m.groups; group++)
        write_group(&out, &m, events, n, group);
    buf_puts(&out, "]}}}}");
    return buf_take(&out, a);
}

static int64_t when_behind_ms(const struct shop *shop) {
    return shop->klaviyo.bulk_when_behind_ms;
}

static void address(struct arena *a, const struct shop *shop, struct request *ret) {
    klaviyo_address(a, shop, "/api/event-bulk-create-jobs", ret);
}

// ---- the answer

// group_at: the group that a pointer leads into; false: it leads elsewhere, or to what is wrong with several together.
static bool group_at(struct sv pointer, size_t *ret) {
    struct sv number, rest;
    int64_t group;
    if (!sv_starts(pointer, SV(GROUPS_AT)) || sv_ends(pointer, SV("/unique_id")))
        return false;
    sv_cut(sv_sub(pointer, sizeof GROUPS_AT - 1, pointer.n), '/', &number, &rest);
    *ret = sv_i64(number, &group) && group >= 0 ? (size_t)group : SIZE_MAX;
    return *ret < KLAVIYO_BULK_MOST;
}

// refuse: the events of that group; their number.
static size_t refuse(struct bulk_event *events, size_t n, size_t group) {
    size_t found = 0;
    for (size_t i = 0; i < n; i++)
        if (events[i].place == BULK_IN && events[i].group == group) {
            events[i].place = BULK_ALONE;
            found++;
        }
    return found;
}

// names_groups: every error names a group; they are refused.
static bool names_groups(struct arena *a, const struct answer *answer, struct bulk_event *events, size_t n) {
    struct json *root;
    bool found = false;
    if (answer->status != 400 || json_parse(a, answer->body, &root, NULL) != RC_OK || !json_is_array(json_get(root, "errors")))
        return false;
    JSON_EACH(error, json_get(root, "errors")) {
        size_t group;
        if (!group_at(json_str(error, "source.pointer"), &group))
            return false;
        found |= refuse(events, n, group) > 0;
    }
    return found;
}

static struct outcome outcome(struct arena *a, const struct answer *answer, int64_t now_ms, struct bulk_event *events, size_t n) {
    struct outcome o = klaviyo_outcome(a, answer, now_ms);
    o.amend = false;
    if (o.kind == OUTCOME_REJECT && !names_groups(a, answer, events, n))
        for (size_t i = 0; i < n; i++)
            events[i].place = events[i].place == BULK_IN ? BULK_ALONE : events[i].place;
    return o;
}

const struct bulk klaviyo_bulk = {
    .name = "klaviyo.bulk",
    .most = KLAVIYO_BULK_MOST,
    .gather_ms = MINUTES_MS(1) / 150,  // of so many in a minute
    .when_behind_ms = when_behind_ms,
    .quota = klaviyo_bulk_quota,
    .body = body,
    .address = address,
    .outcome = outcome,
};
