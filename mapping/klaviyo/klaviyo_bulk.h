// klaviyo_bulk.h: Klaviyo's Bulk Create Events: forty times as many events in a minute as one by one. Made of the bodies with which the
// events would go alone: same unique_id, metric, time, value, properties and backfill; of the person the identifiers only, since each
// other attribute would be written to the profile, and what waited for long is old. Events of one profile are one group.
// Klaviyo takes all of a request or nothing, and names the group that it refuses.
#ifndef MAPPING_KLAVIYO_BULK_H
#define MAPPING_KLAVIYO_BULK_H

#include "mapping/klaviyo/klaviyo.h"

#define KLAVIYO_BULK_MOST 1000

extern const struct bulk klaviyo_bulk;

#endif
