// normalise.h: identity in one spelling. Pure. Absent in, absent out; what is not valid becomes absent.
#ifndef MAPPING_NORMALISE_H
#define MAPPING_NORMALISE_H

#include "base/arena.h"

struct sv lower_utf8(struct arena *a, struct sv s);                       // full Unicode lower case of the scripts people's names use
struct sv trim_utf8(struct sv s);                                         // white space as JavaScript's trim removes it
struct sv normal_email(struct arena *a, struct sv raw);                   // trimmed, lower case, one plausible address or absent
struct sv normal_phone(struct arena *a, struct sv raw, struct sv country);// E.164 "+49..." or absent; country: alpha-2 for numbers without prefix
struct sv normal_name(struct arena *a, struct sv raw);                    // lower case, without white space and ASCII punctuation
struct sv normal_city(struct arena *a, struct sv raw);
struct sv normal_region(struct arena *a, struct sv raw, struct sv country);
struct sv normal_zip(struct arena *a, struct sv raw, struct sv country);
struct sv normal_country(struct arena *a, struct sv raw);                 // lower-case alpha-2, also from an English name
struct sv country_named(struct sv name);                                  // "Germany" -> "DE"; absent when it is no country's name
bool valid_fbp(struct sv fbp);                                            // fb.<digits>.<digits>.<value>, 4 or 5 parts
bool valid_fbc(struct sv fbc, int64_t event_ms);                          // same; created at most 90 days before and not after the event

// fbc_from_url: fb.1.<ms>.<fbclid> from the fbclid of a landing page's query, taken verbatim (case-sensitive); absent without one.
struct sv fbc_from_url(struct arena *a, struct sv url, int64_t first_seen_ms);

#endif
