// The window on a file against a plain array of bytes: whatever is written, read, settled and cut, in any order, and however the file fails.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/crypto.h"
#include "server/store/sqlite/write_window.h"

#include <stdlib.h>
#include <string.h>

#define MOST 400
enum { ROOM = 100, PIECE_MOST = 130, STEPS = 200000, FAILED = 7, SHORT = 8 };

// A file in memory. A write that fails may have written a part.
struct file {
    unsigned char bytes[MOST];
    size_t size;
    unsigned *dice;
    int fail_each;  // about one of so many operations fails; 0: none
    int reads, writes;
    bool failed;    // the last write did
};

static bool fails(const struct file *f) {
    return f->fail_each != 0 && rand_r(f->dice) % f->fail_each == 0;
}

static int file_read(void *ctx, void *out, size_t n, int64_t at) {
    struct file *f = ctx;
    f->reads++;
    if (fails(f))
        return FAILED;
    size_t there = (size_t)at >= f->size ? 0 : f->size - (size_t)at < n ? f->size - (size_t)at : n;
    memset(out, 0, n);
    if (there > 0)
        memcpy(out, f->bytes + at, there);
    return there < n ? SHORT : 0;
}

static int file_write(void *ctx, const void *bytes, size_t n, int64_t at) {
    struct file *f = ctx;
    f->writes++;
    assert_true(n > 0 && (size_t)at + n <= MOST);
    bool bad = f->failed = fails(f);
    size_t done = bad ? (size_t)rand_r(f->dice) % n : n;
    memcpy(f->bytes + at, bytes, done);
    if (done > 0 && (size_t)at + done > f->size)
        f->size = (size_t)at + done;
    return bad ? FAILED : 0;
}

// What a plain file would hold, and of each byte whether it has to be in the file, or may not be, or whether nobody knows what is there.
struct plain {
    unsigned char bytes[MOST];
    enum { UNWRITTEN, WRITTEN, LOST } state[MOST];
    size_t size;
};

struct world {
    unsigned dice;
    struct file file;
    struct window window;
    struct plain plain;
};

static struct world *make_world(unsigned seed, int fail_each) {
    struct world *w = calloc(1, sizeof *w);
    w->dice = seed;
    w->file.dice = &w->dice;
    w->file.fail_each = fail_each;
    window_begin(&w->window, (struct window_file){file_read, file_write, &w->file}, ROOM);
    return w;
}

static void free_world(struct world *w) {
    window_end(&w->window);
    free(w);
}

static size_t draw(struct world *w, size_t below) {
    return (size_t)rand_r(&w->dice) % below;
}

// settled: all was written, or the write failed: what it was about is from now on what the file holds, whatever that is.
static void settled(struct world *w, int code) {
    for (size_t i = 0; i < MOST; i++)
        if (w->plain.state[i] == UNWRITTEN)
            w->plain.state[i] = code == FAILED ? LOST : WRITTEN;
}

// A write of ours is where the last ended, mostly, as those of a log are.
static void write_some(struct world *w) {
    unsigned char bytes[PIECE_MOST];
    size_t n = 1 + (draw(w, 8) ? draw(w, 30) : draw(w, PIECE_MOST)), at = draw(w, 3) ? w->plain.size : draw(w, MOST);
    if (at + n > MOST)
        at = draw(w, 20);
    for (size_t i = 0; i < n; i++)
        bytes[i] = (unsigned char)rand_r(&w->dice);
    int writes = w->file.writes, code = window_write(&w->window, bytes, n, (int64_t)at);
    if (w->file.writes > writes)
        settled(w, code);
    for (size_t i = w->plain.size; i < at; i++)
        w->plain.bytes[i] = 0;
    memcpy(w->plain.bytes + at, bytes, n);
    for (size_t i = at; i < at + n; i++)
        w->plain.state[i] = code == 0 ? UNWRITTEN : LOST;
    w->plain.size = at + n > w->plain.size ? at + n : w->plain.size;
    assert_true(code == 0 || (code == FAILED && w->file.fail_each));
}

static bool equal(const struct world *w, const unsigned char *found, size_t at, size_t n) {
    for (size_t i = 0; i < n && at + i < w->plain.size; i++)
        if (found[i] != (w->plain.state[at + i] == LOST ? w->file.bytes : w->plain.bytes)[at + i])
            return false;
    return true;
}

