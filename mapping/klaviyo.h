// klaviyo.h: the parts of the Klaviyo destination. Private to klaviyo*.c.
#ifndef MAPPING_KLAVIYO_H
#define MAPPING_KLAVIYO_H

#include "mapping/destination.h"

// klaviyo_properties writes the object `properties`. with_money: value and currency are told here, where they are no revenue.
void klaviyo_properties(struct jw *w, struct arena *a, const struct event *e, const struct disposition *before, bool with_money);

struct outcome klaviyo_outcome(struct arena *a, const struct answer *answer, int64_t now_ms);

#endif
