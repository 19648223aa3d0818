// main.c: the first word says what to do.
#include "base/yaml.h"
#include "server/commands/commands.h"

#include <signal.h>
#include <stdio.h>

static const struct command {
    const char *name, *summary;
    int (*run)(int argc, char **argv);
} commands[] = {
    {"serve", "receive webhooks and send them on; the service", command_serve},
    {"demo", "everything on this machine, no account needed: what arrives where, and when", command_demo},
    {"check", "validate a configuration; exit 1 with the reasons", command_check},
    {"send", "sign recorded webhooks and post them, as Shopify and Recharge would", command_send},
    {"map", "print what a recorded webhook would become, and why, without sending it", command_map},
    {"report", "where conversions leak: identity, click ids, consent, double sending, order", command_report},
    {"sandbox", "a Meta and a Klaviyo that print what they receive", command_sandbox},
};

static void print_usage(FILE *out) {
    fputs("fireorder " FIREORDER_VERSION ": Shopify and Recharge webhooks to Meta first, then to Klaviyo\n\n"
          "usage: fireorder COMMAND [...]\n\n", out);
    for (size_t i = 0; i < COUNTOF(commands); i++)
        fprintf(out, "  %-9s%s\n", commands[i].name, commands[i].summary);
    fputs("\n`fireorder COMMAND --help` tells more about one.\n", out);
}

static int unknown(struct sv word) {
    const char *names[COUNTOF(commands)];
    for (size_t i = 0; i < COUNTOF(commands); i++)
        names[i] = commands[i].name;
    const char *near = nearest_word(word, names, COUNTOF(names));
    fprintf(stderr, "fireorder: there is no command `" SV_FMT "`", SV_ARG(word));
    fprintf(stderr, near ? "; did you mean `%s`?\n" : "; see `fireorder --help`\n", near);
    return 2;
}

int main(int argc, char **argv) {
    signal(SIGPIPE, SIG_IGN);  // a peer that hangs up is an error of that connection only
    struct sv word = sv_of(argc > 1 ? argv[1] : NULL);
    if (!word.p) {
        print_usage(stderr);
        return 2;
    }
    if (sv_is(word, "--help") || sv_is(word, "-h") || sv_is(word, "help")) {
        print_usage(stdout);
        return 0;
    }
    if (sv_is(word, "--version")) {
        puts("fireorder " FIREORDER_VERSION);
        return 0;
    }
    for (size_t i = 0; i < COUNTOF(commands); i++)
        if (sv_is(word, commands[i].name))
            return commands[i].run(argc - 1, argv + 1);
    return unknown(word);
}
