// config_keys.h: private to server/config: what may stand in a map of the configuration file, as a table, and the readers of its values. Nothing
// stops at the first fault: all are collected with file and line. A value is never shown.
#ifndef SERVER_CONFIG_KEYS_H
#define SERVER_CONFIG_KEYS_H

#include "server/config/config_text.h"

enum { KEYS_MAX = 16, WORDS_MAX = 4 };

struct loader {
    struct config *config;
    struct arena *arena;  // the snapshot's
    const char *file;
    struct mapping *mappings;
    struct faults faults;
};

// One key of a map. offset counts from the struct config or struct shop that the map fills.
struct key {
    const char *name;
    void (*read)(struct loader *l, const struct key *key, const struct yaml *node, void *target);
    size_t offset;
    bool required;
    bool may_be_empty;               // text
    bool (*check)(struct sv s);      // text, list: each value is fine
    const char *expected;            // text, list: what check wants, in words
    const char *words[WORDS_MAX];    // choice: the value is the word's place; constant: the only one; duration: what stands for none
    size_t count_offset;             // list: where its length goes
    size_t least, most;              // number: itself; list: most, its length
    const struct key *keys;          // map: its keys; ends with a NULL name
    bool marks;                      // map: sets the bool at offset
};

// Each reads one value into what key says of target.
void read_text(struct loader *l, const struct key *key, const struct yaml *node, void *target);
void read_url(struct loader *l, const struct key *key, const struct yaml *node, void *target);
void read_duration(struct loader *l, const struct key *key, const struct yaml *node, void *target);
void read_number(struct loader *l, const struct key *key, const struct yaml *node, void *target);
void read_enum(struct loader *l, const struct key *key, const struct yaml *node, void *target);
void read_bool(struct loader *l, const struct key *key, const struct yaml *node, void *target);
void read_constant(struct loader *l, const struct key *key, const struct yaml *node, void *target);
void read_list(struct loader *l, const struct key *key, const struct yaml *node, void *target);
void read_map(struct loader *l, const struct key *key, const struct yaml *node, void *target);
void read_keys(struct loader *l, const struct key *keys, const struct yaml *map, const char *name, void *target);

// What other readers are made of.
void *key_target(void *target, size_t offset);
bool key_scalar(struct loader *l, const struct key *key, const struct yaml *node, struct sv *ret);  // interpolated; false: a fault was noted
bool key_list(struct loader *l, const struct key *key, const struct yaml *node);                    // with as many values as there is room for

#endif
