#include "server/commands/sandbox.h"

#include "base/clock.h"
#include "base/json.h"
#include "server/http/http_in.h"

#include <pthread.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NO_CREDENTIAL_META "{\"error\":{\"message\":\"no credential\",\"type\":\"OAuthException\",\"code\":190}}"
#define NO_CREDENTIAL_KLAVIYO "{\"errors\":[{\"status\":401,\"code\":\"not_authenticated\",\"title\":\"no credential\"}]}"
#define BULK_MOST 1000
#define JOURNAL_MAX 100000  // older sightings are not forgotten, newer ones are no longer kept

struct sandbox {
    struct sandbox_config config;
    struct http_server *http;
    pthread_mutex_t lock;
    struct sighting *journal;
    size_t seen, room;
    uint64_t sequence;
    char fail_id[192];
    int fail_status, fail_times;
};

static void copy_text(char *out, size_t room, struct sv text) {
    snprintf(out, room, SV_FMT, SV_ARG(sv_sub(text, 0, room - 1)));
}

// What one request told: mostly one thing.
struct sightings {
    struct sighting *v;
    size_t n;
};

// What a destination is told apart by, and how it reads a request: fills the sightings, gives the status and body of the answer.
struct counterpart {
    const char *name, *path_end;
    const char *authorization;
    struct sv no_credential;  // what a request without one hears
    void (*answer)(const struct http_request *r, const struct json *body, struct sightings *seen, struct http_response *ret);
};

static void answer_meta(const struct http_request *r, const struct json *body, struct sightings *seen, struct http_response *ret) {
    const struct json *events = json_get(body, "data"), *first = events ? events->child : NULL;
    copy_text(seen->v->event_name, sizeof(seen->v->event_name), json_str(first, "event_name"));
    copy_text(seen->v->event_id, sizeof(seen->v->event_id), json_str(first, "event_id"));
    if (!json_is_array(events) || events->count == 0 || !json_is_object(json_get(first, "user_data"))) {
        ret->status = 400;
        ret->body = SV("{\"error\":{\"message\":\"Invalid parameter\",\"type\":\"OAuthException\",\"code\":100,\"error_subcode\":2804019,"
                       "\"is_transient\":false,\"fbtrace_id\":\"sandbox\"}}");
        return;
    }
    ret->status = 200;
    ret->body = arena_fmt(r->arena, "{\"events_received\":%zu,\"messages\":[],\"fbtrace_id\":\"sandbox\"}", events->count);
}

static void see_event(const struct json *attributes, struct sighting *seen) {
    copy_text(seen->event_name, sizeof(seen->event_name), json_str(attributes, "metric.data.attributes.name"));
    copy_text(seen->event_id, sizeof(seen->event_id), json_str(attributes, "unique_id"));
    copy_text(seen->capi_status, sizeof(seen->capi_status), json_str(attributes, "properties.capi_status"));
}

static void answer_klaviyo(const struct http_request *r, const struct json *body, struct sightings *seen, struct http_response *ret) {
    (void)r;
    const struct json *attributes = json_at(body, "data.attributes");
    see_event(attributes, seen->v);
    ret->content_type = "application/vnd.api+json";
    ret->status = 202;
    if (!json_is_object(json_at(attributes, "profile.data.attributes")) || seen->v->event_name[0] == 0) {
        ret->status = 400;
        ret->body = SV("{\"errors\":[{\"status\":400,\"code\":\"invalid\",\"title\":\"Invalid input.\",\"detail\":\"profile and metric are "
                       "required\",\"source\":{\"pointer\":\"/data/attributes\"}}]}");
    }
}

// Of each event it is told what came of the request: all are taken or none.
static void answer_bulk(const struct http_request *r, const struct json *body, struct sightings *seen, struct http_response *ret) {
    const struct json *groups = json_at(body, "data.attributes.events-bulk-create.data");
    struct sighting first = *seen->v;
    size_t n = 0;
    JSON_EACH(group, groups)
        JSON_EACH(event, json_at(group, "attributes.events.data"))
            n++;
    *ret = (struct http_response){.status = n > 0 && n <= BULK_MOST ? 202 : 400, .content_type = "application/vnd.api+json"};
    seen->v = ARENA_ARRAY(r->arena, struct sighting, n + 1);
    seen->v[0] = first;
    seen->n = n > 0 ? n : 1;
    n = 0;
    JSON_EACH(group, groups)
        JSON_EACH(event, json_at(group, "attributes.events.data")) {
            seen->v[n] = first;
            see_event(json_get(event, "attributes"), &seen->v[n++]);
        }
    if (ret->status == 400)
        ret->body = SV("{\"errors\":[{\"status\":400,\"code\":\"invalid\",\"title\":\"Invalid input.\",\"detail\":\"1 to 1000 events\"}]}");
}

static void answer_profile(const struct http_request *r, const struct json *body, struct sightings *seen, struct http_response *ret) {
    (void)r;
    (void)body;
    copy_text(seen->v->event_name, sizeof(seen->v->event_name), SV("profile-import"));
    *ret = (struct http_response){.status = 201, .content_type = "application/vnd.api+json", .body = SV("{\"data\":{\"type\":\"profile\",\"id\":\"sandbox\"}}")};
}

static void answer_subscription(const struct http_request *r, const struct json *body, struct sightings *seen, struct http_response *ret) {
    (void)r;
    copy_text(seen->v->event_name, sizeof(seen->v->event_name), json_str(body, "data.type"));
    *ret = (struct http_response){.status = 202, .content_type = "application/vnd.api+json"};
}

#define KLAVIYO "Klaviyo-API-Key ", {NO_CREDENTIAL_KLAVIYO, sizeof NO_CREDENTIAL_KLAVIYO - 1}

