// faults.c: collecting faults; a reader who made many sees the first ones and how many there are.
#include "base/faults.h"

#include <stdarg.h>
#include <stdio.h>

#define WORD_SHOWN 48

void fault(struct faults *f, const struct yaml *node, const char *fmt, ...) {
    if (++f->count > FAULTS_SHOWN)
        return;
    struct err e;
    va_list args;
    va_start(args, fmt);
    vsnprintf(e.text, sizeof e.text, fmt, args);
    va_end(args);
    buf_fmt(f->out, "%s:%zu: %s\n", node->file, node->line, e.text);
}

void fault_placed(struct faults *f, const struct err *e) {
    if (++f->count <= FAULTS_SHOWN)
        buf_fmt(f->out, "%s\n", e->text);
}

const char *shown_word(struct arena *a, struct sv word) {
    size_t n = word.n;
    if (n > WORD_SHOWN)
        for (n = WORD_SHOWN; n > 0 && ((unsigned char)word.p[n] & 0xc0) == 0x80;)
            n--;  // not through the middle of a character
    char *copy = arena_cstr(a, sv_sub(word, 0, n));
    for (char *c = copy; *c; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7f)
            *c = '?';
        else if ((unsigned char)*c == 0xc2 && (unsigned char)c[1] >= 0x80 && (unsigned char)c[1] < 0xa0)
            c[0] = c[1] = '?';  // the control characters beyond ASCII
    return copy;
}
