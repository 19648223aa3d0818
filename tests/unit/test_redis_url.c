// What of the Redis engine needs no server: its URLs, and what the errors of Redis mean.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "server/store/redis/redis_error.h"
#include "server/store/redis/redis_url.h"

// ---- URLs

static void test_good_urls(void **state) {
    (void)state;
    static const struct {
        const char *url;
        struct redis_host hosts[3];
        const char *master, *user, *password;
        int64_t db, min_replicas;
    } rows[] = {
        {.url = "redis://localhost", .hosts = {{"localhost", 6379}}},
        {.url = "redis://localhost/", .hosts = {{"localhost", 6379}}},
        {.url = "redis://10.0.0.1:6380/3", .hosts = {{"10.0.0.1", 6380}}, .db = 3},
        {.url = "redis://:secret@h", .hosts = {{"h", 6379}}, .password = "secret"},
        {.url = "redis://app:p%40s%3A%2f@h:1/2", .hosts = {{"h", 1}}, .user = "app", .password = "p@s:/", .db = 2},
        {.url = "redis://app:p@ss@h", .hosts = {{"h", 6379}}, .user = "app", .password = "p@ss"},
        {.url = "redis://:a?b@h?min_replicas=2", .hosts = {{"h", 6379}}, .password = "a?b", .min_replicas = 2},
        {.url = "redis://[::1]:7000/1", .hosts = {{"::1", 7000}}, .db = 1},
        {.url = "redis://[fe80::1]", .hosts = {{"fe80::1", 6379}}},
        {.url = "redis+sentinel://s1/mymaster", .hosts = {{"s1", 26379}}, .master = "mymaster"},
        {.url = "redis+sentinel://app:p%2Css@s1:1,[::1]:2,s3/my%2Fmaster/4?min_replicas=1", .hosts = {{"s1", 1}, {"::1", 2}, {"s3", 26379}},
         .master = "my/master", .user = "app", .password = "p,ss", .db = 4, .min_replicas = 1},
    };
    struct arena a;
    arena_init(&a, 1 << 16);
    struct redis_address at;
    for (size_t i = 0; i < COUNTOF(rows); i++) {
        size_t hosts = 0;
        assert_int_equal(redis_url_parse(&a, sv_of(rows[i].url), &at, NULL), RC_OK);
        for (; hosts < COUNTOF(rows[i].hosts) && rows[i].hosts[hosts].name; hosts++) {
            assert_string_equal(at.hosts[hosts].name, rows[i].hosts[hosts].name);
            assert_int_equal(at.hosts[hosts].port, rows[i].hosts[hosts].port);
        }
        assert_int_equal(at.host_count, hosts);
        assert_true(sv_eq(at.master, sv_of(rows[i].master)));
        assert_true(sv_eq(at.user, sv_of(rows[i].user)));
        assert_true(sv_eq(at.password, sv_of(rows[i].password)));
        assert_int_equal(at.db, rows[i].db);
        assert_int_equal(at.min_replicas, rows[i].min_replicas);
    }
    arena_free(&a);
}

static void test_bad_urls(void **state) {
    (void)state;
    static const char *const bad[] = {
        "", "redis:", "redis://", "redis:///0", "redis://h:0", "redis://h:65536", "redis://h:x", "redis://h/x", "redis://h/-1",
        "redis://h/99999", "redis://u@h", "redis://u:%4@h", "redis://u:%zz@h", "redis://u:%00@h", "redis://[::1", "redis://[::1]x",
        "redis://h%00x", "http://h", "rediss://h", "redis://a,b:x", "redis://h?", "redis://h?min_replicas", "redis://h?min_replicas=-1",
        "redis://h?min_replicas=17", "redis://h?other=1", "redis+sentinel://", "redis+sentinel://h", "redis+sentinel://h/",
        "redis+sentinel:///m", "redis+sentinel://h,/m", "redis+sentinel://,h/m", "redis+sentinel://h:0/m", "redis+sentinel://h/m/x",
        "redis+sentinel://h/m%00", "redis+sentinel://h/m/0/0", "redis+sentinel://1,2,3,4,5,6,7,8,9,10/m",
    };
    struct arena a;
    arena_init(&a, 1 << 16);
    struct redis_address at;
    for (size_t i = 0; i < COUNTOF(bad); i++)
        if (redis_url_parse(&a, sv_of(bad[i]), &at, NULL) != RC_INVALID)
            fail_msg("taken for a URL: %s", bad[i]);
    struct err e = {0};
    assert_int_equal(redis_url_parse(&a, SV("redis://app:hunter2%@h"), &at, &e), RC_INVALID);
    assert_null(strstr(e.text, "hunter2"));
    arena_free(&a);
}

