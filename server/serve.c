// serve.c: the running service and the command that runs it until a signal: SIGTERM and SIGINT stop it, SIGHUP reloads.
#include "server/serve.h"

#include "base/clock.h"
#include "base/failpoint.h"
#include "base/heap.h"
#include "base/log.h"
#include "server/admin.h"
#include "server/commands/commands.h"
#include "server/dispatch/dispatch.h"
#include "server/front.h"

#include <getopt.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#define INGEST_THREADS 256
#define ADMIN_THREADS 4
#define ADMIN_BODY_LIMIT ((size_t)64 << 10)
#ifndef PURGE_EVERY_S
#define PURGE_EVERY_S 10
#endif
#ifndef STOP_GRACE_MS
#define STOP_GRACE_MS 10000
#endif
#define FILES_WANTED 8192
#define FILES_BESIDES 1024    // the threads' connections, as many again that wait for a thread, the store's files and what else there is

struct service {
    struct config_slot *config;
    struct store *store;
    struct metrics *metrics;
    struct dispatch *dispatch;
    struct front front;          // what answers on the webhook address
    struct admin admin;
    struct http_server *webhooks, *administration;
    bool failed;                 // atomic: the disk of the store failed
    atomic_bool stopping;        // read by the admin address
    pthread_t purger;
    bool purging;
    pthread_mutex_t lock;
    pthread_cond_t ended;        // stopping was set, under lock
};

// ---- clearing up

static void purge(struct service *s) {
    struct config *config = config_current(s->config);
    struct sv *shops = calloc(config->shop_count + 1, sizeof *shops);
    struct err e = {0};
    for (size_t i = 0; shops && i < config->shop_count; i++)
        shops[i] = config->shops[i].name;
    FAILPOINT("purge.before");
    if (shops && store_purge(s->store, shops, config->shop_count, &e))
        log_debug("purge: %s", e.text);  // the dispatcher says when the store is away
    FAILPOINT("purge.after");
    free(shops);
    config_drop(config);
}

// wait_a_second: false: the service ends.
static bool wait_a_second(struct service *s) {
    struct timespec next;
    clock_gettime(CLOCK_MONOTONIC, &next);
    next.tv_sec++;
    pthread_mutex_lock(&s->lock);
    while (!s->stopping && pthread_cond_timedwait(&s->ended, &s->lock, &next) == 0) {
    }
    bool go_on = !s->stopping;
    pthread_mutex_unlock(&s->lock);
    return go_on;
}

static void *clear_up_now_and_then(void *ctx) {
    struct service *s = ctx;
    for (int seconds = 1; wait_a_second(s); seconds++) {
        if (seconds % PURGE_EVERY_S == 0)
            purge(s);
        heap_give_back();
    }
    return NULL;
}

static enum rc start_purger(struct service *s, struct err *e) {
    s->purging = pthread_create(&s->purger, NULL, clear_up_now_and_then, s) == 0;
    return s->purging ? RC_OK : err_set(e, RC_IO, "a thread cannot be started");
}

// ---- starting and stopping

static void accepted(void *ctx) {
    dispatch_wake(ctx);
}

// After a failed write or sync nobody knows what is on the disk, and a repeated sync may say that all is well. A new process reads
// what really is there.
static void disk_failed(void *ctx) {
    struct service *s = ctx;
    log_error("the disk failed, see above or what webhooks are answered; ending, to be started again");
    __atomic_store_n(&s->failed, true, __ATOMIC_RELAXED);
    kill(getpid(), SIGTERM);
}

static enum rc open_store(struct service *s, const struct config *c, struct err *e) {
    struct store_config config = {.url = c->store, .seal_keys = c->seal_keys, .relaxed = c->relaxed, .retention_ms = c->retention_ms,
                                  .ledger_lifetime_ms = c->report_lifetime_ms, .spool = c->spool, .broken = disk_failed, .broken_ctx = s};
    return store_open(&config, &s->store, e);
}

static enum rc start_dispatch(struct service *s, const struct config *c, struct err *e) {
    struct dispatch_config config = {.config = s->config, .store = s->store, .metrics = s->metrics, .in_flight = c->in_flight};
    return dispatch_start(&config, &s->dispatch, e);
}

