// klaviyo_outcome.c: what Klaviyo's answer means. The HTTP status decides; Klaviyo publishes no list of codes, and its texts may change.
// An answer that is no JSON comes from the network in front of Klaviyo.
#include "base/clock.h"
#include "mapping/klaviyo/klaviyo.h"

#define CHALLENGE_WAIT_MS MINUTES_MS(5)  // a bot check in front of Klaviyo passes with time, not with tries

struct verdict {
    long first, last;
    enum outcome_kind json, other;
    const char *meaning;
};

static const struct verdict verdicts[] = {
    {200, 299, OUTCOME_SENT, OUTCOME_SENT, "accepted"},
    {300, 399, OUTCOME_PAUSE, OUTCOME_PAUSE, "redirected: check base_url"},
    {400, 400, OUTCOME_REJECT, OUTCOME_RETRY, "invalid"},
    {401, 401, OUTCOME_PAUSE, OUTCOME_PAUSE, "api_key refused"},
    {403, 403, OUTCOME_PAUSE, OUTCOME_RETRY, "permission denied"},
    {404, 404, OUTCOME_REJECT, OUTCOME_REJECT, "not found"},
    {405, 405, OUTCOME_REJECT, OUTCOME_REJECT, "method not allowed"},
    {408, 408, OUTCOME_RETRY, OUTCOME_RETRY, "timed out"},
    {409, 409, OUTCOME_REJECT, OUTCOME_REJECT, "e-mail and phone belong to two profiles"},
    {410, 410, OUTCOME_PAUSE, OUTCOME_PAUSE, "revision retired"},
    {413, 413, OUTCOME_REJECT, OUTCOME_REJECT, "too large"},
    {415, 415, OUTCOME_REJECT, OUTCOME_REJECT, "content type refused"},
    {429, 429, OUTCOME_THROTTLED, OUTCOME_THROTTLED, "throttled"},
    {400, 499, OUTCOME_REJECT, OUTCOME_RETRY, "refused"},
    {500, 599, OUTCOME_RETRY, OUTCOME_RETRY, "trouble at Klaviyo"},
    {0, 999, OUTCOME_RETRY, OUTCOME_RETRY, "no answer that HTTP knows"},
};

static const struct verdict *verdict_of(long status) {
    size_t i = 0;
    while (i + 1 < COUNTOF(verdicts) && (status < verdicts[i].first || status > verdicts[i].last))
        i++;
    return &verdicts[i];
}

// A path in our own body or an id: short and of plain characters, so that no personal data can hide in it.
static bool is_plain(struct sv s) {
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        bool good = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '/' || c == '-';
        if (!good)
            return false;
    }
    return s.n > 0 && s.n <= 120;
}

static const struct json *first_error(const struct json *json) {
    const struct json *errors = json_get(json, "errors");
    return json_is_array(errors) ? errors->child : NULL;
}

// errors[0]: its id is what Klaviyo's support asks for, its pointer the place in the body that is wrong.
static struct sv detail_of(struct arena *a, const struct json *json) {
    const struct json *first = first_error(json);
    struct sv pointer = json_str(first, "source.pointer"), id = json_str(first, "id");
    struct sv at = is_plain(pointer) ? arena_fmt(a, " at " SV_FMT, SV_ARG(pointer)) : SV("");
    struct sv reference = is_plain(id) ? arena_fmt(a, " (error " SV_FMT ")", SV_ARG(id)) : SV("");
    return arena_fmt(a, SV_FMT SV_FMT, SV_ARG(at), SV_ARG(reference));
}

struct outcome klaviyo_outcome(struct arena *a, const struct answer *answer, int64_t now_ms) {
    struct json *json = NULL;
    if (answer->status == 0)
        return (struct outcome){.kind = OUTCOME_RETRY, .reason = sv_first(answer->transport_error, SV("no answer"))};
    const struct verdict *verdict = verdict_of(answer->status);
    bool is_json = json_parse(a, answer->body, &json, NULL) == RC_OK && json_is_object(json);
    bool challenge = answer->status == 403 && (!is_json || sv_present(headers_get(answer->headers, "cf-mitigated")));
    struct outcome outcome = {.kind = is_json && !challenge ? verdict->json : verdict->other};
    struct sv pointer = is_json ? json_str(first_error(json), "source.pointer") : SV_NONE;
    outcome.amend = outcome.kind == OUTCOME_REJECT && (answer->status == 409 || sv_ends(pointer, SV("phone_number")));
    outcome.reason = arena_fmt(a, "%ld %s" SV_FMT, answer->status, challenge ? "stopped before Klaviyo" : verdict->meaning,
                               SV_ARG(is_json ? detail_of(a, json) : SV("")));
    if (outcome.kind == OUTCOME_SENT || outcome.kind == OUTCOME_REJECT)
        return outcome;
    outcome.retry_after_ms = retry_after_ms(answer->headers, now_ms);
    if (outcome.kind == OUTCOME_THROTTLED && outcome.retry_after_ms == 0)
        outcome.retry_after_ms = SECONDS_MS(1);
    if (challenge && outcome.retry_after_ms < CHALLENGE_WAIT_MS)
        outcome.retry_after_ms = CHALLENGE_WAIT_MS;
    return outcome;
}

struct outcome klaviyo_side_outcome(struct arena *a, const struct answer *answer, int64_t now_ms) {
    struct outcome outcome = klaviyo_outcome(a, answer, now_ms);
    if (answer->status == 403 && outcome.kind == OUTCOME_PAUSE)
        outcome.kind = OUTCOME_REJECT;
    return outcome;
}
