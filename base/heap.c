// heap.c: settings of glibc's malloc, and its trim. Another libc keeps its own ways.
#include "base/heap.h"

#include <inttypes.h>
#include <malloc.h>
#include <stdbool.h>
#include <stdio.h>
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

// heading: whether the line begins a mapping in smaps.
static bool heading(const char *line, struct mapping *ret) {
    char may[5], file[256];
    struct mapping m;
    int n = sscanf(line, "%" SCNxPTR "-%" SCNxPTR " %4s %*s %*s %*s %255s", &m.begin, &m.end, may, file);
    if (n < 3)
        return false;
    m.library = n == 4 && may[1] == '-' && strstr(file, ".so");
    *ret = m;
    return true;
}

// Only where no page is the process's own, be it by a relocation or by a breakpoint of whoever looks on: such pages are what stands in the
// file. The program itself keeps its own, as it uses most of them anyway.
void heap_forget_start(void) {
    char line[512];
    struct mapping m = {0};
    unsigned long own_kb;
    FILE *f = fopen("/proc/self/smaps", "re");
    while (f && fgets(line, sizeof line, f))
        if (!heading(line, &m) && m.library && sscanf(line, "Anonymous: %lu", &own_kb) == 1 && own_kb == 0)
            madvise((void *)m.begin, m.end - m.begin, MADV_DONTNEED);
    if (f)
        fclose(f);
}
