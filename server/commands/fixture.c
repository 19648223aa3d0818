#include "server/commands/fixture.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/json.h"
#include "server/dispatch/recall.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FIXTURE_LIMIT ((size_t)8 << 20)

// take_last splits the last component off a path without a trailing slash.
static struct sv take_last(struct sv *path) {
    size_t at = path->n;
    while (at > 0 && path->p[at - 1] != '/')
        at--;
    struct sv last = sv_sub(*path, at, path->n - at);
    *path = sv_sub(*path, 0, at > 0 ? at - 1 : 0);
    return last;
}

static void read_headers(struct fixture *f, struct sv text) {
    struct sv line, name, value;
    while (text.n > 0) {
        sv_cut(text, '\n', &line, &text);
        if (!sv_cut(sv_trim(line), ':', &name, &value) || f->header_count == COUNTOF(f->headers))
            continue;
        f->headers[f->header_count++] = (struct header){sv_trim(name), sv_trim(value)};
    }
}

// take_topic: the last components of a path: source and topic; a topic is one word or resource and action. False when they are none.
static bool take_topic(struct arena *a, struct sv path, struct fixture *ret) {
    struct sv last = take_last(&path), second = take_last(&path), third = take_last(&path);
    const struct source *source = source_named(second);
    ret->source = second;
    ret->topic = last;
    if (source && source_topic(source, last))
        return true;
    ret->source = third;
    ret->topic = arena_fmt(a, SV_FMT "/" SV_FMT, SV_ARG(second), SV_ARG(last));
    return source_named(third) != NULL;
}

static enum rc read_stored(struct arena *a, const char *base, struct fixture *ret, struct err *e) {
    struct sv text;
    struct json *stored;
    const char *path = arena_fmt(a, "%s/stored.json", base).p;
    enum rc rc = file_read(a, path, FIXTURE_LIMIT, &text, e);
    if (rc != RC_OK)
        return rc == RC_NOT_FOUND ? RC_OK : rc;
    if (json_parse(a, text, &stored, e))
        return err_wrap(e, "%s", path);
    ret->stored = stored;
    return RC_OK;
}

enum rc fixture_read(struct arena *a, const char *folder, struct fixture *ret, struct err *e) {
    char real[PATH_MAX];
    if (!realpath(folder, real))
        return err_set(e, RC_NOT_FOUND, "%s: %s", folder, strerror(errno));
    struct sv path = arena_dup(a, sv_of(real));
    if (sv_ends(path, SV("/request.json")))
        path = sv_sub(path, 0, path.n - (sizeof("/request.json") - 1));
    char *base = arena_cstr(a, path);
    *ret = (struct fixture){.name = take_last(&path)};
    if (!take_topic(a, path, ret))
        return err_set(e, RC_INVALID, "%s: a fixture is a folder shopify/<resource>/<action>/<case>, recharge/<resource>/<action>/<case> "
                       "or events/<name>/<case>", folder);
    if (file_read(a, arena_fmt(a, "%s/request.json", base).p, FIXTURE_LIMIT, &ret->body, e))
        return e ? e->code : RC_IO;
    struct sv headers = SV_NONE;
    if (file_read(a, arena_fmt(a, "%s/request.headers", base).p, FIXTURE_LIMIT, &headers, NULL) == RC_OK)
        read_headers(ret, headers);
    enum rc rc = file_read(a, arena_fmt(a, "%s/shop.yaml", base).p, FIXTURE_LIMIT, &ret->shop, e);
    return rc == RC_OK || rc == RC_NOT_FOUND ? read_stored(a, base, ret, e) : rc;
}

// ---- decoding

static const struct json *kept(const struct fixture *f, struct sv key) {
    JSON_EACH(item, f->stored)
        if (sv_eq(item->key, key))
            return item;
    return NULL;
}

void fixture_decode(struct arena *a, const struct fixture *f, const struct shop *shop, struct decoded *ret) {
    source_decode(a, source_named(f->source), shop, f->topic, f->body, ret);
    for (size_t i = 0; i < ret->count; i++) {
        struct recall_key keys[RECALL_KEYS_MAX];
        const struct json *known[RECALL_KEYS_MAX];
        recall_keys(a, &ret->events[i], keys);
        for (size_t k = 0; k < RECALL_KEYS_MAX; k++)
            known[k] = keys[k].text.p ? kept(f, keys[k].text) : NULL;
        recall_apply(a, &ret->events[i], known);
    }
}

// ---- moving a recording to now

static bool digits_at(struct sv s, size_t at, const char *shape) {
    size_t n = strlen(shape);
    if (at + n > s.n)
        return false;
    for (size_t i = 0; i < n; i++)
        if (shape[i] == '0' ? !isdigit((unsigned char)s.p[at + i]) : s.p[at + i] != shape[i])
            return false;
    return true;
}

