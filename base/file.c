// file.c: reading files.
#include "base/file.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static void close_file(FILE **f) {
    if (*f)
        fclose(*f);
}

enum rc file_read(struct arena *a, const char *path, size_t limit, struct sv *ret, struct err *e) {
    CLEANUP(close_file) FILE *f = fopen(path, "rb");
    if (!f)
        return err_set(e, errno == ENOENT ? RC_NOT_FOUND : RC_IO, "%s: %s", path, strerror(errno));
    struct stat st;
    if (fstat(fileno(f), &st) != 0 || !S_ISREG(st.st_mode))
        return err_set(e, RC_IO, "%s: not a regular file", path);
    if ((size_t)st.st_size > limit)
        return err_set(e, RC_TOO_LARGE, "%s: larger than %zu bytes", path, limit);
    char *bytes = arena_alloc(a, (size_t)st.st_size + 1);
    size_t n = fread(bytes, 1, (size_t)st.st_size, f);
    if (ferror(f))
        return err_set(e, RC_IO, "%s: cannot be read", path);
    *ret = (struct sv){bytes, n};
    return RC_OK;
}
