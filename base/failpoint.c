#include "base/failpoint.h"

#ifdef FAILPOINTS

#include "base/sv.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static void act(const char *variable, int signal_number, int *times, const char *group, const char *name) {
    struct sv wanted = sv_of(getenv(variable)), place, number;
    char here[64];
    int64_t nth = 1;
    if (!wanted.p)
        return;
    snprintf(here, sizeof here, "%s%s%s", group, *group ? "." : "", name);
    if (sv_cut(wanted, ':', &place, &number) && !sv_i64(number, &nth))
        return;
    if (!sv_is(place, here) || __atomic_add_fetch(times, 1, __ATOMIC_SEQ_CST) != nth)
        return;
    const char *once = getenv("FO_ONCE");
    if (once && open(once, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600) < 0)
        return;
    fprintf(stderr, "failpoint %s\n", here);
    kill(getpid(), signal_number);
}

void failpoint_reached(const char *group, const char *name) {
    static int crashes, stops;
    act("FO_CRASH_AT", SIGKILL, &crashes, group, name);
    act("FO_STOP_AT", SIGSTOP, &stops, group, name);
}

#endif
