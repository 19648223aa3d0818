// yaml.c: libyaml's events as a tree; what could surprise the writer of a file is refused with file and line.
#include "base/faults.h"

#include <string.h>
#include <yaml.h>

enum {
    INPUT_LIMIT = 1 << 20,
    DEPTH_LIMIT = 32,
    KEYS_LIMIT = 4096,  // of one map: the search for duplicates compares each with each
};

struct reader {
    yaml_parser_t parser;
    struct arena *arena;
    struct sv bytes;
    const char *file;
    struct err *e;          // why it cannot be read on
    struct faults *faults;  // what else is wrong
};

static size_t line_of(const yaml_event_t *event) {
    return event->start_mark.line + 1;
}

// ---- errors

// libyaml has no position for a byte that it cannot read, only its offset.
static size_t line_at(struct sv bytes, size_t offset) {
    size_t line = 1;
    for (size_t i = 0; i < offset && i < bytes.n; i++)
        line += bytes.p[i] == '\n';
    return line;
}

// libyaml's own texts name what it looked for, never what stands in the file.
static enum rc syntax_error(struct reader *r) {
    const yaml_parser_t *p = &r->parser;
    const char *problem = p->problem ? p->problem : "cannot be read";
    if (p->error == YAML_MEMORY_ERROR)
        return err_set(r->e, RC_TOO_LARGE, "%s: out of memory", r->file);
    if (p->error == YAML_READER_ERROR)
        return err_set(r->e, RC_INVALID, "%s:%zu: %s (the file must be UTF-8 text)", r->file, line_at(r->bytes, p->problem_offset), problem);
    return err_set(r->e, RC_INVALID, "%s:%zu: %s%s%s", r->file, p->problem_mark.line + 1, p->context ? p->context : "",
                   p->context ? ", " : "", problem);
}

static enum rc refuse(struct reader *r, size_t line, const char *what) {
    return err_set(r->e, RC_INVALID, "%s:%zu: %s", r->file, line, what);
}

// ---- events

// Refuses what a configuration file has no use for: a name for a piece of the file, and types told by the writer.
static enum rc check_plain(struct reader *r, const yaml_event_t *event) {
    const yaml_char_t *anchor = NULL, *tag = NULL;
    switch (event->type) {
    case YAML_ALIAS_EVENT:
        return refuse(r, line_of(event), "aliases (*name) are not supported: write the value out, or put it in quotes");
    case YAML_SCALAR_EVENT:
        anchor = event->data.scalar.anchor;
        tag = event->data.scalar.tag;
        break;
    case YAML_SEQUENCE_START_EVENT:
        anchor = event->data.sequence_start.anchor;
        tag = event->data.sequence_start.tag;
        break;
    case YAML_MAPPING_START_EVENT:
        anchor = event->data.mapping_start.anchor;
        tag = event->data.mapping_start.tag;
        break;
    default:
        break;
    }
    if (anchor)
        return refuse(r, line_of(event), "anchors (&name) are not supported: write the value out, or put it in quotes");
    if (tag)
        return refuse(r, line_of(event), "tags (!name) are not supported: leave it out, or put the value in quotes");
    return RC_OK;
}

// The next event that is allowed; the caller deletes it after RC_OK only.
static enum rc next_event(struct reader *r, yaml_event_t *event) {
    if (!yaml_parser_parse(&r->parser, event))
        return syntax_error(r);
    enum rc rc = check_plain(r, event);
    if (rc != RC_OK)
        yaml_event_delete(event);
    return rc;
}

// ---- tree

// An arena over its limit ends the parse at once.
static enum rc check_memory(struct reader *r, size_t line) {
    return arena_ok(r->arena) ? RC_OK : err_set(r->e, RC_TOO_LARGE, "%s:%zu: the file is too large", r->file, line);
}

static enum rc copy_scalar(struct reader *r, const yaml_event_t *event, struct sv *ret) {
    struct sv text = {(const char *)event->data.scalar.value, event->data.scalar.length};
    if (memchr(text.p, '\0', text.n))
        return refuse(r, line_of(event), "a text holds a NUL character");
    *ret = arena_dup(r->arena, text);
    return check_memory(r, line_of(event));
}

static struct yaml *node_new(struct reader *r) {
    struct yaml *node = ARENA_NEW(r->arena, struct yaml);
    node->file = r->file;
    return node;
}

static enum rc build_value(struct reader *r, const yaml_event_t *event, struct yaml *node, size_t depth);

static enum rc build_list(struct reader *r, struct yaml *list, size_t depth) {
    for (struct yaml **end = &list->child;; end = &(*end)->next) {
        yaml_event_t event;
        enum rc rc = next_event(r, &event);
        if (rc != RC_OK)
            return rc;
        bool last = event.type == YAML_SEQUENCE_END_EVENT;
        if (!last) {
            *end = node_new(r);
            rc = build_value(r, &event, *end, depth + 1);
        }
        yaml_event_delete(&event);
        if (last || rc != RC_OK)
            return rc;
    }
}

