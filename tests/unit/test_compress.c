// zstd frames: what goes in comes out, and no frame makes us take more memory than allowed.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/compress.h"
#include "base/crypto.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

static struct arena arena;
static struct usual *usual;

static int set_up(void **state) {
    (void)state;
    arena_init(&arena, (size_t)32 << 20);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    arena_free(&arena);
    return 0;
}

static struct sv repeated(const char *text, size_t times) {
    size_t n = strlen(text);
    char *p = arena_alloc(&arena, n * times + 1);
    for (size_t i = 0; i < times; i++)
        memcpy(p + n * i, text, n);
    return (struct sv){p, n * times};
}

static struct sv file(const char *path) {
    char *p = arena_alloc(&arena, 1 << 16);
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    size_t n = fread(p, 1, 1 << 16, f);
    fclose(f);
    return (struct sv){p, n};
}

static int learn(void **state) {
    set_up(state);
    usual = usual_new(file(SOURCE_DIR "/server/store/usual_1.txt"));
    return tear_down(state);
}

static int forget(void **state) {
    (void)state;
    usual_free(usual);
    return 0;
}

static void round_trip(void **state) {
    (void)state;
    char every_byte[256];
    for (size_t i = 0; i < sizeof every_byte; i++)
        every_byte[i] = (char)i;
    const struct sv plains[] = {SV(""), SV_NONE, SV("a"), {every_byte, sizeof every_byte}, repeated("{\"id\":820982911946154508},", 400000)};
    for (size_t i = 0; i < COUNTOF(plains); i++) {
        struct sv packed = compress(&arena, usual, plains[i]), back;
        assert_int_equal(decompress(&arena, usual, packed, plains[i].n, &back, NULL), RC_OK);
        assert_int_equal(back.n, plains[i].n);
        assert_non_null(back.p);
        if (back.n)
            assert_memory_equal(back.p, plains[i].p, back.n);
    }
    size_t used = arena.used;
    struct sv packed = compress(&arena, usual, plains[4]);
    assert_true(packed.n < plains[4].n / 100);
    assert_true(arena.used - used < 2 * packed.n);  // of the room for the worst case
}

static void bomb_takes_no_memory(void **state) {
    (void)state;
    struct sv packed = compress(&arena, usual, repeated("0123456789", 1000000)), back;
    size_t used = arena.used;
    struct err e = {0};
    assert_int_equal(decompress(&arena, usual, packed, 9999999, &back, &e), RC_TOO_LARGE);
    assert_non_null(strstr(e.text, "10000000"));
    assert_null(back.p);
    assert_int_equal(arena.used, used);
    assert_int_equal(decompress(&arena, usual, packed, 10000000, &back, &e), RC_OK);

    // A head that claims 2^60 bytes and has an 8-byte size field.
    static const struct sv claim = SV("\x28\xb5\x2f\xfd\xe0\0\0\0\0\0\0\0\x10\x01\0\0");
    used = arena.used;
    assert_int_equal(decompress(&arena, usual, claim, (size_t)16 << 20, &back, &e), RC_TOO_LARGE);
    assert_int_equal(arena.used, used);
}

static void over_the_arena_is_an_error(void **state) {
    (void)state;
    struct sv packed = compress(&arena, usual, repeated("0123456789", 1000)), back;
    struct arena small;
    arena_init(&small, 100);
    assert_int_equal(decompress(&small, usual, packed, 1 << 20, &back, NULL), RC_TOO_LARGE);
    assert_null(back.p);
    arena_free(&small);
}

static void assert_refused(struct sv packed) {
    struct sv back;
    struct err e = {0};
    assert_int_equal(decompress(&arena, usual, packed, 1 << 20, &back, &e), RC_INVALID);
    assert_null(back.p);
    assert_true(e.text[0] != '\0');
}

static void damaged_frames_are_refused(void **state) {
    (void)state;
    struct sv packed = compress(&arena, usual, SV("{\"id\":1,\"id2\":1,\"id3\":1}"));
    for (size_t n = 0; n < packed.n; n++)
        assert_refused(sv_sub(packed, 0, n));
    assert_refused(SV_NONE);
    assert_refused(SV("{\"id\":1}"));

    char twice[256];
    assert_true(packed.n * 2 <= sizeof twice);
    memcpy(twice, packed.p, packed.n);
    memcpy(twice + packed.n, packed.p, packed.n);
    assert_refused((struct sv){twice, packed.n * 2});
    assert_refused((struct sv){twice, packed.n + 1});

    // Frame of one raw block "a": once without its size in the head, once with a size (2) that is not true.
    assert_refused(SV("\x28\xb5\x2f\xfd\x00\x58\x09\x00\x00\x61"));
    assert_refused(SV("\x28\xb5\x2f\xfd\x20\x02\x09\x00\x00\x61"));
    struct sv back;
    assert_int_equal(decompress(&arena, usual, SV("\x28\xb5\x2f\xfd\x20\x01\x09\x00\x00\x61"), 1, &back, NULL), RC_OK);
    assert_true(sv_is(back, "a"));
}

