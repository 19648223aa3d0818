#include "base/failpoint.h"

#ifdef FAILPOINTS

#include "base/sv.h"

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
    fprintf(stderr, "failpoint %s\n", here);
    kill(getpid(), signal_number);
}

void failpoint_reached(const char *group, const char *name) {
    static int crashes, stops;
    act("FO_CRASH_AT", SIGKILL, &crashes, group, name);
    act("FO_STOP_AT", SIGSTOP, &stops, group, name);
}

#endif
