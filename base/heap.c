// heap.c: two settings of glibc's malloc, and its trim. Another libc keeps its own ways.
#include "base/heap.h"

#include <limits.h>
#include <malloc.h>

#define MAPPED_LEAST (1 << 20)  // what is larger has a mapping of its own, which ends with it

void heap_keep(void) {
#ifdef __GLIBC__
    mallopt(M_MMAP_THRESHOLD, MAPPED_LEAST);
    mallopt(M_TRIM_THRESHOLD, INT_MAX);
#endif
}

void heap_give_back(void) {
#ifdef __GLIBC__
    malloc_trim(0);
#endif
}
