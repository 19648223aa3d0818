// redis_settings.c: the settings without which Redis forgets what it has acknowledged.
#include "server/store/redis_settings.h"

#include "base/log.h"

#define VERSION_LEAST 7  // scripts with flags
#define ANSWER_MEMORY ((size_t)256 << 10)

static const struct setting {
    const char *name, *wanted;
    const char *info_field, *info_wanted;  // where CONFIG is refused; NULL: INFO does not tell
    bool durability;                       // not asked for when relaxed
    const char *why;
} settings[] = {
    {"appendonly", "yes", "aof_enabled", "1", true, "else a restart forgets accepted webhooks"},
    {"appendfsync", "always", NULL, NULL, true, "else a power cut forgets the last second of accepted webhooks"},
    {"maxmemory-policy", "noeviction", "maxmemory_policy", "noeviction", false, "else Redis drops waiting webhooks to make room"},
};

// A line "name:value\r\n" of INFO.
static struct sv info_field(struct sv info, const char *name) {
    struct sv line, field, value;
    while (sv_present(info)) {
        sv_cut(info, '\n', &line, &info);
        if (sv_cut(line, ':', &field, &value) && sv_is(field, name))
            return sv_trim(value);
    }
    return SV_NONE;
}

// CONFIG GET answers name, value, name, value ...
static struct sv config_value(const struct redis_reply *config, const char *name) {
    for (size_t i = 0; i + 1 < config->count; i += 2)
        if (sv_is(config->items[i].text, name))
            return config->items[i + 1].text;
    return SV_NONE;
}

static enum rc check_version(struct sv info, struct err *e) {
    struct sv version = info_field(info, "redis_version"), major, rest;
    int64_t number = 0;
    sv_cut(version, '.', &major, &rest);
    if (!sv_i64(major, &number) || number < VERSION_LEAST)
        return err_set(e, RC_INVALID, "Redis is version " SV_FMT ", but has to be %d or newer", SV_ARG(version), VERSION_LEAST);
    return RC_OK;
}

static enum rc check_setting(const struct setting *s, struct sv info, const struct redis_reply *config, struct err *e) {
    bool by_config = config->kind == REPLY_LIST;
    if (!by_config && !s->info_field) {
        log_warn("Redis refuses CONFIG GET: make sure yourself that %s is %s, %s", s->name, s->wanted, s->why);
        return RC_OK;
    }
    struct sv value = by_config ? config_value(config, s->name) : info_field(info, s->info_field);
    if (sv_is(value, by_config ? s->wanted : s->info_wanted))
        return RC_OK;
    return err_set(e, RC_INVALID, "Redis has %s " SV_FMT ", but needs %s %s, %s. Put \"%s %s\" into redis.conf, or: "
                   "redis-cli CONFIG SET %s %s && redis-cli CONFIG REWRITE%s",
                   by_config ? s->name : s->info_field, SV_ARG(value), s->name, s->wanted, s->why, s->name, s->wanted, s->name,
                   s->wanted, s->durability ? ". Who accepts that loss sets durability: relaxed" : "");
}

enum rc redis_settings_check(struct redis *r, bool relaxed, struct err *e) {
    struct arena a;
    arena_init(&a, ANSWER_MEMORY);
    struct redis_command ask[] = {
        {.argv = (struct sv[]){SV("INFO")}, .argc = 1},
        {.argv = (struct sv[]){SV("CONFIG"), SV("GET"), SV("appendonly")}, .argc = 3},
        {.argv = (struct sv[]){SV("CONFIG"), SV("GET"), SV("appendfsync")}, .argc = 3},
        {.argv = (struct sv[]){SV("CONFIG"), SV("GET"), SV("maxmemory-policy")}, .argc = 3},
    };
    const struct redis_reply *info = &ask[0].reply;
    enum rc rc = redis_run(r, &a, ask, COUNTOF(ask), e);
    if (!rc)
        rc = redis_failed(info, e);
    if (!rc)
        rc = check_version(info->text, e);
    for (size_t i = 0; i < COUNTOF(settings) && !rc; i++)
        if (!relaxed || !settings[i].durability)
            rc = check_setting(&settings[i], info->text, &ask[i + 1].reply, e);
    arena_free(&a);
    return rc;
}

_Static_assert(COUNTOF(settings) == 3, "redis_settings_check asks for each setting");
