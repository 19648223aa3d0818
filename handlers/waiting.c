#include "handlers/waiting.h"

#include "base/crypto.h"
#include "handlers/decode.h"
#include "mapping/event_read.h"

#define BODY_BYTES_MOST ((size_t)8 << 20)

// The number of "gid://shopify/ProductVariant/808950810", which is what a storefront's API calls it.
static struct sv number_of(struct sv id) {
    size_t at = id.n;
    while (sv_starts(id, SV("gid://")) && id.p[at - 1] != '/')
        at--;
    return at < id.n ? sv_sub(id, at, id.n - at) : id;
}

size_t waiting_names(struct arena *a, const struct event *e, struct sv ret[WAITING_NAMES_MAX]) {
    if (e->item_count == 0)
        return 0;
    const struct {
        const char *kind;
        struct sv id;
    } names[WAITING_NAMES_MAX] = {
        {"variant", number_of(e->items[0].variant_id)},
        {"inventory_item", number_of(e->items[0].inventory_item_id)},
        {"sku", e->items[0].sku},
    };
    size_t n = 0;
    for (size_t i = 0; i < COUNTOF(names); i++)
        if (sv_present(names[i].id))
            ret[n++] = arena_fmt(a, "%s:" SV_FMT, names[i].kind, SV_ARG(names[i].id));
    return n;
}

static struct sv answer_id(struct arena *a, struct sv request_id) {
    struct sv id = arena_fmt(a, SV_FMT "_restocked", SV_ARG(request_id));
    if (id.n <= EVENT_ID_MOST)
        return id;
    struct digest digest = sha256(request_id);
    return arena_fmt(a, SV_FMT "_restocked", SV_ARG(hex_of(a, digest.b, sizeof digest.b)));
}

// What the shop says of it now, and where it says nothing, what the page said on which it was asked for. The page knows its name best.
static struct item both(const struct item *now, const struct item *asked) {
    return (struct item){
        .product_id = sv_first(now->product_id, asked->product_id),
        .variant_id = sv_first(now->variant_id, asked->variant_id),
        .inventory_item_id = sv_first(now->inventory_item_id, asked->inventory_item_id),
        .sku = sv_first(now->sku, asked->sku),
        .title = sv_first(asked->title, now->title),
        .variant_title = sv_first(asked->variant_title, now->variant_title),
        .price = sv_first(now->price, asked->price),
        .url = sv_first(now->url, asked->url),
        .image_url = sv_first(now->image_url, asked->image_url),
        .category = sv_first(now->category, asked->category),
        .vendor = sv_first(now->vendor, asked->vendor),
        .quantity = SV("1"),
    };
}

// What whoever asked says of it themselves stays; but how many there are is of now.
static bool is_asked(const struct event *asked, struct sv name) {
    for (size_t i = 0; i < asked->property_count; i++)
        if (sv_eq(asked->properties[i].name, name))
            return !sv_is(name, "inventory_quantity");
    return false;
}

// Consent keeps the time at which it was given: what was taken back since then is newer. The browser was there long ago.
static struct event answer(struct arena *a, const struct event *restocked, const struct event *asked) {
    struct event e = *asked;
    e.id = answer_id(a, asked->id);
    event_is(&e, EVENT_INVENTORY_RESTOCKED);
    e.time_ms = restocked->time_ms;
    e.origin = sv_is(asked->origin, "test") ? asked->origin : SV_NONE;
    e.value = e.currency = SV_NONE;
    event_forget_browser(&e);
    e.items = ARENA_NEW(a, struct item);
    e.items[0] = both(&restocked->items[0], &asked->items[0]);
    e.item_count = 1;
    for (size_t i = 0; i < restocked->property_count; i++)
        if (!is_asked(asked, restocked->properties[i].name))
            event_property_set(&e, &restocked->properties[i]);
    if (e.consent_at_ms > e.time_ms)
        e.consent_at_ms = e.time_ms;
    return e;
}

bool waiting_answer(struct arena *a, const struct shop *shop, const struct event *restocked, struct sv request, struct part *ret) {
    struct decoded decoded;
    struct buf out;
    struct jw w;
    source_decode(a, &source_events, shop, sv_of(event_name_text(EVENT_BACK_IN_STOCK_REQUESTED)), request, &decoded);
    if (decoded.count != 1 || decoded.events[0].item_count == 0)
        return false;
    const struct event e = answer(a, restocked, &decoded.events[0]);
    buf_init(&out, BODY_BYTES_MOST);
    jw_init(&w, &out);
    event_write(&w, &e);
    bool made = buf_ok(&out);
    *ret = (struct part){
        .body = made ? arena_dup(a, buf_sv(&out)) : SV_NONE,
        .id = e.id,
        .topic = source_topic(&source_events, sv_of(event_name_text(e.name))),
    };
    buf_free(&out);
    return made;
}