static enum rc start_webhooks(struct service *s, const struct config *c, struct err *e) {
    s->front.ingest = (struct ingest){.config = s->config, .store = s->store, .metrics = s->metrics, .accepted = accepted, .accepted_ctx = s->dispatch};
    s->front.context = context_in_new(s->config, s->store, s->metrics);
    struct http_server_config config = {.listen = c->listen, .body_limit = INGEST_BODY_LIMIT, .threads = INGEST_THREADS,
                                        .early = front_early, .handle = front_handle, .done = front_done, .refused = front_refused, .ctx = &s->front};
    return http_server_start(&config, &s->webhooks, e) ? err_wrap(e, "listen: " SV_FMT, SV_ARG(c->listen)) : RC_OK;
}

static enum rc start_administration(struct service *s, const struct config *c, struct err *e) {
    s->admin = (struct admin){.config = s->config, .store = s->store, .metrics = s->metrics, .stopping = &s->stopping};
    struct http_server_config config = {.listen = c->admin, .body_limit = ADMIN_BODY_LIMIT, .threads = ADMIN_THREADS,
                                        .handle = admin_handle, .ctx = &s->admin};
    return http_server_start(&config, &s->administration, e) ? err_wrap(e, "admin: " SV_FMT, SV_ARG(c->admin)) : RC_OK;
}

static struct service *service_new(struct config *config) {
    struct service *s = calloc(1, sizeof *s);
    pthread_condattr_t monotonic;
    if (!s)
        abort();  // at start only
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&s->ended, &monotonic);
    pthread_condattr_destroy(&monotonic);
    pthread_mutex_init(&s->lock, NULL);
    s->config = config_slot_new(config);
    s->metrics = metrics_new();
    return s;
}

// Once webhooks can arrive, everything behind them works; once /readyz answers, they can arrive.
enum rc service_start(struct config *config, struct service **ret, struct err *e) {
    struct service *s = service_new(config);
    config = config_current(s->config);
    enum rc rc = open_store(s, config, e);
    if (rc == RC_OK)
        rc = start_dispatch(s, config, e);
    if (rc == RC_OK)
        rc = start_purger(s, e);
    if (rc == RC_OK)
        rc = start_webhooks(s, config, e);
    if (rc == RC_OK)
        rc = start_administration(s, config, e);
    config_drop(config);
    if (rc != RC_OK) {
        service_stop(s);
        return rc;
    }
    *ret = s;
    return RC_OK;
}

// Webhooks that are being accepted are accepted to the end, then requests that are open are waited for.
void service_stop(struct service *s) {
    pthread_mutex_lock(&s->lock);
    s->stopping = true;
    pthread_cond_broadcast(&s->ended);
    pthread_mutex_unlock(&s->lock);
    if (s->webhooks)
        http_server_drain(s->webhooks);
    FAILPOINT("stop.drained");
    http_server_stop(s->webhooks);
    if (s->dispatch)
        dispatch_stop(s->dispatch, STOP_GRACE_MS);
    FAILPOINT("stop.dispatched");
    http_server_stop(s->administration);
    if (s->purging)
        pthread_join(s->purger, NULL);
    context_in_free(s->front.context);
    store_close(s->store);
    metrics_free(s->metrics);
    config_slot_free(s->config);
    pthread_cond_destroy(&s->ended);
    pthread_mutex_destroy(&s->lock);
    free(s);
}

int service_port(const struct service *s) {
    return http_server_port(s->webhooks);
}

int service_admin_port(const struct service *s) {
    return http_server_port(s->administration);
}

struct metrics *service_metrics(struct service *s) {
    return s->metrics;
}

struct store *service_store(struct service *s) {
    return s->store;
}

// ---- reloading

// fixed_key: the first key that is read at start only and differs; NULL when there is none.
static const char *fixed_key(const struct config *now, const struct config *next) {
    const struct {
        const char *key;
        bool same;
    } keys[] = {
        {"listen", sv_eq(now->listen, next->listen)},
        {"admin", sv_eq(now->admin, next->admin)},
        {"store", sv_eq(now->store, next->store)},
        {"spool", sv_eq(now->spool, next->spool)},
        {"seal_key", now->seal_keys.p ? bytes_eq(now->seal_keys, next->seal_keys) : !next->seal_keys.p},
        {"durability", now->relaxed == next->relaxed},
        {"retention", now->retention_ms == next->retention_ms},
        {"report_lifetime", now->report_lifetime_ms == next->report_lifetime_ms},
        {"in_flight", now->in_flight == next->in_flight},
    };
    for (size_t i = 0; i < COUNTOF(keys); i++)
        if (!keys[i].same)
            return keys[i].key;
    return NULL;
}

