// log.h: one line per happening on standard error: time, level, what, and key=value fields.
// Only server/ logs. Never a body, e-mail, phone, token or secret: fields are ids, codes, counts and error texts.
// Thread-safe: a line is one write.
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include "base/sv.h"

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };

void log_set_level(enum log_level least);  // at start only, before there are threads
void log_line(enum log_level level, const char *fmt, ...) PRINTF_LIKE(2, 3);  // control characters are escaped

// log_due: whether a line that would come many times a second is to be written now: once in ten seconds. last_ms: the caller's, shared by
// its threads, begins as 0.
bool log_due(int64_t *last_ms);

#define log_debug(...) log_line(LOG_DEBUG, __VA_ARGS__)
#define log_info(...) log_line(LOG_INFO, __VA_ARGS__)
#define log_warn(...) log_line(LOG_WARN, __VA_ARGS__)
#define log_error(...) log_line(LOG_ERROR, __VA_ARGS__)

#endif
