// field.h: one field of what is sent, and where its value comes from, as a mapping file says it. Compiled once, then constant; pure.
//
//   Name: user.first_name                          a path
//   Name: [item.sku, item.product_id]              the first that is there
//   Name: { constant: gold }                       always this: a text, number, true or false
//   Name: { from: value, when: 'value >= 50' }     only then; from is a path or a list of paths
//   Name: { from: properties.year, as: text }      as text, as: number (left out when it is none), or as: list (of this one)
//   Name: { list: item.sku }                       of every item, each value once
//   Name: { each: items, fields: { ID: item.sku } }  an object per item; one without any field is left out
//   Name: { count: items }                         how many items
//   Name: { sum: item.quantity }                   of every item
//   Name: { fields: { a: value } }                 an object
// `when` may stand in each of the forms in braces; with list, each, count and sum it is asked of every item, and those that it does not
// hold for count as if they were not there. These four cannot stand inside each. `as` goes with `from` alone: of several paths the first
// counts that is there and can be converted. A constant without quotes may be a number, true or false.
// A field without a value, and one that is 0, "" or empty, is left out.
#ifndef MAPPING_RULES_FIELD_H
#define MAPPING_RULES_FIELD_H

#include "base/faults.h"
#include "mapping/rules/condition.h"

struct expression;

struct field {
    struct sv name;
    const char *file;                 // where the mapping says so
    size_t line;
    const struct expression *from;
};

struct fields {
    const struct field *v;
    size_t n;
};

// expression_compile, fields_compile: faults are noted; what is faulty is left out (NULL). They may be nested 16 levels deep. Texts and file
// names are those of the YAML tree, which must live as long.
const struct expression *expression_compile(struct arena *a, struct faults *f, const struct yaml *node);
struct fields fields_compile(struct arena *a, struct faults *f, const struct yaml *map);

// What a destination can take; beyond it a text or list is cut, deeper levels are left out. A text is one level, a list of texts two.
// A whole number beyond 64 bits is written as a text.
struct limits {
    size_t text_bytes, list_length;
    unsigned depth;
};

bool expression_names_person(const struct expression *x);  // something of the user goes into the value
bool expression_may_be_amount(const struct expression *x);  // false: no event can make it one
struct value expression_value(const struct expression *x, const struct scope *s);  // a scalar or list; NONE for `each` and `fields`
bool field_write(struct jw *w, const struct field *f, const struct scope *s, const struct limits *limits);  // key and value; false: nothing
void value_write(struct jw *w, const struct value *v, const struct limits *limits);                         // never NONE

#endif
