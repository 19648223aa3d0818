// rules_compile.c: from mapping files to rules. What may stand in a file is the tables below; every fault is noted, with its place.
#include "base/clock.h"
#include "default_mapping.h"
#include "mapping/rules/rules_parts.h"

#define FILE_DEFAULT "default.yaml"
#define METRIC_BYTES_MOST 127   // Klaviyo: under 128 characters
#define EVENT_BYTES_MOST 50     // Meta
#define WAIT_MOST DAYS_MS(7)
#define FIELDS_MOST 300         // Klaviyo: 400 properties; our own marks and what the event brings come on top
enum { LEVELS_OF_SETS = 2, LEVELS_OF_RULES = 4 };  // so deep a shop's file is laid into the default; a field is replaced whole

struct set {
    struct sv name;
    struct fields fields;
};

struct compiler {
    struct arena *arena;
    struct faults *faults;
    struct set *sets;
    size_t set_count;
};

// One key of a map. Readers fill what `target` points at.
typedef void reader(struct compiler *c, const struct yaml *node, void *target);
struct key {
    const char *name;
    reader *read;
    bool has_parts;  // what stands in it, but for a single value, has places of its own
};
#define KEYS_MAX 16

static void note_place(struct compiler *c, const char *prefix, const struct yaml *node, struct rule *rule) {
    struct place **end = &rule->places;
    while (*end)
        end = &(*end)->next;
    *end = ARENA_NEW(c->arena, struct place);
    **end = (struct place){arena_fmt(c->arena, "%s" SV_FMT, prefix, SV_ARG(node->key)), node->file, node->line, NULL};
}

// prefix: of its keys, as struct place has it.
static void read_map(struct compiler *c, const struct yaml *map, const char *what, const char *prefix, const struct key *keys, struct rule *rule) {
    const char *names[KEYS_MAX];
    size_t n = 0;
    for (; n < KEYS_MAX && keys[n].name; n++)
        names[n] = keys[n].name;
    if (map->type != YAML_MAP) {
        fault(c->faults, map, "%s must be a map", what);
        return;
    }
    YAML_EACH(node, map) {
        size_t i = 0;
        while (i < n && !sv_is(node->key, names[i]))
            i++;
        const char *near = i < n ? NULL : nearest_word(node->key, names, n);
        if (i < n && (!keys[i].has_parts || node->type == YAML_SCALAR))
            note_place(c, prefix, node, rule);
        if (i < n)
            keys[i].read(c, node, rule);
        else
            fault(c->faults, node, near ? "%s: unknown key \"%s\", did you mean \"%s\"?" : "%s: unknown key \"%s\"", what,
                  shown_word(c->arena, node->key), near);
    }
}

// ---- plain values

static bool is_scalar(struct compiler *c, const struct yaml *node) {
    if (node->type == YAML_SCALAR && sv_present(node->text))
        return true;
    fault(c->faults, node, "%s must be a single value", shown_word(c->arena, node->key));
    return false;
}

static size_t choose(struct compiler *c, const struct yaml *node, const char *const *words, size_t n, const char *list) {
    if (!is_scalar(c, node))
        return n;
    for (size_t i = 0; i < n; i++)
        if (sv_is(node->text, words[i]))
            return i;
    fault(c->faults, node, "%s must be %s", shown_word(c->arena, node->key), list);
    return n;
}

static void read_bool(struct compiler *c, const struct yaml *node, bool *ret) {
    static const char *const words[] = {"false", "true"};
    size_t i = choose(c, node, words, COUNTOF(words), "true or false");
    if (i < COUNTOF(words))
        *ret = i == 1;
}

static void read_duration(struct compiler *c, const struct yaml *node, int64_t most, int64_t *ret) {
    int64_t ms;
    if (!is_scalar(c, node))
        return;
    if (duration_parse(node->text, &ms) && ms >= 0 && ms <= most)
        *ret = ms;
    else
        fault(c->faults, node, "%s must be a duration such as 10s, 15m or 72h, at most %lldh", shown_word(c->arena, node->key),
              (long long)(most / HOURS_MS(1)));
}

