#include "server/store/spool.h"

#include "base/clock.h"
#include "base/failpoint.h"
#include "base/log.h"
#include "server/store/spool_file.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define PAUSE_LEAST_MS 5
#define PAUSE_MOST_MS 200
#define READ_MEMORY ((size_t)64 << 20)  // of one reading: a body over the measure comes alone

struct spool {
    const struct engine_ops *ops;
    struct engine *engine;
    enum rc (*ready)(void *ctx, struct err *e);
    void *ctx;
    struct spool_file *file;
    pthread_t forwarder;
    bool running;

    pthread_mutex_t lock;  // of all below
    pthread_cond_t changed;
    bool in_use, closing;
    int64_t waiting;       // in the file, or on their way there: from before they are written until after they are dropped
    int64_t forwarded;     // since in_use
    int64_t noted;         // of these, when forwarding failed last
    int64_t pause_ms;      // before it is tried again
    struct err trouble;    // why the last attempt to forward failed; RC_OK: it did not
};

// ---- accepting

static void use(struct spool *s, const struct err *why) {  // with the lock
    if (s->in_use)
        return;
    s->in_use = true;
    s->forwarded = s->noted = 0;
    s->pause_ms = PAUSE_LEAST_MS;
    s->trouble = *why;
    pthread_cond_broadcast(&s->changed);
    log_warn("webhooks go into the spool until the store takes them: %s", why->text);
}

void spool_begin(struct spool *s, const struct err *why) {
    if (!s)
        return;
    pthread_mutex_lock(&s->lock);
    use(s, why);
    pthread_mutex_unlock(&s->lock);
}

// enter: n are on their way to the file; false: they are not, they go to the engine. why: the engine's trouble, if it was tried.
static bool enter(struct spool *s, size_t n, const struct err *why) {
    pthread_mutex_lock(&s->lock);
    if (why)
        use(s, why);
    bool in_use = s->in_use;
    if (in_use)
        s->waiting += (int64_t)n;
    pthread_mutex_unlock(&s->lock);
    return in_use;
}

static void leave(struct spool *s, int64_t n, int64_t forwarded) {
    pthread_mutex_lock(&s->lock);
    s->waiting -= n;
    s->forwarded += forwarded;
    pthread_cond_broadcast(&s->changed);
    pthread_mutex_unlock(&s->lock);
}

// With another seal key the engine never takes what is packed here, so nothing more is promised.
static enum rc check_trouble(struct spool *s, struct err *e) {
    pthread_mutex_lock(&s->lock);
    struct err trouble = s->trouble;
    pthread_mutex_unlock(&s->lock);
    return trouble.code == RC_DENIED ? err_set(e, RC_DENIED, "%s", trouble.text) : RC_OK;
}

enum rc spool_accept(struct spool *s, const struct delivery *d, const char *const *ids, size_t n, enum accepted *ret, struct err *e) {
    struct err why = {0};
    if (!enter(s, n, NULL)) {
        enum rc rc = s->ops->accept(s->engine, d, ids, n, ret, &why);
        if (rc == RC_OK)
            return rc;
        enter(s, n, &why);
    }
    size_t added = 0;
    enum rc rc = check_trouble(s, e);
    if (rc == RC_OK)
        rc = spool_file_add(s->file, d, ids, n, ret, e);
    FAILPOINT("spool.added");
    for (size_t i = 0; rc == RC_OK && i < n; i++)
        added += ret[i] == ACCEPTED_NEW;
    leave(s, (int64_t)(n - added), 0);
    return rc;
}

bool spool_in_use(struct spool *s) {
    if (!s)
        return false;
    pthread_mutex_lock(&s->lock);
    bool in_use = s->in_use;
    pthread_mutex_unlock(&s->lock);
    return in_use;
}

int64_t spool_waiting(struct spool *s) {
    if (!s)
        return 0;
    pthread_mutex_lock(&s->lock);
    int64_t n = s->waiting;
    pthread_mutex_unlock(&s->lock);
    return n;
}

enum rc spool_check(struct spool *s, struct err *e) {
    enum rc rc = check_trouble(s, e);
    return rc == RC_OK ? spool_file_check(s->file, e) : rc;
}

// ---- forwarding

static bool is_closing(struct spool *s) {
    pthread_mutex_lock(&s->lock);
    bool closing = s->closing;
    pthread_mutex_unlock(&s->lock);
    return closing;
}

// forward_some: one after the other, because of two in one pipeline the second may be taken where the first is refused.
static enum rc forward_some(struct spool *s, const struct spooled *some, size_t n, struct err *e) {
    enum rc rc = RC_OK;
    size_t done = 0;
    for (; done < n && rc == RC_OK && !is_closing(s); done += rc == RC_OK) {
        const char *id = some[done].id;
        enum accepted told;
        FAILPOINT("spool.forward");
        rc = s->ops->accept(s->engine, &some[done].delivery, &id, 1, &told, e);
        FAILPOINT("spool.forwarded");
    }
    struct err failure = {0};
    if (done > 0 && spool_file_drop(s->file, some[done - 1].seq, &failure) != RC_OK)
        return err_set(e, failure.code, "the spool: %s", failure.text);
    FAILPOINT("spool.dropped");
    leave(s, (int64_t)done, (int64_t)done);
    return rc;
}

