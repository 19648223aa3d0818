// clock.c: reading clocks; times and durations from and to text. No libc calendar: its answers depend on the time zone.
#include "base/clock.h"

#include <time.h>

#define YEAR_FROM 1990
#define YEAR_TO 2200

static int64_t read_us(clockid_t id) {
    struct timespec now = {0};
    clock_gettime(id, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

int64_t clock_wall_ms(void) {
    return read_us(CLOCK_REALTIME) / 1000;
}

int64_t clock_mono_ms(void) {
    return read_us(CLOCK_MONOTONIC) / 1000;
}

int64_t clock_mono_us(void) {
    return read_us(CLOCK_MONOTONIC);
}

// The calendar below counts days from 1 March of the year 0: February comes last, so the leap day ends a year, and the
// months before it follow one pattern of 153 days in five. 719468 such days lie before 1970.
#define DAYS_TO_1970 719468
#define DAYS_IN_400_YEARS 146097

static int64_t days_of(int64_t year, int64_t month, int64_t day) {
    int64_t march_month = (month + 9) % 12;
    int64_t y = month <= 2 ? year - 1 : year;
    return y * 365 + y / 4 - y / 100 + y / 400 + (153 * march_month + 2) / 5 + day - 1 - DAYS_TO_1970;
}

struct date {
    int64_t year, month, day;
};

static int64_t floor_div(int64_t a, int64_t b) {
    return a / b - (a % b < 0);
}

static struct date date_of(int64_t days) {
    int64_t d = days + DAYS_TO_1970;
    int64_t era = floor_div(d, DAYS_IN_400_YEARS);
    d -= era * DAYS_IN_400_YEARS;
    int64_t y = (d - d / 1460 + d / 36524 - d / 146096) / 365;
    int64_t day_of_year = d - (y * 365 + y / 4 - y / 100);
    int64_t march_month = (5 * day_of_year + 2) / 153;
    int64_t month = march_month < 10 ? march_month + 3 : march_month - 9;
    return (struct date){
        .year = era * 400 + y + (month <= 2),
        .month = month,
        .day = day_of_year - (153 * march_month + 2) / 5 + 1,
    };
}

static int64_t days_in_month(int64_t year, int64_t month) {
    static const unsigned char days[] = {0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return days[month] + (month == 2 && leap);
}

static bool skip(struct sv *s, char c) {
    if (s->n == 0 || s->p[0] != c)
        return false;
    *s = sv_sub(*s, 1, s->n);
    return true;
}

static bool at_digit(struct sv s) {
    return s.n > 0 && s.p[0] >= '0' && s.p[0] <= '9';
}

// digits: exactly n of them, with a value from..to.
static bool digits(struct sv *s, size_t n, int64_t from, int64_t to, int64_t *ret) {
    *ret = 0;
    for (; n > 0; n--) {
        if (!at_digit(*s))
            return false;
        *ret = *ret * 10 + (s->p[0] - '0');
        *s = sv_sub(*s, 1, s->n);
    }
    return *ret >= from && *ret <= to;
}

static bool parse_date(struct sv *s, int64_t *ret_days) {
    int64_t year, month, day;
    if (!digits(s, 4, YEAR_FROM, YEAR_TO, &year) || !skip(s, '-') || !digits(s, 2, 1, 12, &month) || !skip(s, '-') ||
        !digits(s, 2, 1, days_in_month(year, month), &day))
        return false;
    *ret_days = days_of(year, month, day);
    return true;
}

// parse_fraction: of a second, 1 to 9 digits, cut to milliseconds.
static bool parse_fraction(struct sv *s, int64_t *ret_ms) {
    size_t n = 0;
    *ret_ms = 0;
    for (; at_digit(*s); n++) {
        int64_t digit = s->p[0] - '0';
        *ret_ms = n < 3 ? *ret_ms * 10 + digit : *ret_ms;
        *s = sv_sub(*s, 1, s->n);
    }
    for (size_t i = n; i < 3; i++)
        *ret_ms *= 10;
    return n >= 1 && n <= 9;
}

static bool parse_time_of_day(struct sv *s, int64_t *ret_ms) {
    int64_t hour, minute, second = 0, fraction = 0;
    if (!digits(s, 2, 0, 23, &hour) || !skip(s, ':') || !digits(s, 2, 0, 59, &minute))
        return false;
    if (skip(s, ':')) {
        if (!digits(s, 2, 0, 59, &second))
            return false;
        if (skip(s, '.') && !parse_fraction(s, &fraction))
            return false;
    }
    *ret_ms = HOURS_MS(hour) + MINUTES_MS(minute) + SECONDS_MS(second) + fraction;
    return true;
}

// parse_offset: 'Z', +hh:mm, +hhmm or +hh; nothing leaves *minutes as it is.
static bool parse_offset(struct sv *s, int64_t *minutes) {
    if (s->n == 0)
        return true;
    if (skip(s, 'Z') || skip(s, 'z')) {
        *minutes = 0;
        return true;
    }
    bool west = s->p[0] == '-';
    int64_t hour, minute = 0;
    if ((!skip(s, '+') && !skip(s, '-')) || !digits(s, 2, 0, 23, &hour))
        return false;
    if ((skip(s, ':') || s->n > 0) && !digits(s, 2, 0, 59, &minute))
        return false;
    *minutes = (west ? -1 : 1) * (hour * 60 + minute);
    return true;
}

bool time_parse(struct sv text, int default_offset_minutes, int64_t *ret_ms) {
    int64_t days, in_day = 0, offset = default_offset_minutes;
    if (!parse_date(&text, &days))
        return false;
    if (text.n > 0) {
        bool separated = skip(&text, 'T') || skip(&text, 't') || skip(&text, ' ');
        if (!separated || !parse_time_of_day(&text, &in_day) || !parse_offset(&text, &offset) || text.n > 0)
            return false;
    }
    *ret_ms = DAYS_MS(days) + in_day - MINUTES_MS(offset);
    return true;
}

static char *put_digits(char *at, int64_t n, int count, char after) {
    for (int i = count; i-- > 0; n /= 10)
        at[i] = (char)('0' + n % 10);
    at[count] = after;
    return at + count + 1;
}

// What lies outside of the years 0 to 9999 is told as the nearest moment that does not.
void time_iso_ms(char ret[TIME_ISO_ROOM], int64_t ms) {
    const int64_t least = INT64_C(-62167219200000), most = INT64_C(253402300799999);
    ms = ms < least ? least : ms > most ? most : ms;
    int64_t days = floor_div(ms, DAYS_MS(1)), rest = ms - days * DAYS_MS(1);
    struct date d = date_of(days);
    ret = put_digits(ret, d.year, 4, '-');
    ret = put_digits(ret, d.month, 2, '-');
    ret = put_digits(ret, d.day, 2, 'T');
    ret = put_digits(ret, rest / HOURS_MS(1), 2, ':');
    ret = put_digits(ret, rest / MINUTES_MS(1) % 60, 2, ':');
    ret = put_digits(ret, rest / 1000 % 60, 2, '.');
    *put_digits(ret, rest % 1000, 3, 'Z') = '\0';
}

struct sv time_iso(struct arena *a, int64_t ms) {
    char text[TIME_ISO_ROOM];
    time_iso_ms(text, ms);
    const size_t seconds = 19;  // what stands before the fraction
    text[seconds] = 'Z';
    return arena_dup(a, (struct sv){text, seconds + 1});
}

static const struct unit {
    const char *name;
    int64_t ms;
} units[] = {
    {"ms", 1}, {"s", SECONDS_MS(1)}, {"m", MINUTES_MS(1)}, {"h", HOURS_MS(1)}, {"d", DAYS_MS(1)},
};

bool duration_parse(struct sv text, int64_t *ret_ms) {
    size_t n = 0;
    while (at_digit(sv_sub(text, n, 1)))
        n++;
    int64_t count;
    if (!sv_i64(sv_sub(text, 0, n), &count))
        return false;
    for (size_t i = 0; i < COUNTOF(units); i++)
        if (sv_is(sv_sub(text, n, text.n), units[i].name))
            return !__builtin_mul_overflow(count, units[i].ms, ret_ms);
    return false;
}
