// plan_json.c: the stored form of a plan: JSON on one line, and behind it each body that is to be sent, as it is, on a line of its own:
// {"reserved":true,"aside":true,"replayed":1,"events":[{"id","name","time":ms,"taken","steps":{"meta":{"state","reason","bytes","tell_at","essence","identity","undoes","told","told_why","alone","amended","attempts","first","asked","last","next","bidden"}}}]}
// "bytes" is how long the step's body is; they stand in the order of the steps. Plans that were written earlier have it as a string, "body".
// Progress is the same without what is to be sent, which is most of it and stays as it is; what a body was told stands in it, and is put
// into the body again.
#include "server/dispatch/plan.h"

#define PLAN_BYTES_MOST ((size_t)64 << 20)
#define HEAD_BYTES_MOSTLY 1500  // of what stands before the bodies
#define TIME_MOST_MS (INT64_MAX / 8)

static const char *const states[] = {
    [STEP_PENDING] = "pending", [STEP_RETRYING] = "retrying", [STEP_SENT] = "sent", [STEP_SKIPPED] = "skipped", [STEP_FAILED] = "failed",
};

const char *step_state_text(enum step_state state) {
    return states[state];
}

static void write_moment(struct jw *w, const char *key, int64_t n) {
    if (n == 0)
        return;
    jw_key(w, key);
    jw_int(w, n);
}

static void write_draft(struct jw *w, const struct draft *d) {
    write_moment(w, "bytes", (int64_t)d->body.n);
    write_moment(w, "tell_at", (int64_t)d->tell_at);
    jw_member(w, "essence", d->essence);
    jw_member(w, "identity", d->identity);
    write_moment(w, "undoes", d->undoes);
}

static void write_step(struct jw *w, const struct step *s, bool whole) {
    jw_open(w, '{');
    jw_member(w, "state", sv_of(states[s->state]));
    jw_member(w, "reason", s->reason);
    if (whole)
        write_draft(w, &s->draft);
    jw_member(w, "told", s->told.status);
    jw_member(w, "told_why", s->told.reason);
    write_moment(w, "alone", s->alone);
    write_moment(w, "amended", s->amended);
    write_moment(w, "attempts", s->attempts);
    write_moment(w, "first", s->first_ms);
    write_moment(w, "asked", s->asked_ms);
    write_moment(w, "last", s->last_ms);
    write_moment(w, "next", s->next_ms);
    write_moment(w, "bidden", s->bidden);
    jw_close(w, '}');
}

static void write_event(struct jw *w, const struct planned_event *e, bool whole) {
    jw_open(w, '{');
    jw_member(w, "id", e->id);
    jw_member(w, "name", e->name);
    jw_key(w, "time");
    jw_int(w, e->time_ms);
    jw_key(w, "on_fail");
    jw_int(w, e->patience.on_fail);
    write_moment(w, "max_wait", e->patience.max_wait_ms);
    write_moment(w, "taken", e->taken);
    jw_key(w, "steps");
    jw_open(w, '{');
    for (size_t i = 0; i < PLAN_STEPS; i++) {
        jw_key(w, destinations[i]->name);
        write_step(w, &e->steps[i], whole);
    }
    jw_close(w, '}');
    jw_close(w, '}');
}

static size_t bodies_length(const struct plan *p) {
    size_t n = 0;
    for (size_t i = 0; i < p->event_count; i++)
        for (size_t s = 0; s < PLAN_STEPS; s++)
            n += p->events[i].steps[s].draft.body.n + 1;
    return n;
}

static void put_bodies(struct buf *out, const struct plan *p) {
    for (size_t i = 0; i < p->event_count; i++)
        for (size_t s = 0; s < PLAN_STEPS; s++) {
            struct sv body = p->events[i].steps[s].draft.body;
            if (body.n == 0)
                continue;
            buf_putc(out, '\n');
            buf_put(out, body);
        }
}

static struct sv write(struct arena *a, const struct plan *p, bool whole) {
    struct buf out;
    struct jw w;
    buf_init(&out, PLAN_BYTES_MOST);
    buf_reserve(&out, HEAD_BYTES_MOSTLY + (whole ? bodies_length(p) : 0));
    jw_init(&w, &out);
    jw_open(&w, '{');
    jw_key(&w, "reserved");
    jw_bool(&w, p->reserved);
    jw_key(&w, "aside");
    jw_bool(&w, p->aside);
    write_moment(&w, "replayed", p->replayed);
    jw_key(&w, "events");
    jw_open(&w, '[');
    for (size_t i = 0; i < p->event_count; i++)
        write_event(&w, &p->events[i], whole);
    jw_close(&w, ']');
    jw_close(&w, '}');
    if (whole)
        put_bodies(&out, p);
    return buf_take(&out, a);
}

struct sv plan_write(struct arena *a, const struct plan *p) {
    return write(a, p, true);
}

struct sv plan_write_progress(struct arena *a, const struct plan *p) {
    return write(a, p, false);
}

// Sums and differences of what is read cannot overflow.
static bool read_time(const struct json *node, const char *key, int64_t *ret) {
    return sv_i64(json_str(node, key), ret) && *ret >= -TIME_MOST_MS && *ret <= TIME_MOST_MS;
}

static bool read_moment(const struct json *node, const char *key, int64_t *ret) {
    *ret = 0;
    return !json_str(node, key).p || (read_time(node, key, ret) && *ret >= 0);
}

