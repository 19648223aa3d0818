// Hashes, text forms, randomness and sealing against published vectors and against damage.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/crypto.h"

#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static struct arena arena;

static int set_up(void **state) {
    (void)state;
    arena_init(&arena, 1 << 20);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    arena_free(&arena);
    return 0;
}

static struct sv repeated(char c, size_t n) {
    char *p = arena_alloc(&arena, n + 1);
    memset(p, c, n);
    return (struct sv){p, n};
}

static void assert_hex(struct digest d, const char *expected) {
    char hex[2 * SHA256_LEN + 1];
    hex_into(hex, d.b, sizeof d.b);
    assert_string_equal(hex, expected);
}

static void sha256_matches_fips_180(void **state) {
    (void)state;
    assert_hex(sha256(SV("abc")), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    assert_hex(sha256(SV("")), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    assert_hex(sha256(SV_NONE), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    const struct sv parts[] = {SV("a"), SV(""), SV_NONE, SV("bc")};
    struct digest joined = sha256(SV("abc")), apart = sha256_parts(parts, COUNTOF(parts));
    assert_true(digest_eq(&joined, &apart));
}

// RFC 4231 cases 1, 2, 3, 6 and 7; then keys of exactly a block, one more, and none.
static void hmac_matches_rfc_4231(void **state) {
    (void)state;
    const struct {
        struct sv key, data;
        const char *expected;
    } cases[] = {
        {repeated(0x0b, 20), SV("Hi There"), "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"},
        {SV("Jefe"), SV("what do ya want for nothing?"), "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"},
        {repeated('\xaa', 20), repeated('\xdd', 50), "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe"},
        {repeated('\xaa', 131), SV("Test Using Larger Than Block-Size Key - Hash Key First"),
         "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"},
        {repeated('\xaa', 131),
         SV("This is a test using a larger than block-size key and a larger than block-size data. The key needs to be hashed "
            "before being used by the HMAC algorithm."),
         "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2"},
        {repeated('k', 64), SV(""), "83026a325aaee70e36cfe607536aa1054104ad1077c36134810d4ccded1ccd3b"},
        {repeated('k', 65), SV(""), "41f1c4cc3107cd5b8d92460f61032902bfdb06484eef17e861b83a5012d3b7f3"},
        {SV_NONE, SV_NONE, "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad"},
    };
    for (size_t i = 0; i < COUNTOF(cases); i++) {
        assert_hex(hmac_sha256(cases[i].key, &cases[i].data, 1), cases[i].expected);
        const struct sv halves[] = {sv_sub(cases[i].data, 0, 7), sv_sub(cases[i].data, 7, SIZE_MAX)};
        assert_hex(hmac_sha256(cases[i].key, halves, 2), cases[i].expected);
    }
}

// Signatures over bodies as Shopify sends them: base64 of the HMAC over the raw bytes.
static void hmac_verifies_shopify_signatures(void **state) {
    (void)state;
    static const struct {
        struct sv secret, body, signature;
    } cases[] = {
        {SV("hush"), SV("\"my secret message\""), SV("hMTq0K2x7oyOjoBwGYeTj5oxfnaVYXzbanUG9aajpKI=")},
        {SV("test_secret_key"), SV("{\"foo\": \"bar\"}"), SV("B23tXN681gZ0qIWNRrgtzBE9XSDo5yaUu6wfmhu3a7g=")},
    };
    for (size_t i = 0; i < COUNTOF(cases); i++) {
        struct digest computed = hmac_sha256(cases[i].secret, &cases[i].body, 1), sent;
        assert_true(base64_digest(cases[i].signature, &sent));
        assert_true(digest_eq(&computed, &sent));
        assert_true(sv_eq(base64_of(&arena, (struct sv){(const char *)computed.b, SHA256_LEN}), cases[i].signature));
        struct digest other = hmac_sha256(SV("hushh"), &cases[i].body, 1);
        assert_false(digest_eq(&other, &sent));
    }
}

static void comparison_sees_every_byte(void **state) {
    (void)state;
    struct digest a = sha256(SV("abc"));
    for (size_t i = 0; i < SHA256_LEN; i++) {
        struct digest b = a;
        assert_true(digest_eq(&a, &b));
        b.b[i] ^= 0x80;
        assert_false(digest_eq(&a, &b));
    }
    assert_true(bytes_eq(SV("token"), SV("token")));
    assert_true(bytes_eq(SV(""), SV("")));
    assert_false(bytes_eq(SV("token"), SV("tokeN")));
    assert_false(bytes_eq(SV("token"), SV("token2")));
    assert_false(bytes_eq(SV("token"), SV("")));
    assert_false(bytes_eq(SV_NONE, SV("")));
    assert_false(bytes_eq(SV_NONE, SV_NONE));
}

#define HEX64 "00ff10ABcdef0123456789abcdefABCDEF0123456789abcdef0123456789abcd"

static void hex_is_strict(void **state) {
    (void)state;
    struct digest d;
    assert_true(hex_digest(SV(HEX64), &d));
    assert_hex(d, "00ff10abcdef0123456789abcdefabcdef0123456789abcdef0123456789abcd");
    assert_true(sv_is(hex_of(&arena, d.b, 4), "00ff10ab"));
    assert_true(sv_is(hex_of(&arena, "", 0), ""));
    const struct sv wrong[] = {SV_NONE, SV(""), SV("00"), sv_sub(SV(HEX64), 0, 63), SV(HEX64 "0"), SV(HEX64 "00")};
    for (size_t i = 0; i < COUNTOF(wrong); i++)
        assert_false(hex_digest(wrong[i], &d));
    static const char not_hex[] = {'g', 'G', '/', ':', '@', '`', ' ', '\0', '\n', '-', (char)0xc3};
    for (size_t i = 0; i < 64; i++) {
        char text[65] = HEX64;
        text[i] = not_hex[i % sizeof not_hex];
        assert_false(hex_digest((struct sv){text, 64}, &d));
    }
}

// RFC 4648 section 10.
static void base64_matches_rfc_4648(void **state) {
    (void)state;
    static const struct {
        struct sv plain;
        const char *text;
    } cases[] = {
        {SV(""), ""},         {SV("f"), "Zg=="},         {SV("fo"), "Zm8="},         {SV("foo"), "Zm9v"},
        {SV("foob"), "Zm9vYg=="}, {SV("fooba"), "Zm9vYmE="}, {SV("foobar"), "Zm9vYmFy"}, {SV("\xfb\xff\xfe"), "+//+"},
    };
    for (size_t i = 0; i < COUNTOF(cases); i++) {
        unsigned char out[8];
        size_t n = cases[i].plain.n;
        assert_true(sv_is(base64_of(&arena, cases[i].plain), cases[i].text));
        assert_true(base64_bytes(sv_of(cases[i].text), out, n));
        assert_memory_equal(out, cases[i].plain.p, n);
        assert_false(base64_bytes(sv_of(cases[i].text), out, n + 1));
        if (n > 0)
            assert_false(base64_bytes(sv_of(cases[i].text), out, n - 1));
    }
}

static void base64_has_one_spelling(void **state) {
    (void)state;
    static const char *const wrong[] = {
        "hMTq0K2x7oyOjoBwGYeTj5oxfnaVYXzbanUG9aajpKI",       // no padding
        "hMTq0K2x7oyOjoBwGYeTj5oxfnaVYXzbanUG9aajpKI==",     // too long
        "hMTq0K2x7oyOjoBwGYeTj5oxfnaVYXzbanUG9aajpK==",      // 31 bytes
        "hMTq0K2x7oyOjoBwGYeTj5oxfnaVYXzbanUG9aajpKIA",      // 33 bytes
        "hMTq0K2x7oyOjoBwGYeTj5oxfnaVYXzbanUG9aajpKJ=",      // last bits not zero
        "hMTq0K2x7oyOjoBwGYeTj5oxfnaVYXzbanUG9aajpKL=",
        "hMTq0K2x7oyOjoBwGYeTj5oxfnaVYXzbanUG9aajp-I=",      // URL alphabet
        "hMTq0K2x7oyOjoBwGYeTj5oxfnaVYXzbanUG9aajp_I=",
        "hMTq0K2x7oyOjoBwGYeTj5oxfnaVYXzb=nUG9aajpKI=",      // padding inside
        "hMTq0K2x7oyOjoBwGYeTj5oxfnaVYXzbanUG9aajpK\n=",     // white space
        " MTq0K2x7oyOjoBwGYeTj5oxfnaVYXzbanUG9aajpKI=",
        "hMTq0K2x7oyOjoBwGYeTj5oxfnaVYXzbanUG9aajpKI=\n",
        "hMTq0K2x7oyOjoBwGYeTj5oxfnaVYXzbanUG9aajpKIA=",
        "",
    };
    struct digest d;
    for (size_t i = 0; i < COUNTOF(wrong); i++)
        assert_false(base64_digest(sv_of(wrong[i]), &d));
    assert_false(base64_digest(SV_NONE, &d));
    assert_false(base64_digest(SV("hMTq0K2x7oyOjoBwGYeTj5oxfnaVYXzbanUG9aajp\0I="), &d));
    unsigned char one;
    assert_true(base64_bytes(SV("Zg=="), &one, 1));
    assert_false(base64_bytes(SV("Zh=="), &one, 1));
    assert_false(base64_bytes(SV("Zo=="), &one, 1));
    assert_false(base64_bytes(SV("Zg=A"), &one, 1));
    assert_false(base64_bytes(SV("Zg="), &one, SIZE_MAX));
}

// RFC 5869 A.3 (no salt, no info; its first 32 bytes), and a label of our own computed with another implementation.
static void derived_keys_match_rfc_5869(void **state) {
    (void)state;
    assert_hex(derive_key(repeated(0x0b, 22), ""), "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d");
    char master[SEAL_KEY_LEN];
    for (size_t i = 0; i < sizeof master; i++)
        master[i] = (char)i;
    struct sv m = {master, sizeof master};
    assert_hex(derive_key(m, "body"), "a1fc5384a2f4cf9ec4af1ac0a4a3e1b01140da06678ea37c81dc5dfbc849ec3d");
    struct digest body = derive_key(m, "body"), lane = derive_key(m, "lane");
    assert_false(digest_eq(&body, &lane));
}

// ---- sealing

static void sealed_text_opens(void **state) {
    (void)state;
    struct digest key = derive_key(SV("master"), "seal");
    const struct sv plains[] = {SV(""), SV("x"), SV("{\"email\":\"ava@example.com\"}"), repeated('z', 100000)};
    const struct sv aads[] = {SV_NONE, SV("shop|body|17")};
    for (size_t i = 0; i < COUNTOF(plains) * COUNTOF(aads); i++) {
        struct sv plain = plains[i / 2], aad = aads[i % 2], opened;
        struct sv record = seal(&arena, &key, aad, plain), again = seal(&arena, &key, aad, plain);
        assert_int_equal(record.n, 1 + 12 + plain.n + 16);
        assert_int_equal(record.p[0], 1);
        assert_false(sv_eq(record, again));  // a fresh nonce each time
        assert_int_equal(open_sealed(&arena, &key, aad, record, &opened, NULL), RC_OK);
        assert_true(sv_eq(opened, plain));
    }
}

// The record layout is kept data: AES-256-GCM test case 14 of McGrew and Viega (zero key, zero nonce, 16 zero bytes).
static void sealed_layout_is_fixed(void **state) {
    (void)state;
    static const struct sv record = SV("\x01\0\0\0\0\0\0\0\0\0\0\0\0"
                                       "\xce\xa7\x40\x3d\x4d\x60\x6b\x6e\x07\x4e\xc5\xd3\xba\xf3\x9d\x18"
                                       "\xd0\xd1\xc8\xa7\x99\x99\x6b\xf0\x26\x5b\x98\xb5\xd4\x8a\xb9\x19");
    static const char zeros[16];
    static const struct digest key = {{0}};
    struct sv opened;
    assert_int_equal(open_sealed(&arena, &key, SV_NONE, record, &opened, NULL), RC_OK);
    assert_int_equal(opened.n, sizeof zeros);
    assert_memory_equal(opened.p, zeros, sizeof zeros);
}

static void assert_stays_shut(const struct digest *key, struct sv aad, struct sv record) {
    struct sv opened = SV("untouched");
    struct err e = {0};
    assert_int_equal(open_sealed(&arena, key, aad, record, &opened, &e), RC_DENIED);
    assert_null(opened.p);
    assert_int_equal(e.code, RC_DENIED);
    assert_null(strstr(e.text, "secret"));
}

static void damaged_record_stays_shut(void **state) {
    (void)state;
    struct digest key = derive_key(SV("master"), "seal"), other_key = derive_key(SV("master"), "seal2");
    struct sv aad = SV("acme|17"), record = seal(&arena, &key, aad, SV("a secret of a person"));
    for (size_t i = 0; i < record.n; i++) {
        for (int bit = 0; bit < 8; bit++) {
            char *damaged = arena_cstr(&arena, record);
            damaged[i] = (char)(damaged[i] ^ (1 << bit));
            assert_stays_shut(&key, aad, (struct sv){damaged, record.n});
        }
    }
    for (size_t n = 0; n < record.n; n++)
        assert_stays_shut(&key, aad, sv_sub(record, 0, n));
    assert_stays_shut(&key, aad, (struct sv){arena_cstr(&arena, record), record.n + 1});  // a byte (NUL) too many
    assert_stays_shut(&key, aad, SV_NONE);
    assert_stays_shut(&key, SV("acme|18"), record);
    assert_stays_shut(&key, SV("acme|1"), record);
    assert_stays_shut(&key, SV_NONE, record);
    assert_stays_shut(&other_key, aad, record);
}

// ---- randomness

static void random_stays_below(void **state) {
    (void)state;
    static const uint64_t limits[] = {1, 2, 3, 7, 60000, (uint64_t)1 << 32, ((uint64_t)1 << 63) + 1, UINT64_MAX};
    for (size_t i = 0; i < COUNTOF(limits); i++)
        for (int round = 0; round < 200; round++)
            assert_true(random_below(limits[i]) < limits[i]);
    assert_int_equal(random_below(0), 0);
    size_t seen[3] = {0};
    for (int round = 0; round < 3000; round++)
        seen[random_below(3)]++;
    for (size_t i = 0; i < COUNTOF(seen); i++)  // 1000 expected, standard deviation 26: a miss has odds below 1e-10
        assert_in_range(seen[i], 800, 1200);
}

static void random_bytes_differ(void **state) {
    (void)state;
    unsigned char a[32] = {0}, b[32] = {0};
    random_bytes(a, sizeof a);
    random_bytes(b, sizeof b);
    assert_memory_not_equal(a, b, sizeof a);
    wipe(a, sizeof a);
    for (size_t i = 0; i < sizeof a; i++)
        assert_int_equal(a[i], 0);
}

// Both have the same memory; the same nonce under one key would open what is sealed.
static void a_child_does_not_draw_what_its_parent_draws(void **state) {
    (void)state;
    unsigned char ours[12], theirs[12];
    int way[2];
    random_bytes(ours, sizeof ours);
    assert_int_equal(pipe(way), 0);
    pid_t pid = fork();
    if (pid == 0) {
        random_bytes(theirs, sizeof theirs);
        _exit(write(way[1], theirs, sizeof theirs) == (ssize_t)sizeof theirs ? 0 : 1);
    }
    random_bytes(ours, sizeof ours);
    assert_int_equal(read(way[0], theirs, sizeof theirs), sizeof theirs);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    close(way[0]);
    close(way[1]);
    assert_memory_not_equal(ours, theirs, sizeof ours);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(sha256_matches_fips_180, set_up, tear_down),
        cmocka_unit_test_setup_teardown(hmac_matches_rfc_4231, set_up, tear_down),
        cmocka_unit_test_setup_teardown(hmac_verifies_shopify_signatures, set_up, tear_down),
        cmocka_unit_test_setup_teardown(comparison_sees_every_byte, set_up, tear_down),
        cmocka_unit_test_setup_teardown(hex_is_strict, set_up, tear_down),
        cmocka_unit_test_setup_teardown(base64_matches_rfc_4648, set_up, tear_down),
        cmocka_unit_test_setup_teardown(base64_has_one_spelling, set_up, tear_down),
        cmocka_unit_test_setup_teardown(derived_keys_match_rfc_5869, set_up, tear_down),
        cmocka_unit_test_setup_teardown(sealed_text_opens, set_up, tear_down),
        cmocka_unit_test_setup_teardown(sealed_layout_is_fixed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(damaged_record_stays_shut, set_up, tear_down),
        cmocka_unit_test_setup_teardown(random_stays_below, set_up, tear_down),
        cmocka_unit_test_setup_teardown(random_bytes_differ, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_child_does_not_draw_what_its_parent_draws, set_up, tear_down),
    };
    return cmocka_run_group_tests_name("crypto", tests, NULL, NULL);
}
