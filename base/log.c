// log.c: a line is built on the stack and written with one write(2).
#include "base/clock.h"
#include "base/json_lex.h"
#include "base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define DUE_EVERY_MS SECONDS_MS(10)
#define MESSAGE_MOST 2000
#define ESCAPED_MOST (MESSAGE_MOST * 4)  // \xNN is the longest escape of a byte
#define HEAD_MOST 64
#define END_MOST 8

static const char *const level_names[] = {
    [LOG_DEBUG] = "debug", [LOG_INFO] = "info", [LOG_WARN] = "warn", [LOG_ERROR] = "error",
};

// Set once before there are threads, only read afterwards.
static enum log_level least_level = LOG_INFO;

void log_set_level(enum log_level least) {
    least_level = least;
}

// is_control: of one well-formed character: also the C1 controls, which some terminals obey.
static bool is_control(const unsigned char *c, size_t length) {
    return (length == 1 && (*c < 0x20 || *c == 0x7F)) || (length == 2 && c[0] == 0xC2 && c[1] < 0xA0);
}

// put_escaped: what could forge a line or steer a terminal becomes \xNN; returns the length.
static size_t put_escaped(char *out, struct sv message) {
    size_t n = 0;
    while (message.n > 0) {
        size_t length = utf8_length(message);
        bool as_it_is = length > 0 && !is_control((const unsigned char *)message.p, length);
        if (length == 0)
            length = 1;
        for (size_t i = 0; i < length; i++) {
            if (as_it_is)
                out[n++] = message.p[i];
            else
                n += (size_t)snprintf(out + n, 5, "\\x%02X", (unsigned char)message.p[i]);
        }
        message = sv_sub(message, length, message.n);
    }
    return n;
}

// A log that cannot be written must not stop the work: errors other than an interruption are let go.
static void write_line(const char *line, size_t n) {
    while (n > 0) {
        ssize_t done = write(STDERR_FILENO, line, n);
        if (done < 0 && errno == EINTR)
            continue;
        if (done <= 0)
            return;
        line += done;
        n -= (size_t)done;
    }
}

bool log_due(int64_t *last_ms) {
    int64_t now_ms = clock_mono_ms(), last = __atomic_load_n(last_ms, __ATOMIC_RELAXED);
    return (last == 0 || now_ms - last >= DUE_EVERY_MS) &&
           __atomic_compare_exchange_n(last_ms, &last, now_ms, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED);
}

static void end_line(char *line, size_t n, bool cut) {
    char *end = cut ? mempcpy(line + n, " ...", 4) : line + n;
    *end++ = '\n';
    write_line(line, (size_t)(end - line));
}

// Apart, because so much room would be cleared for every line.
static void __attribute__((noinline)) write_escaped(const char *line, size_t head, size_t n, bool cut) {
    char escaped[HEAD_MOST + ESCAPED_MOST + END_MOST];
    memcpy(escaped, line, head);
    end_line(escaped, head + put_escaped(escaped + head, (struct sv){line + head, n - head}), cut);
}

void log_line(enum log_level level, const char *fmt, ...) {
    if (level < least_level)
        return;
    int saved_errno = errno;
    char line[HEAD_MOST + MESSAGE_MOST + END_MOST];
    time_iso_ms(line, clock_wall_ms());
    size_t head = strlen(line);
    head += (size_t)snprintf(line + head, HEAD_MOST - head, " %s ", level_names[level]);
    va_list args;
    va_start(args, fmt);
    int written = vsnprintf(line + head, MESSAGE_MOST + 1, fmt, args);
    va_end(args);

    bool cut = written > MESSAGE_MOST;
    size_t n = cut ? MESSAGE_MOST : written < 0 ? 0 : (size_t)written;
    if (plain_length((struct sv){line + head, n}) == n && !memchr(line + head, 0x7F, n))
        end_line(line, head + n, cut);
    else
        write_escaped(line, head, head + n, cut);
    errno = saved_errno;
}
