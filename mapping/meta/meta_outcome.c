// meta_outcome.c: what Meta's answer means. Only code and subcode count: the texts come in the language of the token's owner,
// and the HTTP status is often 400 for what is temporary.
#include "base/clock.h"
#include "mapping/meta/meta.h"

#define ANY_SUBCODE (-1)
#define THROTTLE_MS SECONDS_MS(60)       // a limit that Meta names is not over sooner
#define THROTTLE_PLAIN_MS SECONDS_MS(5)  // 429 and no word from Meta itself
#define THROTTLE_MOST_MS HOURS_MS(24)

struct verdict {
    int64_t first, last;  // codes
    int64_t subcode;
    enum outcome_kind kind;
    const char *meaning;
};

// The first row that fits.
static const struct verdict verdicts[] = {
    {4, 4, ANY_SUBCODE, OUTCOME_THROTTLED, "application throttled"},
    {17, 17, ANY_SUBCODE, OUTCOME_THROTTLED, "account throttled"},
    {32, 32, ANY_SUBCODE, OUTCOME_THROTTLED, "page throttled"},
    {341, 341, ANY_SUBCODE, OUTCOME_THROTTLED, "application limit reached"},
    {613, 613, ANY_SUBCODE, OUTCOME_THROTTLED, "rate limit reached"},
    {80000, 80014, ANY_SUBCODE, OUTCOME_THROTTLED, "business use case throttled"},

    {1, 1, ANY_SUBCODE, OUTCOME_RETRY, "unknown trouble at Meta"},
    {2, 2, ANY_SUBCODE, OUTCOME_RETRY, "Meta is temporarily down"},
    {5000, 5000, ANY_SUBCODE, OUTCOME_RETRY, "unknown trouble at Meta"},
    {21009, 21009, ANY_SUBCODE, OUTCOME_RETRY, "data set is temporarily not ready"},
    {INT64_MIN, -1, ANY_SUBCODE, OUTCOME_RETRY, "temporary trouble at Meta"},

    {190, 190, ANY_SUBCODE, OUTCOME_PAUSE, "access token is not valid"},
    {102, 102, ANY_SUBCODE, OUTCOME_PAUSE, "session is not valid"},
    {104, 104, ANY_SUBCODE, OUTCOME_PAUSE, "appsecret_proof is wrong"},
    {3, 3, ANY_SUBCODE, OUTCOME_PAUSE, "application may not do this"},
    {10, 10, ANY_SUBCODE, OUTCOME_PAUSE, "permission denied"},
    {200, 299, ANY_SUBCODE, OUTCOME_PAUSE, "permission missing"},
    {368, 368, ANY_SUBCODE, OUTCOME_PAUSE, "temporarily blocked for a policy violation"},
    {803, 803, ANY_SUBCODE, OUTCOME_PAUSE, "pixel does not exist"},
    {2500, 2500, ANY_SUBCODE, OUTCOME_PAUSE, "unknown path: check base_url, api_version and pixel_id"},
    {100, 100, 33, OUTCOME_PAUSE, "pixel does not exist or the token may not use it"},

    {100, 100, 2804001, OUTCOME_REJECT, "click id badly formed"},
    {100, 100, 2804003, OUTCOME_REJECT, "event too old"},
    {100, 100, 2804009, OUTCOME_REJECT, "Purchase without value"},
    {100, 100, 2804010, OUTCOME_REJECT, "Purchase without currency"},
    {100, 100, 2804016, OUTCOME_REJECT, "a user parameter is not hashed"},
    {100, 100, 2804019, OUTCOME_REJECT, "a parameter is wrong, missing or unexpected"},
    {100, 100, 2804050, OUTCOME_REJECT, "too little identity"},
    {100, 100, ANY_SUBCODE, OUTCOME_REJECT, "a parameter is wrong"},
    {105, 105, ANY_SUBCODE, OUTCOME_REJECT, "too many parameters"},
};

// What the HTTP status says when there is no error code that does. An answer that is no JSON comes from somebody in between.
struct status_row {
    long first, last;
    enum outcome_kind json, other;
    const char *meaning;
};

static const struct status_row status_rows[] = {
    {429, 429, OUTCOME_THROTTLED, OUTCOME_THROTTLED, "throttled"},
    {408, 408, OUTCOME_RETRY, OUTCOME_RETRY, "timed out"},
    {500, 599, OUTCOME_RETRY, OUTCOME_RETRY, "trouble at Meta"},
    {401, 401, OUTCOME_PAUSE, OUTCOME_RETRY, "access token refused"},
    {403, 403, OUTCOME_PAUSE, OUTCOME_RETRY, "forbidden"},
    {404, 404, OUTCOME_PAUSE, OUTCOME_PAUSE, "unknown path: check base_url, api_version and pixel_id"},
    {300, 399, OUTCOME_PAUSE, OUTCOME_PAUSE, "redirected: check base_url"},
    {400, 499, OUTCOME_REJECT, OUTCOME_RETRY, "refused"},
    {0, 999, OUTCOME_RETRY, OUTCOME_RETRY, "not an answer of Meta's events edge"},
};

static int64_t number(const struct json *object, const char *key, int64_t otherwise) {
    int64_t n;
    return sv_i64(json_text(json_get(object, key)), &n) ? n : otherwise;
}

