// json_lex.h: the pieces of JSON's grammar that the reader and the writer share; private to json*.c and log.c.
#ifndef BASE_JSON_LEX_H
#define BASE_JSON_LEX_H

#include "base/sv.h"

// plain_length: bytes that s begins with which stand for themselves in a string and are ASCII.
size_t plain_length(struct sv s);

// utf8_length: bytes of the well-formed UTF-8 character that s begins with (Unicode table 3-7: shortest form only, no
// surrogates, at most U+10FFFF); 0 when there is none.
size_t utf8_length(struct sv s);

// number_length: bytes of the JSON number (RFC 8259 section 6) that s begins with; 0 when there is none.
size_t number_length(struct sv s);

// escape_length: bytes of the escape that s begins with, a surrogate pair counted as one; 0 when it is malformed, a lone
// surrogate or \u0000. ret_code (may be NULL) gets the character.
size_t escape_length(struct sv s, uint32_t *ret_code);

#endif
