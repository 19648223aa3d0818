// err.c: filling and prefixing error texts.
#include "base/err.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum rc err_set(struct err *e, enum rc code, const char *fmt, ...) {
    if (!e)
        return code;
    // Formatted aside, because an argument may be e->text itself.
    char text[sizeof e->text] = "";
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    e->code = code;
    memcpy(e->text, text, sizeof text);
    return code;
}

// Without an err there is no code to hand back: a caller that needs the code keeps its own rc.
enum rc err_wrap(struct err *e, const char *fmt, ...) {
    if (!e)
        return RC_IO;
    char text[sizeof e->text] = "";
    va_list args;
    va_start(args, fmt);
    int written = vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    size_t n = written < 0 ? 0 : (size_t)written;
    if (n + 2 < sizeof text)
        snprintf(text + n, sizeof text - n, ": %.*s", (int)(sizeof text - n - 3), e->text);
    memcpy(e->text, text, sizeof text);
    return e->code;
}
