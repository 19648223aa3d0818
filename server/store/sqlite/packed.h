// packed.h: hex as the bytes that it stands for, half as long; pure.
#ifndef SERVER_STORE_SQLITE_PACKED_H
#define SERVER_STORE_SQLITE_PACKED_H

#include "base/sv.h"

// packed: the bytes, in room; what is not hex, or stands for more than PACKED_MOST bytes, is returned as it is.
#define PACKED_MOST 32
struct sv packed(struct sv s, unsigned char room[PACKED_MOST]);

#endif