static void read_name(struct compiler *c, const struct yaml *node, size_t most, struct sv *ret) {
    if (!is_scalar(c, node))
        return;
    if (node->text.n > most)
        fault(c->faults, node, "%s is longer than %zu bytes", shown_word(c->arena, node->key), most);
    else
        *ret = node->text;
}

static void read_condition(struct compiler *c, const struct yaml *node, const struct condition **ret) {
    struct err e;
    if (is_scalar(c, node) && condition_compile(c->arena, node->text, ret, &e) != RC_OK)
        fault(c->faults, node, "when: %s", e.text);
}

// ---- fields

// Where two have one name the later one stands, in the place of the earlier.
static void add_fields(struct compiler *c, const struct yaml *node, struct fields more, struct fields *io) {
    struct field *all = ARENA_ARRAY(c->arena, struct field, io->n + more.n);
    size_t n = io->n;
    for (size_t i = 0; i < io->n; i++)
        all[i] = io->v[i];
    for (size_t i = 0; i < more.n; i++) {
        size_t at = 0;
        while (at < n && !sv_eq(all[at].name, more.v[i].name))
            at++;
        all[at] = more.v[i];
        n += at == n;
    }
    if (n > FIELDS_MOST)
        fault(c->faults, node, "%zu fields, %d is the most", n, FIELDS_MOST);
    *io = (struct fields){all, n};
}

static const struct set *set_named(struct compiler *c, const struct yaml *node) {
    const char **names = ARENA_ARRAY(c->arena, const char *, c->set_count + 1);
    for (size_t i = 0; i < c->set_count; i++) {
        if (sv_eq(c->sets[i].name, node->text))
            return &c->sets[i];
        names[i] = arena_cstr(c->arena, c->sets[i].name);
    }
    const char *near = nearest_word(node->text, names, c->set_count);
    fault(c->faults, node, near ? "use: there is no set \"%s\", did you mean \"%s\"?" : "use: there is no set \"%s\"",
          shown_word(c->arena, node->text), near);
    return NULL;
}

// Sets come before the rule's own fields, wherever they stand in the file.
static void read_use(struct compiler *c, const struct yaml *node, struct fields *io) {
    struct fields own = *io, sets = {0};
    if (node->type != YAML_LIST) {
        fault(c->faults, node, "use must be a list of sets: [items, order]");
        return;
    }
    YAML_EACH(item, node) {
        const struct set *set = item->type == YAML_SCALAR ? set_named(c, item) : NULL;
        if (set)
            add_fields(c, item, set->fields, &sets);
    }
    add_fields(c, node, own, &sets);
    *io = sets;
}

// What fireorder itself writes there: twice would be once too often.
static const char *const meta_reserved[] = {"value", "currency", NULL};
static const char *const profile_reserved[] = {"customer_id", NULL};
const char *const rules_marks[] = {
    "source", "event_id", "dedup_scope", "origin", "purpose", "capi_event_id", "capi_status", "capi_reason", "customer_id",
    "experiment_id", "variant", NULL,
};

// The built-in file is nobody's to change: what is wrong with a field of it is wrong with the rule that uses it.
static struct yaml place_of(const struct rule *r, const struct field *f) {
    bool built_in = sv_is(sv_of(f->file), FILE_DEFAULT);
    return (struct yaml){.file = built_in ? r->file : f->file, .line = built_in ? r->line : f->line};
}

// Meta gets persons hashed, in user_data, and nowhere else.
static void check_persons(struct compiler *c, const struct rule *r) {
    const struct fields *fields = &r->meta.fields;
    for (size_t i = 0; i < fields->n; i++)
        if (expression_names_person(fields->v[i].from)) {
            struct yaml place = place_of(r, &fields->v[i]);
            fault(c->faults, &place, "meta: data may not hold anything of the user: Meta gets it hashed");
        }
}

static void check_names(struct compiler *c, const struct rule *r, const struct fields *fields, const char *what, const char *const *reserved) {
    for (size_t i = 0; i < fields->n; i++)
        for (const char *const *name = reserved; *name; name++)
            if (sv_is(fields->v[i].name, *name)) {
                struct yaml place = place_of(r, &fields->v[i]);
                fault(c->faults, &place, "%s: \"%s\" is written by fireorder itself: choose another name", what, *name);
            }
}

