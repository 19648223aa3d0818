// heap.h: how malloc deals with the system. What is freed stays with the process for the moment, because it is wanted again in the
// next millisecond, and taking it from the system anew costs a page fault for each 4 KB; once in a while all that is free goes back.
// And as many arenas as there are cores, where glibc would make eight for each, which all keep what a crowd once took.
#ifndef BASE_HEAP_H
#define BASE_HEAP_H

void heap_keep(void);       // before there are threads
void heap_give_back(void);  // from any thread
// heap_forget_start: what the start touched of the libraries' code and constants is taken out of the process; what is used again comes back
// from the file, 64 KB at a time.
void heap_forget_start(void);

#endif
