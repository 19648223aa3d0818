// failpoint.h: named places at which tests end the process (-DFAILPOINTS); without that they are nothing.
//   FO_CRASH_AT=name[:nth]  SIGKILL at the nth time (1) that the place is reached: what a crash or power button does
//   FO_STOP_AT=name[:nth]   SIGSTOP there: what a machine that hangs does to a lease
//   FO_ONCE=file            of several processes only the one that makes that file first
// The line "failpoint NAME" goes to standard error before, so that a test knows that the place was reached.
// tests/chaos/points.py tells what each place is and how it is reached; a test compares the two.
#ifndef BASE_FAILPOINT_H
#define BASE_FAILPOINT_H

#ifdef FAILPOINTS
void failpoint_reached(const char *group, const char *name);  // "group.name", or name when group is ""; any thread
#define FAILPOINT(name) failpoint_reached("", name)
#define FAILPOINT_OF(group, name) failpoint_reached(group, name)
#else
#define FAILPOINT(name) ((void)0)
#define FAILPOINT_OF(group, name) ((void)sizeof(group), (void)sizeof(name))
#endif

#endif