static void read_own_fields(struct compiler *c, const struct yaml *node, struct fields *io) {
    add_fields(c, node, fields_compile(c->arena, c->faults, node), io);
}

// ---- one destination's part

static void read_consent(struct compiler *c, const struct yaml *node, struct rule_part *p) {
    static const char *const words[] = {"none", "marketing", "analytics"};  // in the order of enum consent_purpose
    size_t i = choose(c, node, words, COUNTOF(words), "one of none, marketing, analytics");
    p->has_consent = i < COUNTOF(words);
    p->consent = p->has_consent ? (enum consent_purpose)i : p->consent;
}

#define RULE(target) ((struct rule *)(target))

static void meta_skip(struct compiler *c, const struct yaml *node, void *t) { read_bool(c, node, &RULE(t)->meta.skip); }
static void meta_when(struct compiler *c, const struct yaml *node, void *t) { read_condition(c, node, &RULE(t)->meta.when); }
static void meta_consent(struct compiler *c, const struct yaml *node, void *t) { read_consent(c, node, &RULE(t)->meta); }
static void meta_event(struct compiler *c, const struct yaml *node, void *t) { read_name(c, node, EVENT_BYTES_MOST, &RULE(t)->meta.name); }
static void meta_use(struct compiler *c, const struct yaml *node, void *t) { read_use(c, node, &RULE(t)->meta.fields); }
static void meta_data(struct compiler *c, const struct yaml *node, void *t) { read_own_fields(c, node, &RULE(t)->meta.fields); }

static const struct key meta_keys[] = {
    {"skip", meta_skip, false}, {"when", meta_when, false}, {"consent", meta_consent, false}, {"event", meta_event, false}, {"use", meta_use, true},
    {"data", meta_data, true}, {0},
};

static void klaviyo_skip(struct compiler *c, const struct yaml *node, void *t) { read_bool(c, node, &RULE(t)->klaviyo.skip); }
static void klaviyo_when(struct compiler *c, const struct yaml *node, void *t) { read_condition(c, node, &RULE(t)->klaviyo.when); }
static void klaviyo_consent(struct compiler *c, const struct yaml *node, void *t) { read_consent(c, node, &RULE(t)->klaviyo); }
static void klaviyo_metric(struct compiler *c, const struct yaml *node, void *t) { read_name(c, node, METRIC_BYTES_MOST, &RULE(t)->klaviyo.name); }
static void klaviyo_trigger(struct compiler *c, const struct yaml *node, void *t) { read_name(c, node, METRIC_BYTES_MOST, &RULE(t)->trigger); }

static void klaviyo_value(struct compiler *c, const struct yaml *node, void *t) {
    RULE(t)->value = expression_compile(c->arena, c->faults, node);
    if (RULE(t)->value && !expression_may_be_amount(RULE(t)->value))
        fault(c->faults, node, "value: revenue must be an amount such as 129.95: a path, count, sum or constant");
}

static void klaviyo_pass(struct compiler *c, const struct yaml *node, void *t) { read_bool(c, node, &RULE(t)->pass); }
static void klaviyo_window(struct compiler *c, const struct yaml *node, void *t) { read_duration(c, node, DAYS_MS(365), &RULE(t)->flow_window_ms); }
static void klaviyo_use(struct compiler *c, const struct yaml *node, void *t) { read_use(c, node, &RULE(t)->klaviyo.fields); }
static void klaviyo_properties(struct compiler *c, const struct yaml *node, void *t) { read_own_fields(c, node, &RULE(t)->klaviyo.fields); }

// identify: true, false, or the profile properties that come along.
static void klaviyo_identify(struct compiler *c, const struct yaml *node, void *t) {
    if (node->type != YAML_MAP) {
        read_bool(c, node, &RULE(t)->identify);
        return;
    }
    RULE(t)->identify = true;
    read_own_fields(c, node, &RULE(t)->profile);
}

