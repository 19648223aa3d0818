// field_compile.c: from YAML to fields. Which keys may stand together is the table of forms.
#include "mapping/rules/expression.h"
#include "mapping/rules/number.h"

#define DEPTH_MOST 16

struct compiler {
    struct arena *arena;
    struct faults *faults;
    unsigned level;
    bool in_each;
};

static struct fields compile_fields(struct compiler *c, const struct yaml *map);

static const char *shown_key(struct compiler *c, const struct yaml *node) {
    return sv_present(node->key) ? shown_word(c->arena, node->key) : "a value";
}

// ---- what stands behind the keys

static bool is_scalar(struct compiler *c, const struct yaml *node, const char *name, const char *expected) {
    if (node->type == YAML_SCALAR && (node->text.n > 0 || node->quoted))
        return true;
    const char *is = node->type == YAML_LIST ? "a list" : node->type == YAML_MAP ? "a map" : "nothing";
    fault(c->faults, node, "%s: expected %s, here is %s", name, expected, is);
    return false;
}

static const struct path *read_path(struct compiler *c, const struct yaml *node, const char *name) {
    const struct path *path;
    struct err e;
    if (!is_scalar(c, node, name, "a path such as user.email"))
        return NULL;
    if (path_compile(c->arena, node->text, &path, &e) == RC_OK)
        return path;
    fault(c->faults, node, "%s: %s%s", name, e.text, node->quoted ? " (a fixed text is written { constant: ... })" : "");
    return NULL;
}

static size_t child_count(const struct yaml *node) {
    size_t n = 0;
    YAML_EACH(child, node)
        n++;
    return n;
}

static void add_path(struct compiler *c, const struct yaml *node, const char *name, const struct path **paths, struct expression *x) {
    const struct path *path = read_path(c, node, name);
    if (path)
        paths[x->path_count++] = path;
}

static void read_paths(struct compiler *c, const struct yaml *node, struct expression *x) {
    const char *name = shown_key(c, node);
    const struct path **paths = ARENA_ARRAY(c->arena, const struct path *, child_count(node) + 1);
    x->paths = paths;
    if (node->type != YAML_LIST)
        add_path(c, node, name, paths, x);
    else if (!node->child)
        fault(c->faults, node, "%s: the list has no path", name);
    else
        YAML_EACH(item, node)
            add_path(c, item, name, paths, x);
}

static void read_constant(struct compiler *c, const struct yaml *node, struct expression *x) {
    struct sv text = node->text;
    bool is_true = sv_is(text, "true"), is_none = sv_is(text, "null") || sv_is(text, "~");
    if (!is_scalar(c, node, "constant", "a text, a number, true or false"))
        return;
    if (text.n == 0 || (!node->quoted && is_none))
        fault(c->faults, node, "constant: what is empty is left out anyway");
    x->constant = (struct value){.kind = VALUE_TEXT, .text = text};
    if (!node->quoted && (is_true || sv_is(text, "false")))
        x->constant = (struct value){.kind = VALUE_BOOL, .truth = is_true};
    else if (!node->quoted && number_valid(text))
        x->constant.kind = VALUE_NUMBER;
}

static void read_items(struct compiler *c, const struct yaml *node, struct expression *x) {
    (void)x;
    const char *name = shown_key(c, node);
    if (is_scalar(c, node, name, "items") && !sv_is(node->text, "items") && !sv_is(node->text, "event.items"))
        fault(c->faults, node, "%s: only items can be gone through, as in %s: items", name, name);
}

static void read_item_path(struct compiler *c, const struct yaml *node, struct expression *x) {
    const char *name = shown_key(c, node);
    const struct path **paths = ARENA_NEW(c->arena, const struct path *);
    x->paths = paths;
    add_path(c, node, name, paths, x);
    if (x->path_count == 0 || (path_is_item(paths[0]) && (x->source == OF_LIST || path_is_number(paths[0]))))
        return;
    fault(c->faults, node, "%s: expected %s", name,
          x->source == OF_LIST ? "what an item has, such as item.sku" : "a number of an item: item.quantity, item.price or item.total");
}

static void read_fields(struct compiler *c, const struct yaml *node, struct expression *x) {
    x->fields = compile_fields(c, node);
}

static void read_when(struct compiler *c, const struct yaml *node, struct expression *x) {
    struct err e;
    if (is_scalar(c, node, "when", "a condition such as value >= 50") &&
        condition_compile(c->arena, node->text, &x->when, &e) != RC_OK)
        fault(c->faults, node, "when: %s", e.text);
}

static void read_as(struct compiler *c, const struct yaml *node, struct expression *x) {
    x->as = sv_is(node->text, "text") ? AS_TEXT : AS_NUMBER;
    if (x->as == AS_NUMBER && !sv_is(node->text, "number"))
        fault(c->faults, node, "as: expected text or number");
}

