// decimal.h: money as text, added exactly. Never a double: "0.10" + "0.20" is "0.30". Private to handlers/.
#ifndef HANDLERS_DECIMAL_H
#define HANDLERS_DECIMAL_H

#include "base/arena.h"

struct decimal {
    int64_t units;   // the number times 10^places
    unsigned places; // digits after the point, at most 6
};

bool decimal_of(struct sv text, struct decimal *ret);              // "-12.30", "7"; false on anything else and out of range
bool decimal_add(struct decimal *sum, struct decimal more);        // false, sum unchanged, out of range
bool decimal_times(struct decimal *product, struct sv whole);      // by a quantity; false, unchanged, when that is not a whole number
struct sv decimal_text(struct arena *a, struct decimal d);         // keeps the places: "4.00"

#endif
