// What a destination answers. Input: a line with the status, header lines, an empty line, the body.
// The outcome is one of those that there are, with a reason unless it was sent, in which no address, number or mark-up of the answer's
// texts can stand; a wait is within its limits; and a body without what it was refused for is JSON that cannot be amended again.
#include "base/clock.h"
#include "mapping/destination.h"
#include "tests/fuzz/fuzz.h"

#include <string.h>

static void check_outcome(struct arena *a, const struct destination *to, const struct answer *answer) {
    struct outcome o = to->outcome(a, answer, NOW_MS), again = to->outcome(a, answer, NOW_MS);
    CHECK(o.kind <= OUTCOME_REJECT && o.kind == again.kind && sv_eq(o.reason, again.reason));
    CHECK(o.kind == OUTCOME_SENT || sv_present(o.reason));
    CHECK(o.retry_after_ms >= 0 && o.retry_after_ms <= DAYS_MS(1));
    CHECK(o.reason.n < 400);
    for (size_t i = 0; i < o.reason.n; i++)
        CHECK((unsigned char)o.reason.p[i] >= ' ' && !strchr("@+\"<", o.reason.p[i]));
    if (to->amend && sv_present(answer->body)) {
        struct sv amended = to->amend(a, answer->body);
        if (amended.p) {
            (void)checked_json(a, amended);
            CHECK(!to->amend(a, amended).p);
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct arena a;
    struct header headers[HEADERS_MOST];
    struct sv rest = input_of(data, size), line = first_line(&rest);
    struct answer answer = {0};
    int64_t status;
    arena_init(&a, MEMORY);
    answer.status = sv_i64(sv_trim(line), &status) && status >= 100 && status <= 999 ? (long)status : (long)choice(line, 600);
    answer.headers = head_read(&rest, headers);
    answer.body = rest;
    if (answer.status < 100) {
        answer.status = 0;
        answer.transport_error = SV("connection refused");
    }
    for (size_t i = 0; i < destination_count; i++)
        check_outcome(&a, destinations[i], &answer);
    int64_t wait_ms = retry_after_ms(answer.headers, NOW_MS);
    CHECK(wait_ms == 0 || (wait_ms >= SECONDS_MS(1) && wait_ms <= HOURS_MS(1)));
    arena_free(&a);
    return 0;
}
