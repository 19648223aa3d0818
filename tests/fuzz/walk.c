// walk.c: a fuzz target over the files of folders, without a fuzzer: seeds and regressions in every run of the tests.
//   fuzz_X FOLDER...
#include "tests/fuzz/fuzz.h"

#include <dirent.h>
#include <string.h>

#define FILE_MOST ((size_t)16 << 20)

static int by_name(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

// The bytes have memory of just their size, so that reading beyond them is seen.
static void walk_file(const char *path) {
    FILE *f = fopen(path, "rb");
    uint8_t *all = malloc(FILE_MOST);
    if (!f || !all) {
        fprintf(stderr, "%s cannot be read\n", path);
        exit(1);
    }
    size_t n = fread(all, 1, FILE_MOST, f);
    uint8_t *bytes = malloc(n + (n == 0));
    memcpy(bytes, all, n);
    free(all);
    fclose(f);
    LLVMFuzzerTestOneInput(bytes, n);
    free(bytes);
}

static size_t walk(const char *folder) {
    char *names[4096], path[4096];
    size_t n = 0;
    DIR *d = opendir(folder);
    if (!d)
        return 0;  // a target without regressions
    for (struct dirent *entry; (entry = readdir(d)) != NULL;)
        if (entry->d_name[0] != '.' && n < COUNTOF(names))
            names[n++] = strdup(entry->d_name);
    closedir(d);
    qsort(names, n, sizeof names[0], by_name);
    for (size_t i = 0; i < n; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        fprintf(stderr, "%s\n", path);  // the last one is the one that failed
        walk_file(path);
        free(names[i]);
    }
    return n;
}

int main(int argc, char **argv) {
    size_t n = 0;
    for (int i = 1; i < argc; i++)
        n += walk(argv[i]);
    printf("%zu files\n", n);
    return n > 0 ? 0 : 1;
}
