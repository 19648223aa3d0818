// clock.h: time. Wall time is milliseconds since 1970 UTC, for facts and records; monotonic time only for durations here.
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include "base/arena.h"

#define SECONDS_MS(n) ((int64_t)(n) * 1000)
#define MINUTES_MS(n) ((int64_t)(n) * 60000)
#define HOURS_MS(n) ((int64_t)(n) * 3600000)
#define DAYS_MS(n) ((int64_t)(n) * 86400000)

int64_t clock_wall_ms(void);
int64_t clock_mono_ms(void);
int64_t clock_mono_us(void);

// time_parse: ISO 8601 date and time with 'Z', an offset or nothing (then default_offset_minutes applies), fractions to
// nanoseconds; or a date alone (midnight). Returns milliseconds; false on anything else or years outside 1990..2200.
bool time_parse(struct sv text, int default_offset_minutes, int64_t *ret_ms);
struct sv time_iso(struct arena *a, int64_t ms);  // "2026-11-21T10:00:00Z", seconds
#define TIME_ISO_ROOM 25
void time_iso_ms(char ret[TIME_ISO_ROOM], int64_t ms);  // "2026-11-21T10:00:00.123Z" and a NUL, without an arena

// duration_parse: "500ms", "10s", "15m", "24h", "60d"; false on anything else.
bool duration_parse(struct sv text, int64_t *ret_ms);

#endif