// Named as the steps that lead there; of two that fit the later row.
static const struct counterpart counterparts[] = {
    {"meta", "/events", "Bearer ", {NO_CREDENTIAL_META, sizeof NO_CREDENTIAL_META - 1}, answer_meta},
    {"klaviyo.event", "/api/events", KLAVIYO, answer_klaviyo},
    {"klaviyo.event", "/api/event-bulk-create-jobs", KLAVIYO, answer_bulk},
    {"klaviyo.profile", "/api/profile-import", KLAVIYO, answer_profile},
    {"klaviyo.list", "/api/profile-subscription-bulk-create-jobs", KLAVIYO, answer_subscription},
    {"klaviyo.list", "/api/profile-subscription-bulk-delete-jobs", KLAVIYO, answer_subscription},
};

static const struct counterpart *counterpart_of(const struct http_request *r) {
    for (size_t i = COUNTOF(counterparts); i-- > 0;)
        if (sv_is(r->method, "POST") && sv_ends(r->path, sv_of(counterparts[i].path_end)))
            return &counterparts[i];
    return NULL;
}

static int scripted_status(struct sandbox *s, const struct sighting *seen) {
    if (seen->destination == counterparts[0].name && s->fail_times > 0 && strcmp(s->fail_id, seen->event_id) == 0) {
        s->fail_times--;
        return s->fail_status;
    }
    return seen->destination == counterparts[0].name ? s->config.meta_status : s->config.klaviyo_status;
}

static void keep(struct sandbox *s, const struct sighting *seen) {
    if (s->seen == s->room && s->room < JOURNAL_MAX) {
        size_t room = s->room ? s->room * 2 : 64;
        struct sighting *more = realloc(s->journal, room * sizeof(*more));
        if (more) {
            s->journal = more;
            s->room = room;
        }
    }
    if (s->seen < s->room)
        s->journal[s->seen++] = *seen;
}

static void respond(const struct counterpart *c, const struct http_request *r, struct sightings *seen, struct http_response *ret) {
    struct json *body = NULL;
    if (!c)
        *ret = (struct http_response){.status = 404, .body = SV("{\"error\":\"the sandbox knows POST .../events, and of Klaviyo events, event-bulk-create-jobs, profile-import and the subscription jobs\"}")};
    else if (!sv_starts(headers_get(r->headers, "Authorization"), sv_of(c->authorization)))
        *ret = (struct http_response){.status = 401, .body = c->no_credential};
    else if (json_parse(r->arena, r->body, &body, NULL))
        *ret = (struct http_response){.status = 400, .body = SV("{\"error\":{\"message\":\"not JSON\",\"code\":100}}")};
    else
        c->answer(r, body, seen, ret);
}

static void journalise(struct sandbox *s, struct sighting *seen, int status) {
    seen->status = status;
    seen->answered = ++s->sequence;
    seen->answered_ms = clock_wall_ms();
    keep(s, seen);
    if (s->config.saw)
        s->config.saw(s->config.ctx, seen);
}

static void handle(void *ctx, const struct http_request *r, struct http_response *ret) {
    struct sandbox *s = ctx;
    const struct counterpart *c = counterpart_of(r);
    struct sighting first = {.destination = c ? c->name : "nobody", .came_ms = clock_wall_ms()};
    struct sightings seen = {&first, 1};
    pthread_mutex_lock(&s->lock);
    first.came = ++s->sequence;
    pthread_mutex_unlock(&s->lock);
    respond(c, r, &seen, ret);
    if (s->config.delay_ms > 0)
        poll(NULL, 0, (int)s->config.delay_ms);
    pthread_mutex_lock(&s->lock);
    int scripted = scripted_status(s, seen.v);
    if (scripted) {
        ret->status = scripted;
        ret->body = scripted == 401 && c ? c->no_credential : SV("{\"error\":{\"message\":\"told to fail\",\"code\":2,\"is_transient\":true}}");
    }
    for (size_t i = 0; i < seen.n; i++)
        journalise(s, &seen.v[i], ret->status);
    pthread_mutex_unlock(&s->lock);
}

enum rc sandbox_start(const struct sandbox_config *config, struct sandbox **ret, struct err *e) {
    struct sandbox *s = calloc(1, sizeof(*s));
    if (!s)
        return err_set(e, RC_IO, "out of memory");
    s->config = *config;
    pthread_mutex_init(&s->lock, NULL);
    struct http_server_config http = {.listen = config->listen, .body_limit = (size_t)8 << 20, .threads = 64, .handle = handle, .ctx = s};
    if (http_server_start(&http, &s->http, e)) {
        sandbox_stop(s);
        return e ? e->code : RC_IO;
    }
    *ret = s;
    return RC_OK;
}

int sandbox_port(const struct sandbox *s) {
    return http_server_port(s->http);
}

void sandbox_fail(struct sandbox *s, const char *event_id, int status, int times) {
    pthread_mutex_lock(&s->lock);
    snprintf(s->fail_id, sizeof(s->fail_id), "%s", event_id);
    s->fail_status = status;
    s->fail_times = times;
    pthread_mutex_unlock(&s->lock);
}

struct sighting *sandbox_journal(struct sandbox *s, struct arena *a, size_t *ret_count) {
    pthread_mutex_lock(&s->lock);
    struct sighting *copy = ARENA_ARRAY(a, struct sighting, s->seen + 1);
    if (s->seen > 0)
        memcpy(copy, s->journal, s->seen * sizeof(*copy));
    *ret_count = s->seen;
    pthread_mutex_unlock(&s->lock);
    return copy;
}

void sandbox_stop(struct sandbox *s) {
    if (!s)
        return;
    http_server_stop(s->http);
    pthread_mutex_destroy(&s->lock);
    free(s->journal);
    free(s);
}
