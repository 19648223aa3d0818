// test_keyed_filter.c: which keys are looked for in the table keyed, and which surely need not be.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/crypto.h"
#include "store_file.h"

enum { TOGETHER = 1000, NOW = 1000, LATER = 5000, SQL_PUT = SQL_COUNT_, SQL_MORE_ };

struct world {
    struct env *env;
    struct db *db;
    struct late_keys *keys;
    int put;  // keys that were put by put_some
};

static void open_file(struct world *w) {
    static const char *queries[SQL_MORE_];
    struct err e = {0};
    memcpy(queries, sqlite_queries, sizeof sqlite_queries);
    queries[SQL_PUT] = "INSERT INTO keyed VALUES(?1, ?2, ?3)";
    w->keys = late_keys_new();
    assert_non_null(w->keys);
    const struct db_config config = {.path = file_of(w->env), .schema_version = SCHEMA_VERSION, .schema = sqlite_schema, .memory = w->keys,
                                     .queries = queries, .query_count = SQL_MORE_};
    MUST(db_open(&config, &w->db, &e));
    db_begin(w->db);
    verb_read_keys(w->db, NOW, NULL);
    db_commit(w->db);
    MUST(db_take_error(w->db, &e));
}

static void close_file(struct world *w) {
    db_close(w->db);
    late_keys_free(w->keys);
    w->db = NULL;
    w->keys = NULL;
}

static int begin(void **state) {
    static struct world world;
    world = (struct world){.env = env_make(NULL)};
    open_file(&world);
    *state = &world;
    return 0;
}

static int end(void **state) {
    struct world *w = *state;
    close_file(w);
    env_free(w->env);
    return 0;
}

struct name {
    char hex[KEY_LEN + 1];
};

static struct name name_of(const char *kind, int i) {
    struct name name;
    char text[40];
    snprintf(text, sizeof text, "%s %d", kind, i);
    struct digest d = sha256(sv_of(text));
    hex_into(name.hex, (const char *)d.b, KEY_LEN / 2);
    return name;
}

static bool is_known(struct world *w, const char *kind, int i) {
    return find_key(w->db, NOW, sv_of(name_of(kind, i).hex)) != NULL;
}

static void must_be_known(struct world *w, const char *kind, int count, int step) {
    for (int i = 0; i < count; i += step)
        if (!is_known(w, kind, i))
            fail_msg("%s %d of %d is not known", kind, i, count);
}

static void commit_all(struct world *w) {
    struct err e = {0};
    verb_move_keys(w->db, NOW, NULL);
    db_commit(w->db);
    MUST(db_take_error(w->db, &e));
}

static void undo_all(struct world *w) {
    verb_move_keys(w->db, NOW, NULL);
    db_rollback(w->db);
    db_begin(w->db);
    verb_read_keys(w->db, NOW, NULL);
    db_commit(w->db);
}

// put_some: as the verbs of the store do.
static void put_some(struct world *w, int count) {
    for (int to = w->put + count; w->put < to; w->put++)
        put_key(w->db, sv_of(name_of("put", w->put).hex), number(w->put), LATER);
}

static void put_more(struct world *w, int count) {
    db_begin(w->db);
    put_some(w, count);
    commit_all(w);
}

// There are keys in keyed that nobody told of.
static void hide(struct world *w, const char *kind, int count, int64_t expires_ms) {
    struct err e = {0};
    db_begin(w->db);
    for (int i = 0; i < count; i++)
        db_run(w->db, SQL_PUT, VALUES(hex(sv_of(name_of(kind, i).hex)), number(i), number(expires_ms)));
    db_commit(w->db);
    MUST(db_take_error(w->db, &e));
}

// The filter spares a look into keyed: of keys that it was not told of few are found.
static bool spares(struct world *w) {
    enum { HIDDEN = 50 };
    static int nth;
    char kind[20];
    int found = 0;
    snprintf(kind, sizeof kind, "hidden %d", ++nth);
    hide(w, kind, HIDDEN, LATER);
    for (int i = 0; i < HIDDEN; i++)
        found += is_known(w, kind, i);
    assert_true(found == HIDDEN || found < HIDDEN / 2);
    db_begin(w->db);
    for (int i = 0; i < HIDDEN; i++)
        erase_key(w->db, sv_of(name_of(kind, i).hex));
    db_commit(w->db);
    return found < HIDDEN;
}

static void put_until_it_spares(struct world *w) {
    for (int i = 0; !spares(w); i++) {
        assert_true(i < 200);
        put_more(w, TOGETHER);
    }
}

// ---- the cases

static void an_empty_table_is_known_at_once(void **state) {
    struct world *w = *state;
    assert_false(spares(w));
    put_more(w, 1);
    put_more(w, 1);
    assert_true(spares(w));
    assert_true(is_known(w, "put", 0) && is_known(w, "put", 1));
}

static void it_grows_with_what_is_moved(void **state) {
    struct world *w = *state;
    for (int i = 0; i < 110; i++) {
        put_more(w, TOGETHER);
        must_be_known(w, "put", w->put, 997);
    }
    must_be_known(w, "put", w->put, 7);
    assert_true(spares(w));
    close_file(w);
    open_file(w);
    must_be_known(w, "put", w->put, 31);
    put_until_it_spares(w);
    must_be_known(w, "put", w->put, 7);
}

