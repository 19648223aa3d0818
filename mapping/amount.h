// amount.h: money on its way out: checked text, never a double. Private to mapping/.
#ifndef MAPPING_AMOUNT_H
#define MAPPING_AMOUNT_H

#include "base/arena.h"

bool amount_valid(struct sv text);      // "0", "12", "129.95": a JSON number without sign or exponent
bool amount_is_zero(struct sv text);    // "0", "0.00"
bool amount_is_whole(struct sv text);   // valid, without a fraction, up to nine digits

// amount_times: price times a whole quantity, exactly; absent when either is not valid.
struct sv amount_times(struct arena *a, struct sv price, struct sv quantity);

struct sv currency_upper(struct arena *a, struct sv text);  // three letters; else absent

#endif