// X-Business-Use-Case-Usage: {"<id>":[{"estimated_time_to_regain_access": minutes, ...}]}
static int64_t regain_ms(struct arena *a, struct headers h) {
    struct json *usage;
    int64_t most = 0;
    struct sv text = headers_get(h, "X-Business-Use-Case-Usage");
    if (!sv_present(text) || json_parse(a, text, &usage, NULL) != RC_OK)
        return 0;
    JSON_EACH(account, usage) {
        JSON_EACH(row, account) {
            int64_t minutes = number(row, "estimated_time_to_regain_access", 0);
            most = minutes > most ? minutes : most;
        }
    }
    return most < THROTTLE_MOST_MS / MINUTES_MS(1) ? MINUTES_MS(most) : THROTTLE_MOST_MS;
}

static struct outcome throttle(struct arena *a, const struct answer *answer, int64_t unless_said_ms, struct sv reason, int64_t now_ms) {
    int64_t wait_ms = retry_after_ms(answer->headers, now_ms), regain = regain_ms(a, answer->headers);
    if (wait_ms < regain)
        wait_ms = regain;
    return (struct outcome){.kind = OUTCOME_THROTTLED, .reason = reason, .retry_after_ms = wait_ms > 0 ? wait_ms : unless_said_ms};
}

static struct outcome finish(struct arena *a, const struct answer *answer, enum outcome_kind kind, struct sv reason, int64_t now_ms) {
    if (kind == OUTCOME_THROTTLED)
        return throttle(a, answer, THROTTLE_PLAIN_MS, reason, now_ms);
    struct outcome outcome = {.kind = kind, .reason = reason};
    if (kind != OUTCOME_SENT && kind != OUTCOME_REJECT)
        outcome.retry_after_ms = retry_after_ms(answer->headers, now_ms);
    return outcome;
}

static const struct verdict *verdict_of(int64_t code, int64_t subcode) {
    for (size_t i = 0; i < COUNTOF(verdicts); i++) {
        const struct verdict *v = &verdicts[i];
        if (code >= v->first && code <= v->last && (v->subcode == ANY_SUBCODE || v->subcode == subcode))
            return v;
    }
    return NULL;
}

static struct outcome by_status(struct arena *a, const struct answer *answer, bool is_json, struct sv detail, int64_t now_ms) {
    size_t i = 0;
    while (i + 1 < COUNTOF(status_rows) && (answer->status < status_rows[i].first || answer->status > status_rows[i].last))
        i++;
    enum outcome_kind kind = is_json ? status_rows[i].json : status_rows[i].other;
    struct sv reason = arena_fmt(a, "%ld %s" SV_FMT "%s", answer->status, status_rows[i].meaning, SV_ARG(detail),
                                 is_json ? "" : " (not JSON)");
    return finish(a, answer, kind, reason, now_ms);
}

static struct outcome by_error(struct arena *a, const struct answer *answer, const struct json *error, int64_t now_ms) {
    int64_t code = number(error, "code", 0), subcode = number(error, "error_subcode", 0);
    const struct verdict *verdict = verdict_of(code, subcode);
    struct sv codes = subcode ? arena_fmt(a, "%lld/%lld", (long long)code, (long long)subcode) : arena_fmt(a, "%lld", (long long)code);
    bool throttled = answer->status == 429 || (verdict && verdict->kind == OUTCOME_THROTTLED);
    if (!throttled && json_is_true(json_get(error, "is_transient")))
        return finish(a, answer, OUTCOME_RETRY, arena_fmt(a, SV_FMT " temporary trouble at Meta", SV_ARG(codes)), now_ms);
    // The one text that counts: code 100 without a subcode stands for a wrong field and for a missing permission.
    if (code == 100 && !subcode && sv_contains_nocase(json_str(error, "message"), SV("missing permission")))
        return finish(a, answer, OUTCOME_PAUSE, SV("100 permission missing"), now_ms);
    if (!verdict)
        return by_status(a, answer, true, arena_fmt(a, ", code " SV_FMT, SV_ARG(codes)), now_ms);
    struct sv reason = arena_fmt(a, SV_FMT " %s", SV_ARG(codes), verdict->meaning);
    return throttled ? throttle(a, answer, THROTTLE_MS, reason, now_ms) : finish(a, answer, verdict->kind, reason, now_ms);
}

// Sent is only what Meta counts: 200 with an error, or with another number of events than the one that was sent, is not.
struct outcome meta_outcome(struct arena *a, const struct answer *answer, int64_t now_ms) {
    struct json *json = NULL;
    if (answer->status == 0)
        return finish(a, answer, OUTCOME_RETRY, sv_first(answer->transport_error, SV("no answer")), now_ms);
    bool is_json = json_parse(a, answer->body, &json, NULL) == RC_OK && json_is_object(json);
    if (!is_json)
        return by_status(a, answer, false, SV_NONE, now_ms);
    if (json_get(json, "error"))
        return by_error(a, answer, json_get(json, "error"), now_ms);
    if (answer->status < 200 || answer->status > 299)
        return by_status(a, answer, true, SV_NONE, now_ms);
    if (number(json, "events_received", -1) != 1)
        return finish(a, answer, OUTCOME_RETRY, arena_fmt(a, "%ld but not one event received", answer->status), now_ms);
    return finish(a, answer, OUTCOME_SENT, arena_fmt(a, "%ld", answer->status), now_ms);
}
