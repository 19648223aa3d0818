// meta.h: the parts of the Meta destination. Private to meta*.c.
#ifndef MAPPING_META_H
#define MAPPING_META_H

#include "mapping/destination.h"

// browser: the event happened in the buyer's browser, so address, agent and click ids are of that moment and may be sent.
bool meta_user_is_enough(struct arena *a, const struct event *e, bool browser);  // Meta answers 100/2804050 without
// meta_user_write: the object user_data. Returns where each identifier in it came from: "em=webhook, fbp=note attribute".
struct sv meta_user_write(struct jw *w, struct arena *a, const struct event *e, bool browser);

// meta_page_url: the page of the event without query, e-mail addresses, tokens and everything behind "orders" and the like;
// the shop's front page when the event names none; absent without a domain.
struct sv meta_page_url(struct arena *a, const struct event *e, const struct shop *shop);

struct outcome meta_outcome(struct arena *a, const struct answer *answer, int64_t now_ms);

#endif
