#include "server/admin_jobs.h"

#include "base/clock.h"
#include "base/failpoint.h"
#include "server/dispatch/plan.h"

#define PAGE_MOST 100
#define ANSWER_LIMIT ((size_t)16 << 20)

static const char *const states[] = {[JOB_PENDING] = "pending", [JOB_DONE] = "done", [JOB_DEAD] = "dead", [JOB_IGNORED] = "ignored"};

// ---- answers

static void answer(const struct http_request *r, struct http_response *ret, struct buf *out) {
    if (!buf_ok(out))
        ret->status = 500;
    ret->body = arena_dup(r->arena, buf_sv(out));
    buf_free(out);
}

static void complain(const struct http_request *r, struct http_response *ret, const struct err *e) {
    static const int statuses[] = {[RC_INVALID] = 400, [RC_NOT_FOUND] = 404, [RC_UNAVAILABLE] = 503};
    struct buf out;
    struct jw w;
    buf_init(&out, ANSWER_LIMIT);
    jw_init(&w, &out);
    jw_open(&w, '{');
    jw_member(&w, "error", sv_of(e->text));
    jw_close(&w, '}');
    ret->status = (size_t)e->code < COUNTOF(statuses) && statuses[e->code] ? statuses[e->code] : 500;
    answer(r, ret, &out);
}

static enum rc check_shop(struct admin *admin, struct sv name, struct err *e) {
    struct config *config = config_current(admin->config);
    bool known = config_shop(config, name) != NULL;
    config_drop(config);
    return known ? RC_OK : err_set(e, RC_NOT_FOUND, "there is no such shop in the configuration");
}

// ---- what there is

static struct sv parameter(struct sv query, const char *name) {
    struct sv pair, key, value;
    while (query.p) {
        sv_cut(query, '&', &pair, &query);
        if (sv_cut(pair, '=', &key, &value) && sv_is(key, name))
            return value;
    }
    return SV_NONE;
}

static enum rc read_state(struct sv text, enum job_state *ret, struct err *e) {
    *ret = JOB_DEAD;
    if (!sv_present(text))
        return RC_OK;
    for (size_t i = 0; i < COUNTOF(states); i++)
        if (sv_is(text, states[i])) {
            *ret = (enum job_state)i;
            return RC_OK;
        }
    return err_set(e, RC_INVALID, "state: pending, done, dead or ignored");
}

static void write_step(struct jw *w, const char *name, const struct step *s) {
    jw_key(w, name);
    jw_open(w, '{');
    jw_member(w, "state", sv_of(step_state_text(s->state)));
    jw_member(w, "reason", s->reason);
    jw_key(w, "attempts");
    jw_int(w, s->attempts);
    jw_close(w, '}');
}

static void write_planned(struct jw *w, struct arena *a, const struct planned_event *event) {
    jw_open(w, '{');
    jw_member(w, "id", plan_shown_id(a, event->id));
    jw_member(w, "name", event->name);
    jw_member(w, "time", time_iso(a, event->time_ms));
    jw_key(w, "steps");
    jw_open(w, '{');
    for (size_t i = 0; i < PLAN_STEPS; i++)
        write_step(w, destinations[i]->name, &event->steps[i]);
    jw_close(w, '}');
    jw_close(w, '}');
}

static void write_plan(struct jw *w, struct arena *a, const struct job_view *job) {
    struct plan plan = {0};
    struct err e;
    struct sv unreadable = job->unreadable;
    if (job->plan.p && plan_read(a, job->plan, job->progress, &plan, &e))
        unreadable = sv_of(e.text);
    jw_member(w, "unreadable", unreadable);
    jw_key(w, "events");
    jw_open(w, '[');
    for (size_t i = 0; !unreadable.p && i < plan.event_count; i++)
        write_planned(w, a, &plan.events[i]);
    jw_close(w, ']');
}

static void write_job(struct jw *w, struct arena *a, struct sv shop, const struct job_view *job) {
    char received[32];
    time_iso_ms(received, job->received_ms);
    jw_open(w, '{');
    jw_member(w, "job", sv_of(job->id));
    jw_member(w, "shop", shop);
    jw_member(w, "source", job->source);
    jw_member(w, "topic", job->topic);
    jw_member(w, "received", sv_of(received));
    jw_member(w, "state", sv_of(states[job->state]));
    jw_member(w, "reason", job->reason);
    write_plan(w, a, job);
    jw_close(w, '}');
}