// forward_all: until nothing is in the file, or something is in the way.
static enum rc forward_all(struct spool *s, bool after_trouble, struct err *e) {
    struct arena a;
    size_t n = 1;
    arena_init(&a, READ_MEMORY);
    enum rc rc = after_trouble ? s->ready(s->ctx, e) : RC_OK;
    while (rc == RC_OK && n > 0 && !is_closing(s)) {
        struct spooled *some;
        rc = spool_file_read(s->file, &a, &some, &n, e);
        if (rc == RC_OK)
            rc = forward_some(s, some, n, e);
        arena_reset(&a);
    }
    arena_free(&a);
    return rc;
}

// wait: until closing, or until something changed where that is enough; not for long.
static void wait(struct spool *s, bool for_change) {  // with the lock
    int64_t until_ms = clock_mono_ms() + (for_change ? PAUSE_MOST_MS : s->pause_ms);
    struct timespec until = {.tv_sec = until_ms / 1000, .tv_nsec = until_ms % 1000 * 1000000};
    while (!s->closing && pthread_cond_timedwait(&s->changed, &s->lock, &until) == 0 && !for_change)
        ;
}

static void lengthen_pause(struct spool *s) {  // with the lock
    s->pause_ms = s->forwarded != s->noted ? PAUSE_LEAST_MS : s->pause_ms * 2 < PAUSE_MOST_MS ? s->pause_ms * 2 : PAUSE_MOST_MS;
    s->noted = s->forwarded;
}

static void note(struct spool *s, enum rc rc, const struct err *e) {  // with the lock
    if (rc != RC_OK && strcmp(s->trouble.text, e->text) != 0)
        log_warn("%" PRId64 " webhooks wait in the spool: %s", s->waiting, e->text);
    s->trouble = rc == RC_OK ? (struct err){0} : *e;
    if (rc != RC_OK) {
        lengthen_pause(s);
        wait(s, false);
    } else if (s->waiting > 0) {
        wait(s, true);  // some are on their way into the file
    } else if (!s->closing) {
        s->in_use = false;
        log_info("the spool is empty, %" PRId64 " webhooks were forwarded; webhooks go to the store again", s->forwarded);
    }
}

static void *forward(void *ctx) {
    struct spool *s = ctx;
    pthread_mutex_lock(&s->lock);
    while (!s->closing) {
        if (!s->in_use) {
            pthread_cond_wait(&s->changed, &s->lock);
            continue;
        }
        bool after_trouble = s->trouble.code != RC_OK;
        pthread_mutex_unlock(&s->lock);
        struct err e = {0};
        enum rc rc = forward_all(s, after_trouble, &e);
        pthread_mutex_lock(&s->lock);
        note(s, rc, &e);
    }
    pthread_mutex_unlock(&s->lock);
    return NULL;
}

// ---- opening and closing

static enum rc begin(struct spool *s, const struct spool_config *config, const char *path, struct err *e) {
    const struct err not_asked = {RC_UNAVAILABLE, "some wait there since the last time"};
    bool known = false;
    enum rc rc = spool_file_open(path, config->fingerprint, config->store, &s->file, &known, &s->waiting, e);
    if (rc == RC_OK && !known)
        rc = config->trouble ? err_set(e, RC_UNAVAILABLE, "the first start with %s needs the store: %s", path, config->trouble->text)
                             : spool_file_bind(s->file, config->fingerprint, e);
    if (rc != RC_OK)
        return err_wrap(e, "spool");
    if (config->trouble || s->waiting > 0)
        use(s, config->trouble ? config->trouble : &not_asked);
    s->running = pthread_create(&s->forwarder, NULL, forward, s) == 0;
    return s->running ? RC_OK : err_set(e, RC_IO, "spool: no thread can be started");
}

enum rc spool_open(const struct spool_config *config, struct spool **ret, struct err *e) {
    struct spool *s = calloc(1, sizeof *s);
    char *path = strndup(config->store->spool.p, config->store->spool.n);
    if (!s || !path) {
        free(s);
        free(path);
        return err_set(e, RC_UNAVAILABLE, "out of memory");
    }
    s->ops = config->ops;
    s->engine = config->engine;
    s->ready = config->ready;
    s->ctx = config->ctx;
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&s->changed, &monotonic);
    pthread_condattr_destroy(&monotonic);
    pthread_mutex_init(&s->lock, NULL);
    enum rc rc = begin(s, config, path, e);
    free(path);
    if (rc != RC_OK) {
        spool_close(s);
        return rc;
    }
    *ret = s;
    return RC_OK;
}

void spool_close(struct spool *s) {
    if (!s)
        return;
    pthread_mutex_lock(&s->lock);
    s->closing = true;
    pthread_cond_broadcast(&s->changed);
    pthread_mutex_unlock(&s->lock);
    if (s->running)
        pthread_join(s->forwarder, NULL);
    spool_file_close(s->file);
    pthread_cond_destroy(&s->changed);
    pthread_mutex_destroy(&s->lock);
    free(s);
}