// *ret: a member before it has its key: it is a fault and no part of the tree, what comes after it is read all the same.
static enum rc check_unique(struct reader *r, const struct yaml *map, const struct yaml *member, bool *ret) {
    size_t before = 0;
    *ret = false;
    for (const struct yaml *other = map->child; other != member && !*ret; other = other->next, before++)
        if ((*ret = sv_eq(other->key, member->key)))
            fault(r->faults, member, "\"%s\" is here a second time, it was set in line %zu", shown_word(r->arena, member->key), other->line);
    if (before >= KEYS_LIMIT)
        return err_set(r->e, RC_TOO_LARGE, "%s:%zu: a map of more than %d keys", r->file, member->line, KEYS_LIMIT);
    return RC_OK;
}

static enum rc take_key(struct reader *r, const yaml_event_t *event, struct yaml *member) {
    member->line = line_of(event);
    if (event->type != YAML_SCALAR_EVENT)
        return refuse(r, member->line, "a key must be a word or a text, not a list or a map (braces in a value need quotes)");
    if (event->data.scalar.length == 0)
        return refuse(r, member->line, "a key is missing before ':'");
    return copy_scalar(r, event, &member->key);
}

static enum rc build_map(struct reader *r, struct yaml *map, size_t depth) {
    for (struct yaml **end = &map->child;;) {
        yaml_event_t event;
        bool repeated;
        enum rc rc = next_event(r, &event);
        if (rc != RC_OK)
            return rc;
        bool last = event.type == YAML_MAPPING_END_EVENT;
        if (!last) {
            *end = node_new(r);
            rc = take_key(r, &event, *end);
        }
        yaml_event_delete(&event);
        if (last || rc != RC_OK)
            return rc;
        if ((rc = check_unique(r, map, *end, &repeated)) != RC_OK || (rc = next_event(r, &event)) != RC_OK)
            return rc;
        rc = build_value(r, &event, *end, depth + 1);
        yaml_event_delete(&event);
        if (rc != RC_OK)
            return rc;
        if (repeated)
            *end = NULL;
        else
            end = &(*end)->next;
    }
}

// node has its key and the key's line already when it is a member of a map.
static enum rc build_value(struct reader *r, const yaml_event_t *event, struct yaml *node, size_t depth) {
    if (!node->line)
        node->line = line_of(event);
    enum rc rc = check_memory(r, node->line);
    if (rc != RC_OK)
        return rc;
    if (depth > DEPTH_LIMIT)
        return err_set(r->e, RC_TOO_LARGE, "%s:%zu: nested deeper than %d levels", r->file, line_of(event), DEPTH_LIMIT);
    switch (event->type) {
    case YAML_SCALAR_EVENT:
        node->type = YAML_SCALAR;
        node->quoted = event->data.scalar.style == YAML_SINGLE_QUOTED_SCALAR_STYLE ||
                       event->data.scalar.style == YAML_DOUBLE_QUOTED_SCALAR_STYLE;
        return copy_scalar(r, event, &node->text);
    case YAML_SEQUENCE_START_EVENT:
        node->type = YAML_LIST;
        return build_list(r, node, depth);
    case YAML_MAPPING_START_EVENT:
        node->type = YAML_MAP;
        return build_map(r, node, depth);
    default:
        return refuse(r, line_of(event), "a value is expected here");
    }
}

// ---- document

// Reads one event that must be of the given type, otherwise `what` is wrong.
static enum rc expect(struct reader *r, yaml_event_type_t type, const char *what) {
    yaml_event_t event;
    enum rc rc = next_event(r, &event);
    if (rc != RC_OK)
        return rc;
    if (event.type != type)
        rc = refuse(r, line_of(&event), what);
    yaml_event_delete(&event);
    return rc;
}

static enum rc build_document(struct reader *r, struct yaml *root) {
    enum rc rc;
    if ((rc = expect(r, YAML_STREAM_START_EVENT, "cannot be read")) != RC_OK ||
        (rc = expect(r, YAML_DOCUMENT_START_EVENT, "the file is empty")) != RC_OK)
        return rc;
    yaml_event_t event;
    if ((rc = next_event(r, &event)) != RC_OK)
        return rc;
    rc = build_value(r, &event, root, 1);
    yaml_event_delete(&event);
    if (rc != RC_OK || (rc = expect(r, YAML_DOCUMENT_END_EVENT, "the end of the file is expected here")) != RC_OK)
        return rc;
    return expect(r, YAML_STREAM_END_EVENT, "a second document begins here: one file holds one document");
}

