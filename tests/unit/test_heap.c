// What is given back to the system.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/crypto.h"
#include "base/heap.h"

#include <stdio.h>

// file_kb: pages of files that are mapped here, in KB.
static long file_kb(void) {
    char line[200];
    long kb = -1;
    FILE *f = fopen("/proc/self/status", "r");
    assert_non_null(f);
    while (kb < 0 && fgets(line, sizeof line, f))
        if (sscanf(line, "RssFile: %ld", &kb) != 1)
            kb = -1;
    fclose(f);
    return kb;
}

// The libraries go on working with what comes back from their files.
static void libraries_start_afresh(void **state) {
    (void)state;
    struct digest before = sha256(SV("abc"));
    long kb = file_kb();
    heap_forget_start();
    assert_in_range(file_kb(), 0, kb - 500);
    struct digest after = sha256(SV("abc"));
    assert_true(digest_eq(&before, &after));
    uint64_t a = 0, b = 0;
    random_bytes(&a, sizeof a);
    random_bytes(&b, sizeof b);
    assert_true(a != b);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(libraries_start_afresh)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