static void read_some(struct world *w) {
    unsigned char found[PIECE_MOST];
    size_t n = 1 + draw(w, PIECE_MOST), at = draw(w, MOST - n + 1);
    int writes = w->file.writes, code = window_read(&w->window, found, n, (int64_t)at);
    if (w->file.writes > writes)
        settled(w, w->file.failed ? FAILED : 0);
    assert_true(code != FAILED || w->file.fail_each);
    if (code == FAILED)
        return;
    if (!w->file.fail_each)
        assert_int_equal(code, at + n > w->plain.size ? SHORT : 0);
    assert_true(equal(w, found, at, n));
}

static void settle(struct world *w) {
    int code = window_settle(&w->window);
    settled(w, code);
    assert_true(code == 0 || w->file.fail_each);
    assert_true(equal(w, w->file.bytes, 0, w->file.size));
    if (!w->file.fail_each)
        assert_int_equal(w->file.size, w->plain.size);
    assert_int_equal(window_settle(&w->window), 0);  // nothing is left to be written
}

static void cut(struct world *w) {
    settle(w);
    size_t size = draw(w, w->file.size + 1);
    window_forget(&w->window);
    w->file.size = size;
    w->plain.size = size;
    for (size_t i = size; i < MOST; i++)
        w->file.bytes[i] = w->plain.bytes[i] = 0, w->plain.state[i] = WRITTEN;
}

static void run(int fail_each) {
    unsigned seed;
    random_bytes(&seed, sizeof seed);
    print_message("seed %u\n", seed);
    struct world *w = make_world(seed, fail_each);
    for (int i = 0; i < STEPS; i++) {
        size_t what = draw(w, 40);
        if (what < 24)
            write_some(w);
        else if (what < 37)
            read_some(w);
        else if (what < 39)
            settle(w);
        else
            cut(w);
    }
    settle(w);
    free_world(w);
}

static void it_is_the_file(void **state) {
    (void)state;
    run(0);
}

static void a_failed_write_is_told_and_forgotten(void **state) {
    (void)state;
    run(5);
}

static void append(struct world *w, size_t n) {
    unsigned char bytes[ROOM] = {1, 2, 3};
    assert_int_equal(window_write(&w->window, bytes, n, (int64_t)w->plain.size), 0);
    w->plain.size += n;
}

static void what_is_appended_is_written_once_and_read_from_memory(void **state) {
    (void)state;
    struct world *w = make_world(1, 0);
    unsigned char found[ROOM];
    for (int i = 0; i < 10; i++)
        append(w, 7);
    assert_int_equal(w->file.writes, 0);
    assert_int_equal(window_settle(&w->window), 0);
    assert_int_equal(w->file.writes, 1);
    append(w, 7);
    assert_int_equal(window_settle(&w->window), 0);
    assert_int_equal(w->file.writes, 2);
    assert_int_equal(w->file.size, 77);
    assert_int_equal(window_read(&w->window, found, 77, 0), 0);
    assert_int_equal(w->file.reads, 0);
    assert_memory_equal(found, w->file.bytes, 77);
    append(w, 50);  // there is no room for that behind it
    append(w, 20);
    assert_int_equal(window_settle(&w->window), 0);
    assert_int_equal(w->file.writes, 3);
    free_world(w);
}

// As malloc does without sanitizers: it refuses, and does not end the program.
const char *__asan_default_options(void) {
    return "allocator_may_return_null=1";
}
const char *__tsan_default_options(void) {
    return "allocator_may_return_null=1";
}

static void without_memory_it_writes_at_once(void **state) {
    (void)state;
    struct world *w = make_world(1, 0);
    w->window.room = PTRDIFF_MAX;  // malloc refuses that
    append(w, 7);
    append(w, 7);
    assert_int_equal(w->file.writes, 2);
    assert_int_equal(w->file.size, 14);
    free_world(w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_is_the_file),
        cmocka_unit_test(a_failed_write_is_told_and_forgotten),
        cmocka_unit_test(what_is_appended_is_written_once_and_read_from_memory),
        cmocka_unit_test(without_memory_it_writes_at_once),
    };
    return cmocka_run_group_tests_name("write_window", tests, NULL, NULL);
}
