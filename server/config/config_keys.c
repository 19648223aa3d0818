#include "server/config/config_keys.h"

#include "base/clock.h"

#include <string.h>

#define LONGEST_DURATION DAYS_MS(3650)

// ---- unknown keys

static size_t key_names(const struct key *keys, const char *names[KEYS_MAX]) {
    size_t n = 0;
    while (n < KEYS_MAX && keys[n].name) {
        names[n] = keys[n].name;
        n++;
    }
    return n;
}

static void fault_unknown(struct loader *l, const struct yaml *node, const struct key *keys) {
    const char *names[KEYS_MAX];
    size_t n = key_names(keys, names);
    const char *near = nearest_word(node->key, names, n);
    if (near) {
        fault(&l->faults, node, "unknown key \"%s\", did you mean \"%s\"?", shown_word(l->arena, node->key), near);
        return;
    }
    struct sv known = sv_of(names[0]);
    for (size_t i = 1; i < n; i++)
        known = arena_fmt(l->arena, SV_FMT ", %s", SV_ARG(known), names[i]);
    fault(&l->faults, node, "unknown key \"%s\", here may stand: " SV_FMT, shown_word(l->arena, node->key), SV_ARG(known));
}

// ---- readers of values

void *key_target(void *target, size_t offset) {
    return (char *)target + offset;
}

// The text of a scalar, interpolated; false when a fault was noted.
bool key_scalar(struct loader *l, const struct key *key, const struct yaml *node, struct sv *ret) {
    struct err e;
    if (node->type != YAML_SCALAR)
        fault(&l->faults, node, "%s must be a single value, not a %s", key->name, node->type == YAML_LIST ? "list" : "map");
    else if (interpolate(l->arena, node->text, ret, &e) != RC_OK)
        fault(&l->faults, node, "%s: %s", key->name, e.text);
    else if (!key->may_be_empty && ret->n == 0)
        fault(&l->faults, node, sv_present(node->text) ? "%s is empty once ${...} is filled in" : "%s is empty", key->name);
    else
        return true;
    return false;
}

static bool checked(struct loader *l, const struct key *key, const struct yaml *node, struct sv *ret) {
    if (!key_scalar(l, key, node, ret))
        return false;
    if (ret->n == 0 || !key->check || key->check(*ret))
        return true;
    fault(&l->faults, node, "%s must be %s", key->name, key->expected);
    return false;
}

void read_text(struct loader *l, const struct key *key, const struct yaml *node, void *target) {
    struct sv text;
    if (checked(l, key, node, &text))
        *(struct sv *)key_target(target, key->offset) = text;
}

// A base URL is put before paths that begin with a slash.
void read_url(struct loader *l, const struct key *key, const struct yaml *node, void *target) {
    struct sv text;
    if (!checked(l, key, node, &text))
        return;
    while (sv_ends(text, SV("/")))
        text.n--;
    *(struct sv *)key_target(target, key->offset) = text;
}

void read_duration(struct loader *l, const struct key *key, const struct yaml *node, void *target) {
    struct sv text;
    int64_t ms = 0;
    if (!key_scalar(l, key, node, &text))
        return;
    if ((key->words[0] && sv_is(text, key->words[0])) || (duration_parse(text, &ms) && ms >= 0 && ms <= LONGEST_DURATION))
        *(int64_t *)key_target(target, key->offset) = ms;
    else
        fault(&l->faults, node, "%s must be a duration such as 500ms, 10s, 15m, 24h or 60d, at most 3650d%s%s", key->name, key->words[0] ? ", or " : "",
              key->words[0] ? key->words[0] : "");
}

void read_number(struct loader *l, const struct key *key, const struct yaml *node, void *target) {
    struct sv text;
    int64_t n;
    if (!key_scalar(l, key, node, &text))
        return;
    if (sv_i64(text, &n) && n >= (int64_t)key->least && n <= (int64_t)key->most)
        *(size_t *)key_target(target, key->offset) = (size_t)n;
    else
        fault(&l->faults, node, "%s must be a whole number from %zu to %zu", key->name, key->least, key->most);
}

// The place of the value among the key's words; false when a fault was noted.
static bool choose(struct loader *l, const struct key *key, const struct yaml *node, size_t *ret) {
    struct sv text, list = SV_NONE;
    size_t n = 0;
    if (!key_scalar(l, key, node, &text))
        return false;
    for (; n < WORDS_MAX && key->words[n]; n++) {
        if (sv_is(text, key->words[n])) {
            *ret = n;
            return true;
        }
        list = n == 0 ? sv_of(key->words[0]) : arena_fmt(l->arena, SV_FMT ", %s", SV_ARG(list), key->words[n]);
    }
    const char *near = nearest_word(text, key->words, n);
    fault(&l->faults, node, "%s must be %s" SV_FMT "%s%s%s", key->name, n > 1 ? "one of " : "", SV_ARG(list), near ? ", did you mean \"" : "",
          near ? near : "", near ? "\"?" : "");
    return false;
}

void read_enum(struct loader *l, const struct key *key, const struct yaml *node, void *target) {
    size_t place;
    if (!choose(l, key, node, &place))
        return;
    unsigned value = (unsigned)place;
    memcpy(key_target(target, key->offset), &value, sizeof value);
}

void read_bool(struct loader *l, const struct key *key, const struct yaml *node, void *target) {
    size_t place;
    if (choose(l, key, node, &place))
        *(bool *)key_target(target, key->offset) = place == 1;
}

void read_constant(struct loader *l, const struct key *key, const struct yaml *node, void *target) {
    (void)target;
    size_t place;
    (void)choose(l, key, node, &place);
}

// ---- readers of lists

// A list with as many values as there is room for; false when it cannot be read.
bool key_list(struct loader *l, const struct key *key, const struct yaml *node) {
    size_t n = 0;
    if (node->type != YAML_LIST) {
        fault(&l->faults, node, "%s must be a list: [first, second]", key->name);
        return false;
    }
    YAML_EACH(item, node)
        n++;
    if (n > key->most)
        fault(&l->faults, node, "%s has %zu values, at most %zu are possible", key->name, n, key->most);
    if (n == 0 && !key->may_be_empty)
        fault(&l->faults, node, "%s has no value", key->name);
    return n <= key->most;
}

void read_list(struct loader *l, const struct key *key, const struct yaml *node, void *target) {
    struct sv *values = key_target(target, key->offset);
    size_t *count = key_target(target, key->count_offset);
    if (!key_list(l, key, node))
        return;
    YAML_EACH(item, node)
        if (checked(l, key, item, &values[*count]))
            ++*count;
}

// ---- readers of maps

static const struct key *key_named(const struct key *keys, struct sv name) {
    for (; keys->name; keys++)
        if (sv_is(name, keys->name))
            return keys;
    return NULL;
}

void read_keys(struct loader *l, const struct key *keys, const struct yaml *map, const char *name, void *target) {
    if (map->type != YAML_MAP) {
        fault(&l->faults, map, "%s must be a map of keys", name);
        return;
    }
    YAML_EACH(member, map) {
        const struct key *key = key_named(keys, member->key);
        if (key)
            key->read(l, key, member, target);
        else
            fault_unknown(l, member, keys);
    }
    for (const struct key *key = keys; key->name; key++)
        if (key->required && !yaml_get(map, key->name))
            fault(&l->faults, map, "%s: %s is missing", name, key->name);
}

void read_map(struct loader *l, const struct key *key, const struct yaml *node, void *target) {
    if (key->marks)
        *(bool *)key_target(target, key->offset) = true;
    read_keys(l, key->keys, node, key->name, target);
}
