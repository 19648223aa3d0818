#include "base/headers.h"

struct sv headers_get(struct headers h, const char *name)
{
    for (size_t i = 0; i < h.n; i++)
        if (sv_is_nocase(h.v[i].name, name))
            return sv_trim(h.v[i].value);
    return SV_NONE;
}

size_t headers_count(struct headers h, const char *name)
{
    size_t count = 0;
    for (size_t i = 0; i < h.n; i++)
        count += sv_is_nocase(h.v[i].name, name);
    return count;
}
