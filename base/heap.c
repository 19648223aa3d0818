// heap.c: settings of glibc's malloc, and its trim. Another libc keeps its own ways.
#include "base/heap.h"

#include <link.h>
#include <malloc.h>
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

// Only what cannot be written: such a page is what stands in the file. The program itself, which has no name here, keeps its own: a debugger's
// breakpoints may be in them, and it uses most of them anyway.
static int forget_library(struct dl_phdr_info *library, size_t size, void *ctx) {
    (void)size, (void)ctx;
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    for (size_t i = 0; library->dlpi_name[0] && i < library->dlpi_phnum; i++) {
        const ElfW(Phdr) *part = &library->dlpi_phdr[i];
        size_t before = part->p_vaddr % page;
        if (part->p_type == PT_LOAD && !(part->p_flags & PF_W))
            madvise((char *)library->dlpi_addr + part->p_vaddr - before, before + part->p_memsz, MADV_DONTNEED);
    }
    return 0;
}

void heap_forget_start(void) {
    dl_iterate_phdr(forget_library, NULL);
}