static enum rc read_bytes(struct reader *r, struct yaml *root) {
    if (r->bytes.n > INPUT_LIMIT)
        return err_set(r->e, RC_TOO_LARGE, "%s:1: the file has %zu bytes, at most %d are allowed", r->file, r->bytes.n, INPUT_LIMIT);
    if (!yaml_parser_initialize(&r->parser))
        return err_set(r->e, RC_IO, "%s:1: out of memory", r->file);
    yaml_parser_set_encoding(&r->parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&r->parser, (const unsigned char *)(r->bytes.p ? r->bytes.p : ""), r->bytes.n);
    enum rc rc = build_document(r, root);
    yaml_parser_delete(&r->parser);
    return rc;
}

enum rc yaml_parse(struct arena *a, struct sv bytes, const char *file_name, struct faults *f, struct yaml **ret) {
    struct err e;
    struct reader r = {.arena = a, .bytes = bytes, .file = arena_cstr(a, sv_of(file_name)), .e = &e, .faults = f};
    struct yaml *root = node_new(&r);
    enum rc rc = read_bytes(&r, root);
    *ret = rc == RC_OK ? root : NULL;
    if (rc != RC_OK)
        fault_placed(f, &e);
    return rc;
}

const struct yaml *yaml_get(const struct yaml *map, const char *key) {
    if (!map || map->type != YAML_MAP)
        return NULL;
    YAML_EACH(member, map)
        if (sv_is(member->key, key))
            return member;
    return NULL;
}

// ---- one tree over another

static bool takes_away(const struct yaml *node) {
    return node->type == YAML_SCALAR && !node->quoted && (sv_is(node->text, "null") || sv_is(node->text, "~"));
}

static const struct yaml *member_of(const struct yaml *map, struct sv key) {
    if (map && map->type == YAML_MAP)
        YAML_EACH(member, map)
            if (sv_eq(member->key, key))
                return member;
    return NULL;
}

static struct yaml *laid_over(struct arena *a, const struct yaml *under, const struct yaml *over, unsigned depth);

// As deep as `depth` and the reader's own limit.
static struct yaml *merged(struct arena *a, const struct yaml *under, const struct yaml *over, unsigned depth) {
    struct yaml *map = ARENA_NEW(a, struct yaml), **end = &map->child;
    *map = *over;
    map->child = NULL;
    if (under && under->type == YAML_MAP)
        YAML_EACH(member, under)
            if ((*end = laid_over(a, member, member_of(over, member->key), depth)))
                end = &(*end)->next;
    YAML_EACH(member, over)
        if (!member_of(under, member->key) && (*end = laid_over(a, NULL, member, depth)))
            end = &(*end)->next;
    return map;
}

// A copy that may stand in another map; its children are shared where nothing is laid over them.
static struct yaml *laid_over(struct arena *a, const struct yaml *under, const struct yaml *over, unsigned depth) {
    if (over && takes_away(over))
        return NULL;
    struct yaml *node;
    if (over && over->type == YAML_MAP && depth > 0) {
        node = merged(a, under, over, depth - 1);
    } else {
        node = ARENA_NEW(a, struct yaml);
        *node = over ? *over : *under;
    }
    node->next = NULL;
    return node;
}

const struct yaml *yaml_overlay(struct arena *a, const struct yaml *under, const struct yaml *over, unsigned depth) {
    return under || over ? laid_over(a, under, over, depth) : NULL;
}

// ---- suggestions

enum { WORD_LIMIT = 63 };

static char lower(char c) {
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static size_t least(size_t a, size_t b) {
    return a < b ? a : b;
}

// Damerau-Levenshtein distance of neighbours (optimal string alignment), letters without case. Both at most WORD_LIMIT long.
static size_t distance(struct sv a, struct sv b) {
    size_t rows[3][WORD_LIMIT + 1];
    size_t *before = rows[0], *above = rows[1], *row = rows[2];
    for (size_t j = 0; j <= b.n; j++)
        row[j] = j;
    for (size_t i = 1; i <= a.n; i++) {
        size_t *oldest = before;
        before = above;
        above = row;
        row = oldest;
        row[0] = i;
        for (size_t j = 1; j <= b.n; j++) {
            char ca = lower(a.p[i - 1]), cb = lower(b.p[j - 1]);
            row[j] = least(least(above[j], row[j - 1]) + 1, above[j - 1] + (ca != cb));
            if (i > 1 && j > 1 && ca == lower(b.p[j - 2]) && lower(a.p[i - 2]) == cb)
                row[j] = least(row[j], before[j - 2] + 1);
        }
    }
    return row[b.n];
}

// Near is one slip for every three letters of the longer word, at most three slips; of equally near words the first.
const char *nearest_word(struct sv text, const char *const *words, size_t n) {
    if (!text.p || text.n > WORD_LIMIT)
        return NULL;
    const char *nearest = NULL;
    size_t best = 4;
    for (size_t i = 0; i < n; i++) {
        struct sv word = sv_of(words[i]);
        if (!word.p || word.n > WORD_LIMIT)
            continue;
        size_t longer = word.n > text.n ? word.n : text.n, slips = distance(text, word);
        if (slips < best && slips <= longer / 3) {
            nearest = words[i];
            best = slips;
        }
    }
    return nearest;
}
