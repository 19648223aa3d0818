// destination.c: the order in which one event is sent, and what all answers have in common.
#include "base/clock.h"
#include "mapping/destination.h"

#include <stdio.h>

const struct destination *const destinations[] = {&destination_meta, &destination_klaviyo_profile, &destination_klaviyo, &destination_klaviyo_list};
const size_t destination_count = COUNTOF(destinations);

static const char *const months[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};

// "Sun, 06 Nov 1994 08:49:37 GMT" (RFC 9110); its two obsolete spellings are not read.
static bool http_date(struct sv s, int64_t *ret_ms) {
    char iso[32];
    if (s.n != 29 || !sv_is(sv_sub(s, 3, 2), ", ") || !sv_is(sv_sub(s, 25, 4), " GMT"))
        return false;
    for (int month = 0; month < (int)COUNTOF(months); month++) {
        if (!sv_is(sv_sub(s, 8, 3), months[month]))
            continue;
        snprintf(iso, sizeof iso, "%.4s-%02d-%.2sT%.8sZ", s.p + 12, month + 1, s.p + 5, s.p + 17);
        return time_parse(sv_of(iso), 0, ret_ms);
    }
    return false;
}

int64_t retry_after_ms(struct headers h, int64_t now_ms) {
    struct sv text = headers_get(h, "Retry-After");
    int64_t seconds, date_ms, wait_ms;
    if (sv_i64(text, &seconds) && text.p[0] != '-')
        wait_ms = seconds < 3600 ? SECONDS_MS(seconds) : HOURS_MS(1);
    else if (http_date(text, &date_ms))
        wait_ms = date_ms - now_ms;
    else
        return 0;
    return wait_ms < SECONDS_MS(1) ? SECONDS_MS(1) : wait_ms > HOURS_MS(1) ? HOURS_MS(1) : wait_ms;
}