#define SECOND_SHAPE "0000-00-00T00:00:00"
#define SECOND_LEN (sizeof(SECOND_SHAPE) - 1)

static struct sv zone_after(struct sv body, size_t at) {
    if (at < body.n && (body.p[at] == '+' || body.p[at] == '-') && digits_at(body, at + 1, "00:00"))
        return sv_sub(body, at, 6);
    return SV("Z");
}

static int64_t moment_at(struct arena *a, struct sv body, size_t at) {
    int64_t ms = 0;
    struct sv text = sv_sub(body, at, SECOND_LEN), zone = zone_after(body, at + SECOND_LEN);
    if (!time_parse(arena_fmt(a, SV_FMT SV_FMT, SV_ARG(text), SV_ARG(zone)), 0, &ms))
        return 0;
    return ms;
}

// happened: the moment a webhook tells of; a schedule in the future or an address changed later does not count.
static int64_t happened(struct arena *a, struct sv body) {
    static const char *const keys[] = {"\"created_at\"", "\"processed_at\"", "\"updated_at\"", "\"cancelled_at\"",
                                       "\"consent_updated_at\"", "\"time\""};
    int64_t youngest = 0;
    for (size_t i = 0; i + SECOND_LEN < body.n; i++) {
        if (!digits_at(body, i, SECOND_SHAPE))
            continue;
        struct sv before = sv_sub(body, i > 24 ? i - 24 : 0, i > 24 ? 24 : i);
        for (size_t k = 0; k < COUNTOF(keys); k++) {
            int64_t ms = moment_at(a, body, i);
            if (sv_contains_nocase(before, sv_of(keys[k])) && ms > youngest)
                youngest = ms;
        }
    }
    return youngest;
}

// put_moment writes the wall-clock digits of ms in the zone that follows, so that the zone's text can stay.
static void put_moment(struct arena *a, struct buf *out, int64_t ms, struct sv zone) {
    int64_t offset = 0, hours = 0, minutes = 0;
    if (zone.n == 6 && sv_i64(sv_sub(zone, 1, 2), &hours) && sv_i64(sv_sub(zone, 4, 2), &minutes))
        offset = (hours * 60 + minutes) * (zone.p[0] == '-' ? -1 : 1);
    struct sv iso = time_iso(a, ms + MINUTES_MS(offset));
    buf_put(out, sv_sub(iso, 0, SECOND_LEN));
}

void fixture_shift(struct arena *a, struct fixture *f, int64_t now_ms) {
    int64_t then = happened(a, f->body);
    if (then == 0)
        return;
    int64_t by = (now_ms - then) / 1000 * 1000;
    struct buf out;
    buf_init(&out, FIXTURE_LIMIT * 2);
    for (size_t i = 0; i < f->body.n;) {
        int64_t click = 0;
        if (digits_at(f->body, i, SECOND_SHAPE) && moment_at(a, f->body, i) > 0) {
            put_moment(a, &out, moment_at(a, f->body, i) + by, zone_after(f->body, i + SECOND_LEN));
            i += SECOND_LEN;
        } else if (digits_at(f->body, i, "fb.0.0000000000000.") && sv_i64(sv_sub(f->body, i + 5, 13), &click)) {
            buf_put(&out, sv_sub(f->body, i, 5));
            buf_fmt(&out, "%lld", (long long)click + by);
            i += 18;
        } else {
            buf_putc(&out, f->body.p[i++]);
        }
    }
    f->body = arena_dup(a, buf_sv(&out));
    buf_free(&out);
}

struct headers fixture_sign(struct arena *a, const struct fixture *f, struct sv secret, int64_t now_ms) {
    struct header *all = ARENA_ARRAY(a, struct header, f->header_count + SIGN_HEADERS_MAX), made[SIGN_HEADERS_MAX];
    const struct headers recorded = {f->headers, f->header_count};
    size_t n = 0, made_count = source_named(f->source)->sign(a, secret, f->topic, f->body, now_ms, made);
    for (size_t i = 0; i < f->header_count; i++)
        all[n++] = f->headers[i];
    for (size_t i = 0; i < made_count; i++)
        if (headers_count(recorded, made[i].name.p) == 0)
            all[n++] = made[i];
    return (struct headers){all, n};
}

struct sv fixture_folder(struct arena *a) {
    char program[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", program, sizeof(program) - 1);
    struct sv beside = n > 0 ? (struct sv){program, (size_t)n} : SV_NONE;
    take_last(&beside);
    const struct sv places[] = {SV("fixtures"), arena_fmt(a, SV_FMT "/../fixtures", SV_ARG(beside)),
                                arena_fmt(a, SV_FMT "/../share/fireorder/fixtures", SV_ARG(beside))};
    for (size_t i = 0; i < COUNTOF(places); i++)
        if (access(arena_fmt(a, SV_FMT "/shopify", SV_ARG(places[i])).p, R_OK) == 0)
            return arena_dup(a, places[i]);
    return SV_NONE;
}
