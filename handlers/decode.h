// decode.h: what the decoders of every sender share: lenient reading, strict ids. Private to handlers/.
#ifndef HANDLERS_DECODE_H
#define HANDLERS_DECODE_H

#include "handlers/source.h"

typedef void decode_fn(struct arena *a, const struct shop *shop, const struct topic *topic, const struct json *body, struct decoded *ret);

// first_text: of the dotted paths (the list ends with NULL), the first that leads to something; absent when none does.
struct sv first_text(const struct json *node, const char *const *paths);
bool first_time(const struct json *node, const char *const *paths, int default_offset_minutes, int64_t *ret_ms);
#define PATHS(...) (const char *const[]){__VA_ARGS__, NULL}

struct sv decimal_id(struct sv text);   // 1 to 20 digits, else absent
struct sv token_id(struct sv text);     // 1 to 200 printable ASCII characters without a space, else absent
struct sv money(struct sv text);        // a decimal number, else absent
struct sv currency_code(struct sv text);// three letters, else absent
struct sv country_code(struct sv text); // two letters, also for a country's English name, else absent
bool tagged(struct sv tags, const char *tag);  // in a comma-separated list, without case

// attribute: the value of a name in a list of {name, value}, or in an object that has the name as a key; absent in anything else.
struct sv attribute(const struct json *list, const char *name);
// attributes_consent, attributes_experiment: what a shop's theme left in such a list. The experiment is set once; its parts belong together.
void attributes_consent(struct arena *a, const struct json *list, struct event *e);
void attributes_experiment(const struct json *list, struct event *e);

// event_new: an event that is not in *ret yet; its purpose follows from its name.
struct event *event_new(struct arena *a, const struct shop *shop, const char *source, enum event_name name);
void event_is(struct event *e, enum event_name name);
void event_forget_browser(struct event *e);  // the buyer is not there: ip, agent and click ids would be those of an older visit
void event_total_items(struct arena *a, struct event *e);  // property item_count: the quantities together

void decoded_event(struct decoded *ret, struct event *e);
// decoded_remember keeps the person under "<kind>:<id>", when both say something. What a browser left is not part of a person.
void decoded_remember(struct arena *a, struct decoded *ret, const char *kind, struct sv id, const struct user *person);

// discount_codes: the codes of a list of discounts, each {"code": ...}; the first one also alone.
void discount_codes(struct arena *a, const struct json *list, struct event *e);

// decoded_as_of: what the webhook says of somebody's consent was so at as_of_ms; whoever tells of the same address and channel is
// compared with it. address: e-mail or phone, in any spelling; without one id names the person.
void decoded_as_of(struct arena *a, struct decoded *ret, const char *channel, struct sv address, struct sv id, int64_t as_of_ms);

#endif
