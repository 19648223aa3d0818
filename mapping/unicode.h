// unicode.h: walking through UTF-8. Private to mapping/.
#ifndef MAPPING_UNICODE_H
#define MAPPING_UNICODE_H

#include "base/sv.h"

// unicode_next: length and code point of the first character; 0 at the end. A malformed byte counts as one character
// whose code lies beyond Unicode.
size_t unicode_next(struct sv s, uint32_t *ret_code);

#endif
