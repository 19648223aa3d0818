// yaml.h: a YAML file as a tree with line numbers; the only module that sees libyaml.
// One document, no anchors, aliases or tags (they are faults, as duplicate keys are). Texts live in the arena.
#ifndef BASE_YAML_H
#define BASE_YAML_H

#include "base/arena.h"
#include "base/err.h"

enum yaml_type { YAML_SCALAR, YAML_LIST, YAML_MAP };

struct yaml {
    enum yaml_type type;
    const char *file;    // name of the file, in the arena
    size_t line;         // 1-based, of the value; of the key for a member
    struct sv key;       // of a member of a map
    struct sv text;      // of a scalar
    bool quoted;         // the scalar was written in quotes
    struct yaml *child, *next;
};

struct faults;

// yaml_parse: when it cannot be read to its end, the reason is noted and *ret is NULL. A key that stands twice is noted too, and its
// second value is no part of the tree; it does not keep the rest from being read (RC_OK), so that all faults can be told at once.
MUST_CHECK enum rc yaml_parse(struct arena *a, struct sv bytes, const char *file_name, struct faults *f, struct yaml **ret);
const struct yaml *yaml_get(const struct yaml *map, const char *key);
#define YAML_EACH(item, node) for (const struct yaml *item = (node) ? (node)->child : NULL; item; item = item->next)

// yaml_overlay: `under` with `over` laid over it. Maps are merged key by key, `depth` levels down (0: over replaces under whole); in a
// merged map an unquoted null or ~ takes the key away and anything else replaces the value. Below that, values stay as they were written.
// The order is that of under, what only over has comes last. Nodes keep their own file and line, a merged map those of over. Both trees
// stay as they are and must live as long as the result. NULL: that side has nothing; the result is NULL when nothing is left.
const struct yaml *yaml_overlay(struct arena *a, const struct yaml *under, const struct yaml *over, unsigned depth);

// nearest_word: of the n words the one that text is probably a misspelling of; NULL when none is near.
const char *nearest_word(struct sv text, const char *const *words, size_t n);

#endif