// ---- forms

typedef void reader(struct compiler *c, const struct yaml *node, struct expression *x);

static const struct form {
    const char *key;         // that makes it this form; the first one that is there
    enum source source;
    bool of_items;
    reader *read;
    const char *other;       // may stand beside it, as `when` may everywhere
    reader *read_other;
    bool needs_other;
} forms[] = {
    {"constant", FROM_CONSTANT, false, read_constant, NULL, NULL, false},
    {"from", FROM_PATHS, false, read_paths, "as", read_as, false},
    {"list", OF_LIST, true, read_item_path, NULL, NULL, false},
    {"count", OF_COUNT, true, read_items, NULL, NULL, false},
    {"sum", OF_SUM, true, read_item_path, NULL, NULL, false},
    {"each", OF_EACH, true, read_items, "fields", read_fields, true},
    {"fields", FROM_FIELDS, false, read_fields, NULL, NULL, false},
};

static const char *const keys[] = {"constant", "from", "list", "count", "sum", "each", "fields", "as", "when"};

static const struct form *form_of(const struct yaml *map) {
    for (size_t i = 0; i < COUNTOF(forms); i++)
        if (yaml_get(map, forms[i].key))
            return &forms[i];
    return NULL;
}

static void fault_key(struct compiler *c, const struct yaml *member, const struct form *form) {
    const char *shown = shown_word(c->arena, member->key);
    for (size_t i = 0; form && i < COUNTOF(keys); i++)
        if (sv_is(member->key, keys[i])) {
            fault(c->faults, member, "%s cannot stand beside %s", shown, form->key);
            return;
        }
    const char *near = nearest_word(member->key, keys, COUNTOF(keys));
    if (near && !sv_is(member->key, near))
        fault(c->faults, member, "unknown key \"%s\", did you mean \"%s\"?", shown, near);
    else if (!near)
        fault(c->faults, member, "unknown key \"%s\", here may stand: constant, from, list, count, sum, each or fields, and when", shown);
}

static reader *reader_of(const struct form *form, struct sv key) {
    if (sv_is(key, "when"))
        return read_when;
    if (!form)
        return NULL;
    if (sv_is(key, form->key))
        return form->read;
    return form->other && sv_is(key, form->other) ? form->read_other : NULL;
}

static void compile_form(struct compiler *c, const struct yaml *map, struct expression *x) {
    const struct form *form = form_of(map);
    size_t before = c->faults->count;
    bool was_in_each = c->in_each;
    if (form && form->of_items && c->in_each) {
        fault(c->faults, map, "%s cannot stand inside each: there is one item at hand", form->key);
        return;
    }
    if (form) {
        x->source = form->source;
        c->in_each |= form->source == OF_EACH;
    }
    YAML_EACH(member, map) {
        reader *read = reader_of(form, member->key);
        if (read)
            read(c, member, x);
        else
            fault_key(c, member, form);
    }
    c->in_each = was_in_each;
    if (!form && c->faults->count == before)
        fault(c->faults, map, "%s: one of constant, from, list, count, sum, each and fields is needed", shown_key(c, map));
    else if (form && form->needs_other && !yaml_get(map, form->other))
        fault(c->faults, map, "%s needs %s beside it", form->key, form->other);
}

static bool compile_expression(struct compiler *c, const struct yaml *node, struct expression *x) {
    size_t before = c->faults->count;
    if (c->level == DEPTH_MOST) {
        fault(c->faults, node, "%s: fields are nested deeper than %d levels", shown_key(c, node), DEPTH_MOST);
        return false;
    }
    c->level++;
    if (node->type == YAML_MAP)
        compile_form(c, node, x);
    else
        read_paths(c, node, x);
    c->level--;
    return c->faults->count == before;
}

static struct fields compile_fields(struct compiler *c, const struct yaml *map) {
    if (map->type != YAML_MAP) {
        fault(c->faults, map, "%s: expected a map: names, and where their values come from", shown_key(c, map));
        return (struct fields){0};
    }
    struct field *v = ARENA_ARRAY(c->arena, struct field, child_count(map));
    size_t n = 0;
    YAML_EACH(member, map) {
        struct expression *x = ARENA_NEW(c->arena, struct expression);
        if (compile_expression(c, member, x))
            v[n++] = (struct field){.name = member->key, .file = member->file, .line = member->line, .from = x};
    }
    return (struct fields){v, n};
}

const struct expression *expression_compile(struct arena *a, struct faults *f, const struct yaml *node) {
    struct compiler c = {.arena = a, .faults = f};
    struct expression *x = ARENA_NEW(a, struct expression);
    return compile_expression(&c, node, x) ? x : NULL;
}

struct fields fields_compile(struct arena *a, struct faults *f, const struct yaml *map) {
    struct compiler c = {.arena = a, .faults = f};
    return compile_fields(&c, map);
}