static const struct key klaviyo_keys[] = {
    {"skip", klaviyo_skip, false}, {"when", klaviyo_when, false}, {"consent", klaviyo_consent, false}, {"metric", klaviyo_metric, false},
    {"trigger", klaviyo_trigger, false}, {"value", klaviyo_value, false}, {"identify", klaviyo_identify, true}, {"pass", klaviyo_pass, false},
    {"flow_window", klaviyo_window, false}, {"use", klaviyo_use, true}, {"properties", klaviyo_properties, true}, {0},
};

// ---- one rule

static void rule_when(struct compiler *c, const struct yaml *node, void *t) { read_condition(c, node, &RULE(t)->when); }
static void rule_max_wait(struct compiler *c, const struct yaml *node, void *t) { read_duration(c, node, WAIT_MOST, &RULE(t)->patience.max_wait_ms); }
static void rule_meta(struct compiler *c, const struct yaml *node, void *t) { read_map(c, node, "meta", "meta.", meta_keys, t); }
static void rule_klaviyo(struct compiler *c, const struct yaml *node, void *t) { read_map(c, node, "klaviyo", "klaviyo.", klaviyo_keys, t); }

static void rule_on_fail(struct compiler *c, const struct yaml *node, void *t) {
    static const char *const words[] = {"continue", "hold", "stop"};  // in the order of enum on_fail
    size_t i = choose(c, node, words, COUNTOF(words), "one of continue, hold, stop");
    if (i < COUNTOF(words))
        RULE(t)->patience.on_fail = (enum on_fail)i;
}

static void rule_purpose(struct compiler *c, const struct yaml *node, void *t) {
    static const char *const words[] = {"marketing", "transactional"};  // in the order of enum purpose
    size_t i = choose(c, node, words, COUNTOF(words), "marketing or transactional");
    RULE(t)->has_purpose = i < COUNTOF(words);
    RULE(t)->purpose = RULE(t)->has_purpose ? (enum purpose)i : RULE(t)->purpose;
}

// Said of the whole rule it counts whatever its parts say, and wherever it stands: see compile_rule.
static void rule_skip(struct compiler *c, const struct yaml *node, void *t) {
    bool checked;
    (void)t;
    read_bool(c, node, &checked);
}

static const struct key rule_keys[] = {
    {"when", rule_when, false}, {"skip", rule_skip, false}, {"purpose", rule_purpose, false}, {"on_fail", rule_on_fail, false},
    {"max_wait", rule_max_wait, false}, {"meta", rule_meta, true}, {"klaviyo", rule_klaviyo, true}, {0},
};

static const struct rule *compile_rule(struct compiler *c, struct sv event, const struct yaml *node, const struct rule *next) {
    struct rule *r = ARENA_NEW(c->arena, struct rule);
    *r = (struct rule){.event = event, .file = node->file, .line = node->line, .next = next, .identify = true, .pass = true,
                       .patience = {ON_FAIL_CONTINUE, SECONDS_MS(10)}, .flow_window_ms = HOURS_MS(72)};
    read_map(c, node, arena_cstr(c->arena, event), "", rule_keys, r);
    const struct yaml *skip = yaml_get(node, "skip");
    if (skip && sv_is(skip->text, "true"))
        r->meta.skip = r->klaviyo.skip = true;
    if (r->klaviyo.skip && !yaml_get(yaml_get(node, "klaviyo"), "identify"))
        r->identify = false;
    check_names(c, r, &r->meta.fields, "meta", meta_reserved);
    check_persons(c, r);
    check_names(c, r, &r->klaviyo.fields, "klaviyo", rules_marks);
    check_names(c, r, &r->profile, "identify", profile_reserved);
    return r;
}

// Several rules for one event are a list; compiled from its end, so that each knows the next.
static const struct rule *compile_list(struct compiler *c, struct sv event, const struct yaml *node) {
    if (node && node->next && node->type == YAML_MAP && !yaml_get(node, "when"))
        fault(c->faults, node->next, "this rule is never reached: the one before it, of line %zu, has no `when`", node->line);
    return node ? compile_rule(c, event, node, compile_list(c, event, node->next)) : NULL;
}

