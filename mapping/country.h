// country.h: the countries of the world and their telephone codes. Private to mapping/.
#ifndef MAPPING_COUNTRY_H
#define MAPPING_COUNTRY_H

#include "base/sv.h"

struct country {
    char code[3];     // alpha-2, upper case
    char calling[4];  // "49"
};

const struct country *country_of(struct sv alpha2);  // any case; NULL when there is none
const char *calling_code_in(struct sv digits);       // the calling code that an international number begins with, or NULL

#endif