static void what_was_there_is_known_all_along(void **state) {
    struct world *w = *state;
    enum { THERE = 70000 };  // more than the smallest filter holds
    hide(w, "there", THERE, LATER);
    while (!spares(w)) {
        put_more(w, TOGETHER);
        must_be_known(w, "there", THERE, 499);
    }
    must_be_known(w, "there", THERE, 1);
    must_be_known(w, "put", w->put, 1);
}

// Keys that went in a transaction are there again when it came to nothing, whatever the walk met meanwhile.
static void what_came_to_nothing_is_not_counted(void **state) {
    struct world *w = *state;
    enum { THERE = 600 };
    hide(w, "there", THERE, LATER);
    for (int i = 0; i < 40; i++) {
        db_begin(w->db);
        for (int j = 0; j < THERE; j++)
            erase_key(w->db, sv_of(name_of("there", j).hex));
        put_key(w->db, sv_of(name_of("lost", i).hex), number(1), LATER);
        put_some(w, i * 20);  // the walk ends in it, or does not
        undo_all(w);
        w->put = 0;
        must_be_known(w, "there", THERE, 1);
        assert_false(is_known(w, "lost", i));
        for (int j = 0; j < i % 4; j++)
            put_more(w, 1 + i * 5);
        must_be_known(w, "there", THERE, 1);
        must_be_known(w, "put", w->put, 1);
        w->put = 0;
    }
    put_until_it_spares(w);
    must_be_known(w, "there", THERE, 1);
}

// The largest part of what it has was purged: a new one is made, which no longer takes those for known.
static void what_was_purged_is_forgotten(void **state) {
    struct world *w = *state;
    enum { OVER = 6000, KEPT = 2000 };
    hide(w, "over", OVER, NOW + 1);
    hide(w, "there", KEPT, LATER);
    put_until_it_spares(w);
    struct purged_keys after = {0};
    db_begin(w->db);
    for (int i = 0; i < 10; i++)
        after = purge_keys(w->db, NOW + 1, &after);
    put_some(w, 1);
    commit_all(w);
    for (int i = 0; i < 4; i++)
        put_more(w, TOGETHER);
    hide(w, "over", OVER, LATER);
    int found = 0;
    for (int i = 0; i < OVER; i++)
        found += is_known(w, "over", i);
    assert_in_range(found, 0, OVER / 50);
    must_be_known(w, "there", KEPT, 1);
    must_be_known(w, "put", w->put, 1);
}

// Whatever comes in whatever order: what was put and not erased is known, in a transaction and after it, and what came to nothing is not.
enum { MODEL_KEYS = 1500, ROUNDS = 200 };

struct model {
    int value[MODEL_KEYS];  // 0: not known
    uint64_t random;
};

static int pick(struct model *m, int among) {
    m->random = m->random * 6364136223846793005u + 1442695040888963407u;
    return (int)((m->random >> 33) % (uint64_t)among);
}

static void must_agree(struct world *w, struct model *m, int looks) {
    for (; looks > 0; looks--) {
        int i = pick(m, MODEL_KEYS);
        struct query *q = find_key(w->db, NOW, sv_of(name_of("model", i).hex));
        if ((q ? db_number(q, 0) : 0) != m->value[i])
            fail_msg("key %d is %d and has to be %d", i, q ? (int)db_number(q, 0) : 0, m->value[i]);
    }
}

static void change_some(struct world *w, struct model *m) {
    for (int n = pick(m, 150); n > 0; n--) {
        int i = pick(m, MODEL_KEYS);
        struct name name = name_of("model", i);
        m->value[i] = pick(m, 3) > 0 ? 1 + pick(m, 1000) : 0;
        if (m->value[i] != 0)
            put_key(w->db, sv_of(name.hex), number(m->value[i]), LATER);
        else
            erase_key(w->db, sv_of(name.hex));
        must_agree(w, m, 2);
    }
}

// settle: what is late gets into keyed, as if all of it had moved.
static void settle(struct world *w) {
    close_file(w);
    look(w->env, "INSERT INTO keyed SELECT key, value, expires_ms FROM late WHERE true"
                 " ON CONFLICT(key) DO UPDATE SET value = excluded.value, expires_ms = excluded.expires_ms");
    look(w->env, "DELETE FROM late");
    open_file(w);
}

static void it_agrees_with_a_model(void **state) {
    struct world *w = *state;
    static struct model m;
    m = (struct model){.random = 20};
    for (int i = 0; i < ROUNDS; i++) {
        struct model before = m;
        db_begin(w->db);
        change_some(w, &m);
        if (pick(&m, 8) > 0) {
            commit_all(w);
        } else {
            undo_all(w);
            m = (struct model){.random = m.random};
            memcpy(m.value, before.value, sizeof m.value);
        }
        must_agree(w, &m, 50);
        if (i % 25 == 24)
            settle(w);
    }
    put_until_it_spares(w);
    must_agree(w, &m, MODEL_KEYS);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, begin, end)

int main(void) {
    const struct CMUnitTest tests[] = {
        CASE(an_empty_table_is_known_at_once),
        CASE(it_grows_with_what_is_moved),
        CASE(what_was_there_is_known_all_along),
        CASE(what_came_to_nothing_is_not_counted),
        CASE(what_was_purged_is_forgotten),
        CASE(it_agrees_with_a_model),
    };
    return cmocka_run_group_tests_name("keyed_filter", tests, NULL, NULL);
}