// read_body: *bodies are those that are left.
static bool read_body(const struct json *node, struct sv *bodies, struct sv *ret) {
    int64_t n;
    *ret = json_str(node, "body");
    if (!read_moment(node, "bytes", &n) || (n > 0 && (ret->p || (size_t)n >= bodies->n || bodies->p[0] != '\n')))
        return false;
    if (n > 0) {
        *ret = sv_sub(*bodies, 1, (size_t)n);
        *bodies = sv_sub(*bodies, 1 + (size_t)n, bodies->n);
    }
    return true;
}

static bool read_step(const struct json *node, struct sv *bodies, struct step *ret) {
    struct sv state = json_str(node, "state");
    int64_t tell_at = 0, undoes = 0, alone = 0, amended = 0, bidden = 0;
    *ret = (struct step){.reason = json_str(node, "reason"), .draft.essence = json_str(node, "essence"), .draft.identity = json_str(node, "identity"),
                          .told = {json_str(node, "told"), json_str(node, "told_why")}};
    if (!node) {  // a destination that did not exist when this was planned
        *ret = (struct step){.state = STEP_SKIPPED, .reason = SV("not planned")};
        return true;
    }
    size_t i = 0;
    while (i < COUNTOF(states) && !sv_is(state, states[i]))
        i++;
    ret->state = (enum step_state)i;
    if (!read_body(node, bodies, &ret->draft.body) || !read_moment(node, "tell_at", &tell_at) || !read_moment(node, "undoes", &undoes) ||
        !read_moment(node, "alone", &alone) || !read_moment(node, "amended", &amended) || !read_moment(node, "bidden", &bidden) ||
        (size_t)tell_at > ret->draft.body.n)
        return false;
    ret->draft.tell_at = (size_t)tell_at;
    ret->draft.undoes = undoes != 0;
    ret->alone = alone != 0;
    ret->amended = amended != 0;
    ret->bidden = bidden != 0;
    return i < COUNTOF(states) && read_moment(node, "attempts", &ret->attempts) && read_moment(node, "first", &ret->first_ms) &&
           read_moment(node, "asked", &ret->asked_ms) && read_moment(node, "last", &ret->last_ms) && read_moment(node, "next", &ret->next_ms);
}

static bool read_event(const struct json *node, struct sv *bodies, struct planned_event *ret) {
    *ret = (struct planned_event){.id = json_str(node, "id"), .name = json_str(node, "name")};
    const struct json *steps = json_get(node, "steps");
    int64_t on_fail = 0, taken = 0;
    if (!read_moment(node, "on_fail", &on_fail) || on_fail > ON_FAIL_STOP ||
        !read_moment(node, "max_wait", &ret->patience.max_wait_ms) || !read_moment(node, "taken", &taken))
        return false;
    ret->taken = taken != 0;
    ret->patience.on_fail = (enum on_fail)on_fail;
    if (!sv_present(ret->id) || !read_time(node, "time", &ret->time_ms) || !json_is_object(steps))
        return false;
    for (size_t i = 0; i < PLAN_STEPS; i++)
        if (!read_step(json_get(steps, destinations[i]->name), bodies, &ret->steps[i]))
            return false;
    return true;
}

static enum rc read(struct arena *a, struct sv text, struct plan *ret, struct err *e) {
    struct json *root;
    struct sv json, bodies;
    *ret = (struct plan){0};
    if (sv_cut(text, '\n', &json, &bodies))
        bodies = sv_sub(text, json.n, text.n);  // each begins with the end of the line before it
    if (json_parse(a, json, &root, e))
        return err_wrap(e, "stored plan");
    const struct json *events = json_get(root, "events");
    if (!json_is_array(events) || events->count > PLAN_EVENTS_MAX)
        return err_set(e, RC_INVALID, "stored plan: no list of at most %d events", PLAN_EVENTS_MAX);
    ret->reserved = json_is_true(json_get(root, "reserved"));
    ret->aside = json_is_true(json_get(root, "aside"));
    ret->replayed = json_is_true(json_get(root, "replayed"));
    ret->events = ARENA_ARRAY(a, struct planned_event, events->count);
    JSON_EACH(item, events)
        if (!read_event(item, &bodies, &ret->events[ret->event_count++]))
            return err_set(e, RC_INVALID, "stored plan: event %zu cannot be understood", ret->event_count);
    if (bodies.n > 0)
        return err_set(e, RC_INVALID, "stored plan: %zu bytes behind it belong to no step", bodies.n);
    return RC_OK;
}

// rejoin: a step that came with the progress, and what it is to send.
static void rejoin(struct arena *a, size_t step, struct draft whole, struct step *s) {
    s->draft = step_decided(s) ? (struct draft){.identity = s->state == STEP_SKIPPED ? SV_NONE : whole.identity} : whole;
    if (s->draft.tell_at == 0 || !s->told.status.p || !destinations[step]->tell)
        return;
    s->draft.body = destinations[step]->tell(a, s->draft, &s->told);
    s->draft.tell_at = 0;
}

enum rc plan_read(struct arena *a, struct sv text, struct sv progress, struct plan *ret, struct err *e) {
    enum rc rc = read(a, text, ret, e);
    if (rc != RC_OK || !progress.p)
        return rc;
    struct plan whole = *ret;
    if ((rc = read(a, progress, ret, e)) != RC_OK)
        return rc;
    if (ret->event_count != whole.event_count)
        return err_set(e, RC_INVALID, "stored plan: its progress is another one's");
    for (size_t i = 0; i < ret->event_count; i++)
        for (size_t s = 0; s < PLAN_STEPS; s++)
            rejoin(a, s, whole.events[i].steps[s].draft, &ret->events[i].steps[s]);
    return RC_OK;
}