void admin_events(struct admin *admin, const struct http_request *r, struct http_response *ret) {
    struct err e = {0};
    struct job_view *jobs = NULL;
    size_t n = 0;
    struct sv next = SV_NONE;
    struct job_query query = {.shop = parameter(r->query, "shop"), .after = parameter(r->query, "after"), .max = PAGE_MOST};
    if (!sv_present(query.after))
        query.after = SV_NONE;
    if (check_shop(admin, query.shop, &e) || read_state(parameter(r->query, "state"), &query.state, &e) ||
        store_list(admin->store, r->arena, &query, &jobs, &n, &next, &e)) {
        complain(r, ret, &e);
        return;
    }
    struct buf out;
    struct jw w;
    buf_init(&out, ANSWER_LIMIT);
    jw_init(&w, &out);
    jw_open(&w, '{');
    jw_key(&w, "events");
    jw_open(&w, '[');
    for (size_t i = 0; i < n; i++)
        write_job(&w, r->arena, query.shop, &jobs[i]);
    jw_close(&w, ']');
    jw_member(&w, "next", next);
    jw_close(&w, '}');
    answer(r, ret, &out);
}

// ---- once more

// redrive_one: what became of it. The steps that failed are to be done anew; what was sent stays sent.
static enum rc redrive_one(struct admin *admin, struct arena *a, struct sv shop, struct sv id, const char **ret_status, struct err *e) {
    struct job_view job;
    struct plan plan = {0};
    bool redriven = false;
    *ret_status = "unknown";
    enum rc rc = store_find(admin->store, a, shop, id, &job, e);
    if (rc == RC_OK) {
        bool planned = job.plan.p && plan_read(a, job.plan, job.progress, &plan, e) == RC_OK;
        plan_reopen(&plan);
        FAILPOINT("redrive.before");
        rc = store_redrive(admin->store, shop, id, planned ? plan_write(a, &plan) : SV_NONE, &redriven, e);
        FAILPOINT("redrive.after");
        *ret_status = redriven ? "redriven" : "not dead";
    }
    if (rc == RC_NOT_FOUND)
        *ret_status = "unknown";
    return rc == RC_NOT_FOUND ? RC_OK : rc;
}

static enum rc read_redrive(struct admin *admin, const struct http_request *r, struct sv *ret_shop, const struct json **ret_jobs, struct err *e) {
    struct json *root;
    if (json_parse(r->arena, r->body, &root, e))
        return RC_INVALID;
    *ret_shop = json_str(root, "shop");
    *ret_jobs = json_get(root, "jobs");
    if (!json_is_array(*ret_jobs) || (*ret_jobs)->count > REDRIVE_MOST)
        return err_set(e, RC_INVALID, "jobs: a list of at most %d ids", REDRIVE_MOST);
    return check_shop(admin, *ret_shop, e);
}

void admin_redrive(struct admin *admin, const struct http_request *r, struct http_response *ret) {
    struct err e = {0};
    struct sv shop;
    const struct json *jobs;
    enum rc rc = read_redrive(admin, r, &shop, &jobs, &e);
    struct buf out;
    struct jw w;
    buf_init(&out, ANSWER_LIMIT);
    jw_init(&w, &out);
    jw_open(&w, '{');
    jw_key(&w, "results");
    jw_open(&w, '[');
    for (const struct json *id = rc ? NULL : jobs->child; id && !rc; id = id->next) {
        const char *status;
        rc = redrive_one(admin, r->arena, shop, json_text(id), &status, &e);
        jw_open(&w, '{');
        jw_member(&w, "job", json_text(id));
        jw_member(&w, "status", sv_of(status));
        jw_close(&w, '}');
    }
    jw_close(&w, ']');
    jw_close(&w, '}');
    if (!rc) {
        answer(r, ret, &out);
        return;
    }
    buf_free(&out);
    e.code = rc;
    complain(r, ret, &e);
}
