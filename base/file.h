// file.h: whole files.
#ifndef BASE_FILE_H
#define BASE_FILE_H

#include "base/arena.h"
#include "base/err.h"

// file_read: a whole regular file, at most limit bytes. RC_NOT_FOUND, RC_TOO_LARGE, RC_IO.
MUST_CHECK enum rc file_read(struct arena *a, const char *path, size_t limit, struct sv *ret, struct err *e);

#endif
