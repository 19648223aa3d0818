// redis_settings.c: the settings without which Redis forgets what it has acknowledged.
#include "server/store/redis/redis_settings.h"

#include "base/log.h"

#define VERSION_LEAST 7  // scripts with flags

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

static enum rc check_setting(struct redis_settings *accepted, const struct setting *s, struct sv info, const struct redis_reply *config, struct err *e) {
    bool by_config = config->kind == REPLY_LIST;
    if (!by_config && !s->info_field) {
        if (!__atomic_exchange_n(&accepted->warned, 1, __ATOMIC_RELAXED))
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

enum rc redis_settings_look(struct redis_settings *accepted, struct redis_conn *c, struct arena *a, struct err *e) {
    struct redis_reply info, config;
    enum rc rc = redis_conn_ask(c, a, (struct sv[]){SV("INFO")}, 1, &info, e);
    if (!rc)
        rc = check_version(info.text, e);
    for (const struct setting *s = settings; s < settings + COUNTOF(settings) && !rc; s++) {
        if (accepted->relaxed && s->durability)
            continue;
        rc = redis_conn_ask(c, a, (struct sv[]){SV("CONFIG"), SV("GET"), sv_of(s->name)}, 3, &config, e);
        if (!rc || config.kind == REPLY_ERROR)  // where CONFIG is refused, INFO may tell
            rc = check_setting(accepted, s, info.text, &config, e);
    }
    return rc;
}