void service_reload(struct service *s, struct config *next) {
    struct config *now = config_current(s->config);
    const char *fixed = fixed_key(now, next);
    config_drop(now);
    if (fixed) {
        log_error("not reloaded: `%s` changed, which takes a restart; the old configuration stays", fixed);
        config_drop(next);
        return;
    }
    FAILPOINT("reload.before");
    config_replace(s->config, next);
    FAILPOINT("reload.half");
    dispatch_reloaded(s->dispatch);
    FAILPOINT("reload.after");
    log_info("reloaded");
}

// ---- the command

static const char usage[] =
    "usage: fireorder serve --config FILE\n"
    "\n"
    "Receives webhooks, stores them, and sends each to Meta and then to Klaviyo.\n"
    "SIGHUP reloads FILE (a faulty one changes nothing), SIGTERM and SIGINT stop the service.\n";

static struct config *load(const char *file) {
    struct config *config = NULL;
    struct buf faults;
    struct err e = {0};
    buf_init(&faults, 1 << 20);
    if (config_load(file, &config, &faults, &e)) {
        struct sv line, rest = buf_sv(&faults);
        while (sv_present(rest)) {
            sv_cut(rest, '\n', &line, &rest);
            log_error(SV_FMT, SV_ARG(line));
        }
        config = NULL;
    }
    buf_free(&faults);
    return config;
}

static void reload(struct service *s, const char *file) {
    struct config *next = load(file);
    if (next)
        service_reload(s, next);
    else
        log_error("not reloaded: the old configuration stays");
}

// tell_files: a connection that cannot be opened is tried again, which nobody would see but as slowness.
static void tell_files(const struct config *config) {
    struct rlimit files;
    size_t wanted = 2 * config->in_flight + FILES_BESIDES;  // one at Meta and one at Klaviyo stay open for each
    if (getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur < wanted)
        log_warn("only %llu files may be open, but in_flight: %zu and webhooks can take %zu: raise the limit (ulimit -Hn, LimitNOFILE) or lower in_flight",
                 (unsigned long long)files.rlim_cur, config->in_flight, wanted);
}

static int serve(const char *file, const sigset_t *signals) {
    struct service *s = NULL;
    struct err e = {0};
    struct config *config = load(file);
    if (!config)
        return 1;
    tell_files(config);
    if (service_start(config, &s, &e)) {
        log_error("not started: %s", e.text);
        return 1;
    }
    heap_forget_start();
    log_info("serving webhooks on port %d, health and metrics on port %d", service_port(s), service_admin_port(s));
    for (int number = SIGHUP; number == SIGHUP;) {
        sigwait(signals, &number);
        if (number == SIGHUP)
            reload(s, file);
    }
    log_info("stopping");
    int status = __atomic_load_n(&s->failed, __ATOMIC_RELAXED) ? 1 : 0;
    service_stop(s);
    log_info("stopped");
    return status;
}

// Many connections at once, requests out and the store are more files than the 1,024 that are usual; without them a crowd outside
// would keep the store from opening its own.
static void allow_files(void) {
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) != 0 || files.rlim_cur >= FILES_WANTED)
        return;
    files.rlim_cur = files.rlim_max < FILES_WANTED ? files.rlim_max : FILES_WANTED;
    if (setrlimit(RLIMIT_NOFILE, &files) != 0)
        log_warn("the limit of open files cannot be raised");
}

// leave_no_core: people's data and secrets are in its memory, so none of it goes to a disk. A pattern that pipes cores to a program does
// not heed the limit; what may not be dumped is not piped either. The leak checker needs the process to be one that can be looked into.
static void leave_no_core(void) {
    const struct rlimit none = {0, 0};
    if (setrlimit(RLIMIT_CORE, &none) != 0)
        log_warn("core dumps cannot be switched off");
#ifndef __SANITIZE_ADDRESS__
    prctl(PR_SET_DUMPABLE, 0);
#endif
}

int command_serve(int argc, char **argv) {
    enum { CONFIG = 1, HELP };
    static const struct option options[] = {{"config", 1, NULL, CONFIG}, {"help", 0, NULL, HELP}, {NULL, 0, NULL, 0}};
    const char *file = NULL;
    for (int o; (o = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        switch (o) {
        case CONFIG: file = optarg; break;
        case HELP: fputs(usage, stdout); return 0;
        default: fputs(usage, stderr); return 2;
        }
    }
    if (!file || optind != argc) {
        fputs(file ? "" : "fireorder serve: --config is missing\n", stderr);
        fputs(usage, stderr);
        return 2;
    }
    leave_no_core();
    heap_keep();
    // Blocked before there are threads, so that none but this one takes them.
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGHUP);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &signals, NULL);
    allow_files();
    return serve(file, &signals);
}
