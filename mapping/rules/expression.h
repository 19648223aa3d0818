// expression.h: where the value of a field comes from, compiled. Shared by field_compile.c and field.c alone.
#ifndef MAPPING_RULES_EXPRESSION_H
#define MAPPING_RULES_EXPRESSION_H

#include "mapping/rules/field.h"

enum source { FROM_PATHS, FROM_CONSTANT, FROM_FIELDS, OF_EACH, OF_LIST, OF_COUNT, OF_SUM };  // OF_: goes through the items

enum conversion { AS_IT_IS, AS_TEXT, AS_NUMBER, AS_LIST };

struct expression {
    enum source source;
    const struct condition *when;      // OF_: asked of each item
    const struct path *const *paths;   // FROM_PATHS, OF_LIST, OF_SUM
    size_t path_count;
    enum conversion as;                // FROM_PATHS
    struct value constant;
    struct fields fields;              // FROM_FIELDS, OF_EACH
};

#endif
