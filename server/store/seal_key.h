// seal_key.h: the seal key that a store keeps beside its file when the configuration gives none.
#ifndef SERVER_STORE_SEAL_KEY_H
#define SERVER_STORE_SEAL_KEY_H

#include "base/crypto.h"
#include "base/err.h"

// seal_key_beside reads <file>.key (base64 of 32 bytes and a line end), or makes it when there is no such file yet, readable by
// its owner only and durable on return. RC_INVALID when the key file is damaged, or missing although the store has data.
MUST_CHECK enum rc seal_key_beside(const char *file, unsigned char ret[SEAL_KEY_LEN], struct err *e);

#endif