// What is in stores was packed with this very text, and before it with none.
static void what_was_packed_stays_readable(void **state) {
    (void)state;
    static const struct sv before = SV("\x28\xb5\x2f\xfd\x60\x14\x04\x15\x01\x00\xd0\x7b\x22\x69\x64\x22\x3a\x38\x32\x30\x39\x38\x32\x39\x31\x31\x39\x34\x36\x31\x35\x34\x35\x30\x38\x7d\x2c\x01\x00\xde\xd3\xff\x1c\x03");
    struct sv back, plain = repeated("{\"id\":820982911946154508},", 50);
    assert_int_equal(decompress(&arena, usual, before, plain.n, &back, NULL), RC_OK);
    assert_true(sv_eq(back, plain));
    char hex[65] = "";
    struct digest text = sha256(file(SOURCE_DIR "/server/store/usual_1.txt"));
    hex_into(hex, text.b, sizeof text.b);
    assert_string_equal(hex, "6b2b5d6cf68e98773a3d911f4cbe7ed451f26f5dca899899047b4db54340aebc");
}

static void a_webhook_says_what_is_usual(void **state) {
    (void)state;
    struct sv order = file(SOURCE_DIR "/fixtures/shopify/orders/create/with_fbp_fbc/request.json"), back;
    const struct sv packs[] = {compress(&arena, usual, order), compress_quickly(&arena, usual, order)};
    assert_true(packs[0].n * 4 < order.n);  // 30 % without
    for (size_t i = 0; i < COUNTOF(packs); i++) {
        assert_int_equal(decompress(&arena, usual, packs[i], order.n, &back, NULL), RC_OK);
        assert_true(sv_eq(back, order));
        assert_refused(sv_sub(packs[i], 0, packs[i].n - 1));
        assert_refused(sv_sub(packs[i], 0, 1));
        assert_int_equal(decompress(&arena, usual, packs[i], order.n - 1, &back, NULL), RC_TOO_LARGE);
    }
}

static void with_a_text_and_with_none(void **state) {
    (void)state;
    struct sv order = file(SOURCE_DIR "/fixtures/shopify/orders/create/with_fbp_fbc/request.json"), back;
    struct sv with = compress(&arena, usual, order), without = compress(&arena, NULL, order);
    assert_true(with.n < without.n);
    assert_int_equal(decompress(&arena, usual, without, order.n, &back, NULL), RC_OK);
    assert_true(sv_eq(back, order));
    assert_int_equal(decompress(&arena, NULL, without, order.n, &back, NULL), RC_OK);
    assert_true(sv_eq(back, order));
    assert_int_equal(decompress(&arena, NULL, with, order.n, &back, NULL), RC_INVALID);
}

// More at once than contexts are kept, each frame after a damaged one.
static void *round_trips(void *fine) {
    struct arena own;
    arena_init(&own, (size_t)1 << 20);
    bool good = true;
    for (int i = 0; i < 50 && good; i++) {
        struct sv plain = arena_fmt(&own, "{\"id\":%d,\"at\":\"%p\"}", i, fine), back;
        struct sv packed = compress(&own, usual, plain);
        char *damaged = arena_cstr(&own, packed);
        damaged[packed.n - 1] ^= 0x40;
        (void)!decompress(&own, usual, (struct sv){damaged, packed.n}, 1 << 10, &back, NULL);
        good = decompress(&own, usual, packed, 1 << 10, &back, NULL) == RC_OK && sv_eq(back, plain);
        arena_reset(&own);
    }
    arena_free(&own);
    *(bool *)fine = good;
    return NULL;
}

static void many_threads_share_contexts(void **state) {
    (void)state;
    enum { THREADS = 12 };
    pthread_t threads[THREADS];
    bool fine[THREADS] = {false};
    for (size_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, round_trips, &fine[i]), 0);
    for (size_t i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        assert_true(fine[i]);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(round_trip, set_up, tear_down),
        cmocka_unit_test_setup_teardown(bomb_takes_no_memory, set_up, tear_down),
        cmocka_unit_test_setup_teardown(over_the_arena_is_an_error, set_up, tear_down),
        cmocka_unit_test_setup_teardown(damaged_frames_are_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_was_packed_stays_readable, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_webhook_says_what_is_usual, set_up, tear_down),
        cmocka_unit_test_setup_teardown(with_a_text_and_with_none, set_up, tear_down),
        cmocka_unit_test(many_threads_share_contexts),
    };
    return cmocka_run_group_tests_name("compress", tests, learn, forget);
}