// ---- errors

// The texts are those of Redis 7.0 and of its sentinels.
static void test_errors(void **state) {
    (void)state;
    static const struct {
        const char *error;
        enum redis_remedy remedy;
        const char *text;
    } rows[] = {
        {"LOADING Redis is loading the dataset in memory", REMEDY_WAIT, "loading"},
        {"BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.", REMEDY_WAIT, "busy"},
        {"TRYAGAIN Multiple keys request during rehashing of slot", REMEDY_WAIT, "again"},
        {"CLUSTERDOWN The cluster is down", REMEDY_WAIT, "down"},
        {"OOM command not allowed when used memory > 'maxmemory'.", REMEDY_WAIT, "maxmemory"},
        {"OOM command not allowed when used memory > 'maxmemory'. script: 0f, on @user_script:58.", REMEDY_WAIT, "maxmemory"},
        {"MISCONF Errors writing to the AOF file: No space left on device", REMEDY_WAIT, "disk"},
        {"NOREPLICAS Not enough good replicas to write.", REMEDY_WAIT, "min-replicas-to-write"},
        {"EXECABORT Transaction discarded because of previous errors.", REMEDY_WAIT, "transaction"},
        {"ERR max number of clients reached", REMEDY_WAIT, "maxclients"},
        {"READONLY You can't write against a read only replica.", REMEDY_RECONNECT, "read-only"},
        {"READONLY", REMEDY_RECONNECT, "read-only"},
        {"MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.", REMEDY_RECONNECT, "lost its master"},
        {"NOSCRIPT No matching script. Please use EVAL.", REMEDY_RELOAD, "script"},
        {"NOAUTH Authentication required.", REMEDY_PEOPLE, "password"},
        {"WRONGPASS invalid username-password pair or user is disabled.", REMEDY_PEOPLE, "user or password"},
        {"ERR AUTH <password> called without any password configured for the default user.", REMEDY_PEOPLE, "user or password"},
        {"NOPERM this user has no permissions to run the 'role' command", REMEDY_PEOPLE, "+@scripting"},
        {"ERR The user executing the script can't run this command or subcommand script: 0f, on @user_script:5.", REMEDY_PEOPLE, "+@scripting"},
        {"DENIED Redis is running in protected mode because protected mode is enabled", REMEDY_PEOPLE, "protected mode"},
        {"MOVED 3999 127.0.0.1:6381", REMEDY_PEOPLE, "Cluster"},
        {"ASK 3999 127.0.0.1:6381", REMEDY_PEOPLE, "Cluster"},
        {"WRONGTYPE Operation against a key holding the wrong kind of value", REMEDY_PEOPLE, "something else writes"},
        {"BUSYKEY Target key name already exists.", REMEDY_PEOPLE, "Redis answers: BUSYKEY"},
        {"ERR unknown command 'EVALSHA', with args beginning with: 'secret'", REMEDY_PEOPLE, "Redis answers: ERR unknown command 'EVALSHA'"},
        {"", REMEDY_PEOPLE, "Redis answers"},
    };
    for (size_t i = 0; i < COUNTOF(rows); i++) {
        struct err e = {0};
        enum rc rc = redis_error_tell(sv_of(rows[i].error), &e);
        assert_int_equal(redis_error_remedy(sv_of(rows[i].error)), rows[i].remedy);
        assert_int_equal(rc, rows[i].remedy == REMEDY_PEOPLE ? RC_IO : RC_UNAVAILABLE);
        if (!strstr(e.text, rows[i].text) || strstr(e.text, "secret"))
            fail_msg("%s: the text is: %s", rows[i].error, e.text);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good_urls),
        cmocka_unit_test(test_bad_urls),
        cmocka_unit_test(test_errors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
