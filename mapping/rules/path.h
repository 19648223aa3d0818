// path.h: the names of what a canonical event holds, as a mapping file writes them: "value", "user.email", "properties.order_id",
// "properties.gift.from", "item.title". They are those of docs/event.md; an item also has "item.total", price times quantity, and
// "item.content_id", its name in Meta's catalogue. "event." may stand before any of them. Compiled once, then constant; pure.
#ifndef MAPPING_RULES_PATH_H
#define MAPPING_RULES_PATH_H

#include "mapping/event.h"
#include "mapping/shop.h"

// What something of the event is. Views live as long as the event and the arena.
enum value_kind { VALUE_NONE, VALUE_TEXT, VALUE_NUMBER, VALUE_BOOL, VALUE_LIST, VALUE_NODE };
struct value {
    enum value_kind kind;
    struct sv text;           // TEXT, NUMBER: decimal text
    bool truth;               // BOOL
    const struct sv *list;    // LIST of texts
    size_t count;
    const struct json *node;  // NODE: an object or array as it came
};

// What a path is looked up in. item: the one at hand inside `each`; elsewhere the first one, NULL when there is none.
struct scope {
    struct arena *arena;
    const struct event *event;
    const struct item *item;
    const struct shop *shop;
};

struct path;
// path_compile: RC_INVALID says what is wrong and which name is near.
MUST_CHECK enum rc path_compile(struct arena *a, struct sv text, const struct path **ret, struct err *e);
struct value path_value(const struct path *p, const struct scope *s);  // NONE: absent or empty
bool path_is_person(const struct path *p);                             // it begins with "user."
bool path_is_item(const struct path *p);                               // it begins with "item."
bool path_is_number(const struct path *p);                             // its value is a number or absent, whatever the event

#endif
