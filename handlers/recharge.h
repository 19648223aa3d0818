// recharge.h: between the files of Recharge's decoding. Private to handlers/.
#ifndef HANDLERS_RECHARGE_H
#define HANDLERS_RECHARGE_H

#include "handlers/decode.h"

decode_fn charge_paid, charge_failed;
decode_fn subscription_started, subscription_cancelled, subscription_skipped, subscription_updated;

#endif