// A name that nobody knows is one of the shop's own, unless it looks like a slip.
static void check_event_name(struct compiler *c, const struct yaml *node) {
    const char *names[EVENT_NAME_COUNT];
    size_t n = 0;
    for (enum event_name name = EVENT_CUSTOM + 1; name < EVENT_NAME_COUNT; name++)
        names[n++] = event_name_text(name);
    bool known = event_name_of(node->key) != EVENT_CUSTOM || sv_is(node->key, "custom");
    const char *near = known ? NULL : nearest_word(node->key, names, n);
    if (near)
        fault(c->faults, node, "event \"%s\": did you mean \"%s\"?", shown_word(c->arena, node->key), near);
    else if (!known && !event_name_valid(node->key))
        fault(c->faults, node, "event \"%s\": a name is 1 to 64 of a-z, 0-9 and _; no event can have this one", shown_word(c->arena, node->key));
}

// ---- the files

static size_t child_count(const struct yaml *map) {
    size_t n = 0;
    YAML_EACH(child, map)
        n++;
    return n;
}

static void compile_sets(struct compiler *c, const struct yaml *map) {
    c->sets = ARENA_ARRAY(c->arena, struct set, child_count(map) + 1);
    YAML_EACH(node, map)
        c->sets[c->set_count++] = (struct set){node->key, fields_compile(c->arena, c->faults, node)};
}

static const struct yaml *first_named(const struct yaml *map, enum event_name name) {
    YAML_EACH(node, map)
        if (event_name_of(node->key) == name)
            return node;
    return NULL;
}

// The same rules, each under the event's own name: aliases are one with it, before one file is laid over the other.
static const struct yaml *without_aliases(struct compiler *c, const struct yaml *map) {
    struct yaml *named = ARENA_NEW(c->arena, struct yaml), **end = &named->child;
    *named = *map;
    named->child = NULL;
    YAML_EACH(node, map) {
        enum event_name name = event_name_of(node->key);
        const char *text = event_name_text(name);
        const struct yaml *same = name == EVENT_CUSTOM ? NULL : first_named(map, name);
        if (same && same != node)
            fault(c->faults, node, "%s: it is the same event as %s, which has its rule in line %zu", shown_word(c->arena, node->key),
                  shown_word(c->arena, same->key), same->line);
        *end = ARENA_NEW(c->arena, struct yaml);
        **end = *node;
        (*end)->next = NULL;
        if (name != EVENT_CUSTOM)
            (*end)->key = sv_of(text);
        end = &(*end)->next;
    }
    return named;
}

static const struct rules *compile_rules(struct compiler *c, const struct yaml *map) {
    struct rules *r = ARENA_NEW(c->arena, struct rules);
    *r = (struct rules){.v = ARENA_ARRAY(c->arena, struct event_rules, child_count(map) + 1)};
    YAML_EACH(node, map) {
        check_event_name(c, node);
        if (node->type == YAML_LIST && !node->child)
            fault(c->faults, node, "%s: the list has no rule (nothing is sent with skip: true)", shown_word(c->arena, node->key));
        const struct rule *first = node->type == YAML_LIST ? compile_list(c, node->key, node->child) : compile_rule(c, node->key, node, NULL);
        r->v[r->count++] = (struct event_rules){node->key, first};
    }
    return r;
}

// A null takes away what the default says; where it says nothing, something else was meant.
static void check_nulls(struct compiler *c, const struct yaml *under, const struct yaml *over, unsigned depth) {
    size_t n = 0;
    if (over->type != YAML_MAP || depth == 0)
        return;
    const char **names = ARENA_ARRAY(c->arena, const char *, child_count(under) + 1);
    YAML_EACH(member, under)
        names[n++] = arena_cstr(c->arena, member->key);
    YAML_EACH(member, over) {
        const struct yaml *same = yaml_get(under, arena_cstr(c->arena, member->key));
        bool is_null = member->type == YAML_SCALAR && !member->quoted && (sv_is(member->text, "null") || sv_is(member->text, "~"));
        const char *near = same ? NULL : nearest_word(member->key, names, n);
        if (is_null && !same)
            fault(c->faults, member, near ? "%s: null takes away what the default says, it has no such name; did you mean \"%s\"?"
                                          : "%s: null takes away what the default says, it has no such name",
                  shown_word(c->arena, member->key), near);
        check_nulls(c, same, member, depth - 1);
    }
}

