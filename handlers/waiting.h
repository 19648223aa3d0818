// waiting.h: people who asked to be told when something can be bought again: under which names they wait, and what is then said of
// each. Pure; who waits for what is kept by the dispatcher (server/dispatch/dispatch_wait.c).
#ifndef HANDLERS_WAITING_H
#define HANDLERS_WAITING_H

#include "handlers/source.h"

#define WAITING_NAMES_MAX 3

// waiting_names: what an event's first item is known by: "variant:808950810", "inventory_item:39072856", "sku:SKU-481". A request waits
// under each of its names, a stock webhook looks under each of its own.
size_t waiting_names(struct arena *a, const struct event *e, struct sv ret[WAITING_NAMES_MAX]);

// waiting_answer: what one request comes to, now that what it waits for is in stock again: an event inventory_restocked for that
// person, in the form in which POST /events takes it. Its id is the request's with "_restocked" behind it, so a request is answered
// once however often it is asked. False: the request cannot be read any more.
bool waiting_answer(struct arena *a, const struct shop *shop, const struct event *restocked, struct sv request, struct part *ret);

#endif
