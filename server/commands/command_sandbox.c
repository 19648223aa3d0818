// fireorder sandbox: the fake Meta and Klaviyo alone, printing what they receive.
#include "base/clock.h"
#include "base/json.h"
#include "server/commands/commands.h"
#include "server/commands/sandbox.h"

#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

static const char usage[] =
    "usage: fireorder sandbox [--listen ADDRESS] [--delay 50ms] [--meta-status N] [--klaviyo-status N] [--json]\n"
    "\n"
    "Plays Meta's Conversions API and Klaviyo on one address and prints a line for each request.\n"
    "Point `base_url` of meta and klaviyo at it.\n"
    "\n"
    "  --listen ADDRESS      where to listen (default 127.0.0.1:9100)\n"
    "  --delay DURATION      wait before each answer (500ms, 2s)\n"
    "  --meta-status N       answer Meta's requests with this status\n"
    "  --klaviyo-status N    answer Klaviyo's requests with this status\n"
    "  --json                one JSON object a line\n";

static void print_line(void *ctx, const struct sighting *s) {
    const bool *as_json = ctx;
    if (*as_json) {
        struct buf out;
        struct jw w;
        buf_init(&out, 4096);
        jw_init(&w, &out);
        jw_open(&w, '{');
        jw_member(&w, "destination", sv_of(s->destination));
        jw_member(&w, "event", sv_of(s->event_name));
        jw_member(&w, "event_id", sv_of(s->event_id));
        jw_member(&w, "capi_status", sv_of(s->capi_status));
        jw_key(&w, "status");
        jw_int(&w, s->status);
        jw_key(&w, "came_ms");
        jw_int(&w, s->came_ms);
        jw_close(&w, '}');
        printf("%s\n", buf_cstr(&out));
        buf_free(&out);
    } else {
        printf("%-8s %d  %-30s %s%s%s\n", s->destination, s->status, s->event_name, s->event_id, s->capi_status[0] ? "  capi_status " : "",
               s->capi_status);
    }
    fflush(stdout);
}

static int bad_usage(void) {
    fputs(usage, stderr);
    return 2;
}

int command_sandbox(int argc, char **argv) {
    enum { LISTEN = 1, DELAY, META, KLAVIYO, JSON, HELP };
    static const struct option options[] = {{"listen", 1, NULL, LISTEN}, {"delay", 1, NULL, DELAY},        {"meta-status", 1, NULL, META},
                                            {"json", 0, NULL, JSON},     {"klaviyo-status", 1, NULL, KLAVIYO}, {"help", 0, NULL, HELP},
                                            {NULL, 0, NULL, 0}};
    bool as_json = false;
    struct sandbox_config config = {.listen = SV("127.0.0.1:9100"), .saw = print_line, .ctx = &as_json};
    int64_t number = 0;
    for (int o; (o = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (o == LISTEN)
            config.listen = sv_of(optarg);
        else if (o == DELAY && duration_parse(sv_of(optarg), &config.delay_ms))
            continue;
        else if ((o == META || o == KLAVIYO) && sv_i64(sv_of(optarg), &number) && number >= 100 && number <= 599)
            *(o == META ? &config.meta_status : &config.klaviyo_status) = (int)number;
        else if (o == JSON)
            as_json = true;
        else if (o == HELP)
            return fputs(usage, stdout), 0;
        else
            return bad_usage();
    }
    if (optind < argc)
        return bad_usage();

    sigset_t stop;
    sigemptyset(&stop);
    sigaddset(&stop, SIGINT);
    sigaddset(&stop, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &stop, NULL);
    struct sandbox *s = NULL;
    struct err e;
    if (sandbox_start(&config, &s, &e)) {
        fprintf(stderr, "fireorder sandbox: %s\n", e.text);
        return 1;
    }
    fprintf(stderr, "sandbox: Meta and Klaviyo at http://127.0.0.1:%d (Ctrl-C ends it)\n", sandbox_port(s));
    int signal_number = 0;
    sigwait(&stop, &signal_number);
    sandbox_stop(s);
    return 0;
}
