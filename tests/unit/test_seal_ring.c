// One seal key replaced by another while the store is full: nothing is lost, nothing is done twice.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/compress.h"
#include "server/store/hash_key.h"
#include "store_engines.h"

#include <string.h>

// The store as a whole is meant here, so each case begins one of its own: on Redis another database.
static void own_store(struct env *v) {
    static char database = '0';
    env_close(v);
    if (strncmp(v->url, "redis", 5) == 0)
        v->url[strlen(v->url) - 1] = ++database;
    else
        snprintf(v->url, sizeof v->url, "sqlite:%s/own.db", v->dir);
}

static void keys_are(struct env *v, const char *letters) {
    v->seal_keys = strlen(letters);
    for (size_t i = 0; i < v->seal_keys; i++)
        memset(v->seal_key + i * SEAL_KEY_LEN, letters[i], SEAL_KEY_LEN);
}

static void reopen(struct env *v, const char *letters) {
    env_close(v);
    keys_are(v, letters);
    env_open(v);
}

static void must_be_refused(struct env *v, const char *letters) {
    struct err e = {0};
    env_close(v);
    keys_are(v, letters);
    assert_int_equal(env_try_open(v, &e), RC_DENIED);
    assert_non_null(strstr(e.text, "seal_key"));
}

static void a_key_is_replaced_in_three_steps(void **state) {
    struct env *v = *state;
    own_store(v);
    reopen(v, "a");
    accept_in(v, "one", "lane");
    accept_in(v, "two", "lane");
    put_state(v, v->shop, "who", "under a", LONG_MS);
    reopen(v, "ab");
    reopen(v, "ba");
    assert_int_equal(accept_in(v, "one", "lane"), ACCEPTED_DUPLICATE);
    assert_int_equal(accept_in(v, "three", "lane"), ACCEPTED_NEW);  // behind the others: the lane has kept its name
    assert_string_equal(get_state(v, v->shop, "who"), "under a");
    put_state(v, v->shop, "who", "under b", LONG_MS);
    assert_int_equal(finish_as(v, claim_body(v, "one"), JOB_DONE), RC_OK);
    assert_int_equal(finish_as(v, claim_body(v, "two"), JOB_DONE), RC_OK);
    reopen(v, "b");
    assert_int_equal(accept_in(v, "one", "lane"), ACCEPTED_DUPLICATE);
    assert_string_equal(get_state(v, v->shop, "who"), "under b");
    assert_int_equal(finish_as(v, claim_body(v, "three"), JOB_DONE), RC_OK);
    must_be_refused(v, "a");
}

static void a_record_says_which_key_it_lacks(void **state) {
    struct env *v = *state;
    struct lookup asked = {.shop = sv_of(v->shop), .key = SV("who")};
    struct err e = {0};
    struct seal_ring ring;
    own_store(v);
    reopen(v, "a");
    MUST(ring_make((struct sv){(const char *)v->seal_key, SEAL_KEY_LEN}, &ring, &e));
    const char *id = hex_of(&v->arena, ring.keys[0].id, SEAL_KEY_ID_LEN).p;
    accept_in(v, "one", "lane");
    accept_in(v, "two", "lane");
    put_state(v, v->shop, "who", "under a", LONG_MS);
    reopen(v, "ba");
    reopen(v, "b");  // too early
    struct job *job = claim_soon(v, LONG_MS);
    assert_null(job->body.p);
    assert_non_null(strstr(job->unreadable.p, "seal_key"));
    assert_non_null(strstr(job->unreadable.p, id));
    assert_int_equal(finish_as(v, job, JOB_DEAD), RC_OK);
    MUST(store_look_up(v->store, &v->arena, &asked, 1, &e));
    assert_null(asked.ret.p);
    assert_non_null(strstr(asked.unreadable.p, id));
    reopen(v, "ba");  // with the key back in its place what died for it lives again
    bool redriven;
    MUST(store_redrive(v->store, sv_of(v->shop), sv_of(job->id), SV_NONE, &redriven, &e));
    assert_true(redriven);
    claim_body(v, "two");
}

static struct sv appended(void *ctx, struct arena *a, struct sv seen) {
    return arena_fmt(a, SV_FMT "%s", SV_ARG(sv_first(seen, SV("nothing"))), (const char *)ctx);
}

