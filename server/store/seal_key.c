#include "server/store/seal_key.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { TEXT_LEN = 44 };  // base64 of SEAL_KEY_LEN bytes

static enum rc read_key(const char *path, int fd, unsigned char *ret, struct err *e) {
    char got[TEXT_LEN + 8];
    ssize_t n = read(fd, got, sizeof got);
    if (n < 0)
        return err_set(e, RC_IO, "%s: it cannot be read: %s", path, strerror(errno));
    bool good = base64_bytes(sv_trim((struct sv){got, (size_t)n}), ret, SEAL_KEY_LEN);
    wipe(got, sizeof got);
    return good ? RC_OK : err_set(e, RC_INVALID, "%s: this is not a key (base64 of 32 bytes); put the right file back, or set seal_key", path);
}

static bool write_synced(const char *path, struct sv content) {
    unlink(path);  // half of one, from a start that was cut off
    int fd = open(path, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);
    if (fd < 0)
        return false;
    bool good = write(fd, content.p, content.n) == (ssize_t)content.n && fsync(fd) == 0;
    return close(fd) == 0 && good;
}

static bool sync_directory_of(struct arena *a, const char *path) {
    int fd = open(dirname(arena_cstr(a, sv_of(path))), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return false;
    bool good = fsync(fd) == 0;
    close(fd);
    return good;
}

// make_key: linking, not renaming: of two processes that start at once the first one's key stays, and both read that.
static bool make_key(struct arena *a, const char *path) {
    unsigned char key[SEAL_KEY_LEN];
    random_bytes(key, sizeof key);
    struct sv base64 = base64_of(a, (struct sv){(const char *)key, sizeof key});
    char line[TEXT_LEN + 1];
    memcpy(line, base64.p, TEXT_LEN);
    line[TEXT_LEN] = '\n';
    struct sv fresh = arena_fmt(a, "%s.%ld", path, (long)getpid());
    bool good = write_synced(fresh.p, (struct sv){line, sizeof line}) && (link(fresh.p, path) == 0 || errno == EEXIST) &&
                sync_directory_of(a, path);
    int why = errno;
    unlink(fresh.p);
    errno = why;
    wipe(key, sizeof key);
    wipe(line, sizeof line);
    wipe((char *)base64.p, base64.n);
    return good;
}

// A new key for old data would make all of it unreadable and every duplicate new, so it is asked for instead.
static bool has_data(const char *file) {
    struct stat st;
    return stat(file, &st) == 0 && st.st_size > 0;
}

enum rc seal_key_beside(const char *file, unsigned char ret[SEAL_KEY_LEN], struct err *e) {
    struct arena a;
    arena_init(&a, 1 << 16);
    const char *path = arena_fmt(&a, "%s.key", file).p;
    enum rc rc = RC_OK;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT && has_data(file))
        rc = err_set(e, RC_INVALID, "%s: missing, and %s was sealed with it; put it back, or set seal_key", path, file);
    else if (fd < 0 && errno == ENOENT && make_key(&a, path))
        fd = open(path, O_RDONLY | O_CLOEXEC);
    if (rc == RC_OK && fd < 0)
        rc = err_set(e, RC_IO, "%s: the key of the store cannot be read or made: %s", path, strerror(errno));
    if (rc == RC_OK)
        rc = read_key(path, fd, ret, e);
    if (fd >= 0)
        close(fd);
    arena_free(&a);
    return rc;
}
