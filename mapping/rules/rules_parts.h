// rules_parts.h: what the files of the rules share; private to rules*.c.
#ifndef MAPPING_RULES_RULES_PARTS_H
#define MAPPING_RULES_RULES_PARTS_H

#include "mapping/rules/rules.h"

struct event_rules {
    struct sv event;
    const struct rule *first;
};

struct rules {
    struct event_rules *v;
    size_t count;
};

#endif
