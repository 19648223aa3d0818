// clock.c: a wall clock that a test can move. Preloaded into the program, it adds the milliseconds that stand in the file $MOVED_CLOCK
// (8 bytes, which may change at any time). Durations, which the program takes from the monotonic clock, go on as they are.
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static const volatile int64_t *moved_ms;

__attribute__((constructor)) static void open_file(void) {
    const char *name = getenv("MOVED_CLOCK");
    int fd = name ? open(name, O_RDONLY) : -1;
    void *file = mmap(NULL, sizeof *moved_ms, PROT_READ, MAP_SHARED, fd, 0);
    if (file == MAP_FAILED)
        abort();
    close(fd);
    moved_ms = file;
}

int clock_gettime(clockid_t id, struct timespec *t) {
    int rc = (int)syscall(SYS_clock_gettime, id, t);
    if (rc != 0 || id != CLOCK_REALTIME || !moved_ms)
        return rc;
    int64_t ns = t->tv_nsec + *moved_ms % 1000 * 1000000;
    t->tv_sec += (time_t)(*moved_ms / 1000 + ns / 1000000000);
    t->tv_nsec = (long)(ns % 1000000000);
    return 0;
}
