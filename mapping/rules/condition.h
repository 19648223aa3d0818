// condition.h: `when` of a mapping file: `event.value >= 50`, `origin == "web" and not properties.gift`.
// Operands are paths, quoted texts, numbers, true and false; == != < <= > >= compare, `and`, `or`, `not` and brackets combine (`not`
// binds closer than `and`, `and` closer than `or`), a path alone asks whether it is there and not false. Numbers are compared as
// decimals, never as doubles, also with a text that is a number; texts byte by byte. What is absent equals "" and nothing else, and is
// neither above nor below anything; lists and objects are equal to nothing. Compiled once, then constant; pure.
#ifndef MAPPING_RULES_CONDITION_H
#define MAPPING_RULES_CONDITION_H

#include "mapping/rules/path.h"

struct condition;
// condition_compile: RC_INVALID says what was expected where. Nothing of it points into text.
MUST_CHECK enum rc condition_compile(struct arena *a, struct sv text, const struct condition **ret, struct err *e);
bool condition_holds(const struct condition *c, const struct scope *s);  // NULL: holds

#endif
