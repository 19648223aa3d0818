// faults.h: what is wrong with a file that people wrote, all of it at once: one line "FILE:LINE: text" a fault.
// Texts never hold values of the file that may be secret.
#ifndef BASE_FAULTS_H
#define BASE_FAULTS_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/yaml.h"

struct faults {
    struct buf *out;
    size_t count;         // all of them; only the first FAULTS_SHOWN are in out
};
#define FAULTS_SHOWN 50

// fault notes one at the place of node.
void fault(struct faults *f, const struct yaml *node, const char *fmt, ...) PRINTF_LIKE(3, 4);

// fault_placed notes an error whose text names file and line already.
void fault_placed(struct faults *f, const struct err *e);

// shown_word: a word of the file as it may be shown: short, and nothing in it that a terminal obeys.
const char *shown_word(struct arena *a, struct sv word);

#endif
