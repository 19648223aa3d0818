// config_file.c: the configuration from its file.
#include "base/file.h"
#include "server/config/config.h"

#define CONFIG_FILE_LIMIT ((size_t)1 << 20)

enum rc config_load(const char *file, struct config **ret, struct buf *faults, struct err *e) {
    *ret = NULL;
    struct arena scratch;
    struct sv bytes;
    struct err own;
    arena_init(&scratch, CONFIG_FILE_LIMIT + 4096);
    enum rc rc = file_read(&scratch, file, CONFIG_FILE_LIMIT, &bytes, &own);
    if (rc == RC_OK) {
        rc = config_parse(bytes, file, ret, faults, e);
    } else {
        buf_fmt(faults, "%s\n", own.text);
        rc = err_set(e, rc, "%s", own.text);
    }
    arena_free(&scratch);
    return rc;
}
