// klaviyo_deletion.h: having a person deleted at Klaviyo, with all that is known of them there. Not a destination: no event is told.
#ifndef MAPPING_KLAVIYO_DELETION_H
#define MAPPING_KLAVIYO_DELETION_H

#include "mapping/destination.h"

// klaviyo_deletion: false: the shop does not want it (delete_on_redact), or there is neither e-mail address nor phone number.
bool klaviyo_deletion(struct arena *a, const struct shop *shop, struct sv email, struct sv phone, struct request *ret);
struct outcome klaviyo_deletion_outcome(struct arena *a, const struct answer *answer, int64_t now_ms);

#endif
