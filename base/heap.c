// heap.c: settings of glibc's malloc, and its trim. Another libc keeps its own ways.
#include "base/heap.h"

#include <malloc.h>
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