static const struct yaml *overlaid(struct compiler *c, const struct yaml *under, const struct yaml *over, unsigned depth) {
    check_nulls(c, under, over, depth);
    return yaml_overlay(c->arena, under, over, depth);
}

// NULL: it cannot be read. All other faults are noted, and the rest of the file is as good as any.
static const struct yaml *read_file(struct compiler *c, struct sv text, const char *name) {
    static const char *const known[] = {"version", "sets", "rules"};
    struct yaml *root;
    if (yaml_parse(c->arena, text, name, c->faults, &root) != RC_OK)
        return NULL;
    const struct yaml *version = yaml_get(root, "version");
    if (!version || !sv_is(version->text, "1"))
        fault(c->faults, version ? version : root, "a mapping file begins with version: 1");
    YAML_EACH(node, root->type == YAML_MAP ? root : NULL) {
        bool found = false;
        for (size_t i = 0; i < COUNTOF(known); i++)
            found |= sv_is(node->key, known[i]);
        if (!found)
            fault(c->faults, node, "unknown key \"%s\", here may stand: version, sets, rules", shown_word(c->arena, node->key));
        else if (!sv_is(node->key, "version") && node->type != YAML_MAP)
            fault(c->faults, node, "%s must be a map", shown_word(c->arena, node->key));
    }
    return root;
}

// A rule that the default has in alternatives: one rule of a shop is laid over each of them.
static const struct yaml *over_each(struct compiler *c, const struct yaml *under, const struct yaml *over) {
    struct yaml *list = ARENA_NEW(c->arena, struct yaml), **end = &list->child;
    *list = *over;
    list->type = YAML_LIST;
    list->child = NULL;
    YAML_EACH(alternative, under) {
        const struct yaml *laid = yaml_overlay(c->arena, alternative, over, LEVELS_OF_RULES - 1);
        struct yaml *item = ARENA_NEW(c->arena, struct yaml);
        *item = laid ? *laid : (struct yaml){.type = YAML_MAP, .file = over->file, .line = over->line};
        item->next = NULL;
        *end = item;
        end = &item->next;
    }
    return list;
}

static const struct yaml *with_alternatives(struct compiler *c, const struct yaml *under, const struct yaml *over) {
    struct yaml *map = ARENA_NEW(c->arena, struct yaml), **end = &map->child;
    *map = *over;
    map->child = NULL;
    YAML_EACH(rule, over) {
        const struct yaml *known = under->child;
        while (known && !sv_eq(known->key, rule->key))
            known = known->next;
        bool spread = rule->type == YAML_MAP && known && known->type == YAML_LIST;
        struct yaml *copy = ARENA_NEW(c->arena, struct yaml);
        *copy = spread ? *over_each(c, known, rule) : *rule;
        copy->next = NULL;
        *end = copy;
        end = &copy->next;
    }
    return map;
}

// What is no map has been told of already.
static const struct yaml *part_of(const struct yaml *file, const char *key) {
    const struct yaml *part = yaml_get(file, key);
    return part && part->type == YAML_MAP ? part : NULL;
}

const struct rules *rules_compile(struct arena *a, struct sv own, const char *own_name, struct faults *f) {
    struct compiler c = {.arena = a, .faults = f};
    size_t before = f->count;
    const struct yaml *base = read_file(&c, sv_of(yaml_default), FILE_DEFAULT);
    const struct yaml *sets = yaml_get(base, "sets"), *rules = yaml_get(base, "rules");
    const struct yaml *over = own.p ? read_file(&c, own, own_name) : NULL;
    if (!base || (own.p && !over))
        return NULL;
    if (part_of(over, "sets"))
        sets = overlaid(&c, sets, part_of(over, "sets"), LEVELS_OF_SETS);
    if (part_of(over, "rules"))
        rules = overlaid(&c, rules, with_alternatives(&c, rules, without_aliases(&c, part_of(over, "rules"))), LEVELS_OF_RULES);
    compile_sets(&c, sets);
    const struct rules *compiled = compile_rules(&c, rules);
    if (!arena_ok(a))
        fault(f, over ? over : base, "the mapping is too large");
    return f->count > before ? NULL : compiled;
}
