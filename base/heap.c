// heap.c: settings of glibc's malloc, and its trim. Another libc keeps its own ways.
#include "base/heap.h"

#include <malloc.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define MAPPED_LEAST (1 << 20)  // what is larger has a mapping of its own, which ends with it
#define FREE_MOST (4 << 20)     // at the end of an arena: more goes back at once
#define ARENAS_LEAST 2

void heap_keep(void) {
#ifdef __GLIBC__
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    mallopt(M_ARENA_MAX, cores > ARENAS_LEAST ? (int)cores : ARENAS_LEAST);
    mallopt(M_MMAP_THRESHOLD, MAPPED_LEAST);
    mallopt(M_TRIM_THRESHOLD, FREE_MOST);
#endif
}

void heap_give_back(void) {
#ifdef __GLIBC__
    malloc_trim(0);
#endif
}

struct mapping {
    uintptr_t begin, end;
    bool library;  // of one, and cannot be written
};

// heading: whether the line begins a mapping in smaps: "BEGIN-END rwxp ... /lib/libname.so.1".
static bool heading(const char *line, struct mapping *ret) {
    char *at;
    uintptr_t begin = strtoull(line, &at, 16);
    if (at == line || *at != '-')
        return false;
    uintptr_t end = strtoull(at + 1, &at, 16);
    bool written = strncmp(at, " r-", 3) != 0 && strncmp(at, " --", 3) != 0;
    *ret = (struct mapping){begin, end, !written && strstr(at, ".so")};
    return true;
}

// Only where no page is the process's own, be it by a relocation or by a breakpoint of whoever looks on: such pages are what stands in the
// file. The program itself keeps its own, as it uses most of them anyway.
void heap_forget_start(void) {
    char line[512];
    struct mapping m = {0};
    static const char own[] = "Anonymous:";
    FILE *f = fopen("/proc/self/smaps", "re");
    while (f && fgets(line, sizeof line, f))
        if (!heading(line, &m) && m.library && strncmp(line, own, sizeof own - 1) == 0 && strtoul(line + sizeof own - 1, NULL, 10) == 0)
            madvise((void *)m.begin, m.end - m.begin, MADV_DONTNEED);
    if (f)
        fclose(f);
}
