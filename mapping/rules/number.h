// number.h: numbers of events and mapping files as decimal text, of any length; never a double. Private to mapping/rules/.
#ifndef MAPPING_RULES_NUMBER_H
#define MAPPING_RULES_NUMBER_H

#include "base/arena.h"

bool number_valid(struct sv text);                 // a JSON number: "-12.50", "1e3"
bool number_is_zero(struct sv number);             // "0.00", "-0e9"
bool number_fits(struct sv number);                // has a fraction or exponent, or 64 bits hold it
int number_compare(struct sv a, struct sv b);      // below, at or above 0; both valid. Exponents count up to 10^15.
struct sv number_plus(struct arena *arena, struct sv a, struct sv b);  // exactly; both without sign and exponent

#endif