static void a_value_that_nobody_can_read_is_begun_again(void **state) {
    struct env *v = *state;
    struct err e = {0};
    own_store(v);
    reopen(v, "a");
    const struct state_update update = {.key = SV("who"), .lifetime_ms = LONG_MS, .next = appended, .ctx = "+1"};
    MUST(store_state_update(v->store, &v->arena, sv_of(v->shop), &update, &e));
    reopen(v, "ba");
    MUST(store_state_update(v->store, &v->arena, sv_of(v->shop), &update, &e));
    assert_string_equal(get_state(v, v->shop, "who"), "nothing+1+1");
    put_state(v, v->shop, "who", "under b", LONG_MS);
    reopen(v, "cb");
    reopen(v, "c");
    MUST(store_state_update(v->store, &v->arena, sv_of(v->shop), &update, &e));
    assert_string_equal(get_state(v, v->shop, "who"), "nothing+1");
}

static const struct engine_ops *ops_of(const struct env *v) {
    return strncmp(v->url, "redis", 5) == 0 ? &engine_redis : &engine_sqlite;
}

// A store as it was made before records named their key: a fingerprint of the key, and records of crypto.h alone.
static void make_old_store(struct env *v, const char *shop, const char *key, const char *value) {
    struct err e = {0};
    struct engine *engine;
    struct digest hashes, sealing;
    char fingerprint[KEY_LEN + 1], name[KEY_LEN + 1];
    struct sv master = {(const char *)v->seal_key, SEAL_KEY_LEN};
    hashes = derive_key(master, "store keys");
    sealing = derive_key(master, "store sealing");
    const struct store_config config = {.url = sv_of(v->url), .retention_ms = LONG_MS, .ledger_lifetime_ms = LONG_MS};
    MUST(ops_of(v)->open(&config, &engine, &e));
    hash_under(&hashes, FINGERPRINT, SV("-"), SV("seal_key"), fingerprint);
    MUST(ops_of(v)->state_put(engine, SV("-"), &(struct remembered){SV("seal_key"), sv_of(fingerprint), LONG_MS}, &e));
    hash_under(&hashes, STATE_KEY, sv_of(shop), sv_of(key), name);
    struct sv aad = arena_fmt(&v->arena, "%s|state|%s", shop, name);
    struct remembered old = {sv_of(name), seal(&v->arena, &sealing, aad, compress(&v->arena, NULL, sv_of(value))), LONG_MS};
    MUST(ops_of(v)->state_put(engine, sv_of(shop), &old, &e));
    ops_of(v)->close(engine);
}

static void an_older_store_goes_on(void **state) {
    struct env *v = *state;
    own_store(v);
    keys_are(v, "a");
    make_old_store(v, v->shop, "who", "long ago");
    must_be_refused(v, "b");
    must_be_refused(v, "bc");
    reopen(v, "a");
    assert_string_equal(get_state(v, v->shop, "who"), "long ago");
    accept_in(v, "one", "lane");
    reopen(v, "ba");
    assert_string_equal(get_state(v, v->shop, "who"), "long ago");
    reopen(v, "b");
    assert_int_equal(accept_in(v, "one", "lane"), ACCEPTED_DUPLICATE);
}

static void an_emptied_store_keeps_its_hashes(void **state) {
    struct env *v = *state;
    struct err e = {0};
    if (strncmp(v->url, "redis", 5) != 0)
        return;  // nobody empties the file of a running service
    own_store(v);
    reopen(v, "a");
    reopen(v, "ba");
    struct engine *engine;
    const struct store_config config = {.url = sv_of(v->url), .retention_ms = LONG_MS, .ledger_lifetime_ms = LONG_MS};
    MUST(engine_redis.open(&config, &engine, &e));
    MUST(engine_redis.state_put(engine, SV("-"), &(struct remembered){SV("hash_key"), SV("x"), 1}, &e));  // it expires at once
    engine_redis.close(engine);
    poll(NULL, 0, 5);
    MUST(store_check(v->store, &e));
    MUST(store_check(v->store, &e));
    accept_in(v, "one", "lane");
    reopen(v, "b");
    assert_int_equal(accept_in(v, "one", "lane"), ACCEPTED_DUPLICATE);
}

static const struct store_case cases[] = {
    {"a_key_is_replaced_in_three_steps", a_key_is_replaced_in_three_steps},
    {"a_record_says_which_key_it_lacks", a_record_says_which_key_it_lacks},
    {"a_value_that_nobody_can_read_is_begun_again", a_value_that_nobody_can_read_is_begun_again},
    {"an_older_store_goes_on", an_older_store_goes_on},
    {"an_emptied_store_keeps_its_hashes", an_emptied_store_keeps_its_hashes},
};

int main(void) {
    return run_on_each_engine("seal_ring", cases, COUNTOF(cases));
}
