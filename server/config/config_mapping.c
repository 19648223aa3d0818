// config_mapping.c: reading the mapping file that a shop names.
#include "base/file.h"
#include "server/config/config_text.h"

#include <string.h>

#define MAPPING_BYTES_MOST ((size_t)1 << 20)

static const char *beside(struct arena *a, const char *config_file, struct sv name) {
    const char *slash = strrchr(config_file, '/');
    struct sv folder = slash ? (struct sv){config_file, (size_t)(slash - config_file) + 1} : SV("");
    return arena_cstr(a, sv_starts(name, SV("/")) ? name : arena_fmt(a, SV_FMT SV_FMT, SV_ARG(folder), SV_ARG(name)));
}

static const struct rules *read_mapping(struct arena *a, const char *file, struct faults *f, const struct yaml *node) {
    struct sv text;
    struct err e;
    if (file_read(a, file, MAPPING_BYTES_MOST, &text, &e) == RC_OK)
        return rules_compile(a, text, file, f);
    fault(f, node, "mapping: %s", e.text);
    return NULL;
}

const struct rules *mapping_load(struct arena *a, const char *config_file, struct sv name, struct mapping **known, struct faults *f,
                                 const struct yaml *node) {
    for (const struct mapping *m = *known; m; m = m->next)
        if (sv_eq(m->name, name))
            return m->rules;
    struct mapping *m = ARENA_NEW(a, struct mapping);
    *m = (struct mapping){name, read_mapping(a, beside(a, config_file, name), f, node), *known};
    *known = m;
    return m->rules;
}
