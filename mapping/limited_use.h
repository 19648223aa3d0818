// limited_use.h: Meta's limited data use: sent for attribution, not used for what an opt-out of sale forbids. It is there for some
// states of the US; elsewhere Meta ignores it, and then who opted out would be sent without any limit. Pure.
#ifndef MAPPING_LIMITED_USE_H
#define MAPPING_LIMITED_USE_H

#include "mapping/event.h"

int limited_use_state(struct arena *a, const struct user *u);    // Meta's number of the person's state; 0: none of these, or unknown
bool limited_use_works(struct arena *a, const struct user *u);   // the person is in such a state, or Meta can see by the address

#endif
