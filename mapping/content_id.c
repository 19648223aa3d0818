#include "mapping/content_id.h"
#include "mapping/country.h"

#include <string.h>

#define TEMPLATE_BYTES_MOST 200

// The catalogue of Shopify's own Meta channel goes by variants.
static const struct sv template_default = {"{variant_id}", 12};

struct source {
    const struct event *event;
    const struct item *item;
};

static struct sv variant_id(const struct source *s) { return s->item->variant_id; }
static struct sv product_id(const struct source *s) { return s->item->product_id; }
static struct sv sku(const struct source *s) { return s->item->sku; }

static struct sv country(const struct source *s) {
    const struct country *known = country_of(s->event->user.country);
    return known ? sv_of(known->code) : SV_NONE;
}

static const struct placeholder {
    const char *name;
    struct sv (*value)(const struct source *s);
    bool names_item;
} placeholders[] = {
    {"variant_id", variant_id, true},
    {"product_id", product_id, true},
    {"sku", sku, true},
    {"country", country, false},
};

static const struct placeholder *placeholder_named(struct sv name) {
    for (size_t i = 0; i < COUNTOF(placeholders); i++)
        if (sv_is(name, placeholders[i].name))
            return &placeholders[i];
    return NULL;
}

// A piece of a template: plain text, then perhaps a placeholder. false at the end, or where the braces make no sense.
static bool next_piece(struct sv *rest, struct sv *plain, const struct placeholder **ret) {
    struct sv name, after = SV_NONE;
    *ret = NULL;
    if (rest->n == 0)
        return false;
    bool opened = sv_cut(*rest, '{', plain, rest);
    if (plain->n > 0 && memchr(plain->p, '}', plain->n))
        return false;
    if (!opened)
        return true;
    bool closed = sv_cut(*rest, '}', &name, &after);
    *ret = placeholder_named(name);
    *rest = after;
    return closed && *ret;
}

bool content_id_valid(struct sv template) {
    bool names_item = false;
    struct sv rest = template, plain;
    const struct placeholder *placeholder;
    if (template.n > TEMPLATE_BYTES_MOST)
        return false;
    for (size_t i = 0; i < template.n; i++)
        if ((unsigned char)template.p[i] < 0x20 || template.p[i] == 0x7f)
            return false;
    while (rest.n > 0) {
        if (!next_piece(&rest, &plain, &placeholder))
            return false;
        names_item |= placeholder && placeholder->names_item;
    }
    return names_item;
}

// Absent when a placeholder has no value.
static struct sv filled(struct arena *a, struct sv template, const struct source *source) {
    struct sv out = SV(""), plain;
    const struct placeholder *placeholder;
    while (next_piece(&template, &plain, &placeholder)) {
        struct sv value = placeholder ? placeholder->value(source) : SV("");
        if (placeholder && !sv_present(value))
            return SV_NONE;
        if (out.n + plain.n == 0)
            out = value;  // a placeholder alone needs no copy
        else
            out = arena_fmt(a, SV_FMT SV_FMT SV_FMT, SV_ARG(out), SV_ARG(plain), SV_ARG(value));
    }
    return out;
}

struct sv content_id(struct arena *a, const struct shop *shop, const struct event *e, const struct item *item) {
    struct sv own = shop ? shop->meta.content_id : SV_NONE;
    struct sv made = filled(a, sv_first(own, template_default), &(struct source){e, item});
    return sv_first(made, sv_first(item->variant_id, sv_first(item->product_id, item->sku)));
}
