// klaviyo_properties.c: what flows can read: our own marks, the names that Klaviyo recommends, and the event's own properties.
// Klaviyo ignores a property that is 0, null or "": such are left out. Its limits: 100 KB a string, 4,000 elements an array, depth 10,
// integers of 64 bits; beyond them it refuses the whole event.
#include "mapping/amount.h"
#include "mapping/klaviyo.h"
#include "mapping/unicode.h"

#define STRING_BYTES_MOST ((size_t)100000)
#define ARRAY_MOST ((size_t)4000)
#define DISTINCT_MOST ((size_t)100)
#define DEPTH_MOST 8  // below `properties`, which is itself two levels deep

// ---- values within Klaviyo's limits

static struct sv cut(struct sv s) {
    if (s.n <= STRING_BYTES_MOST)
        return s;
    size_t at = 0;
    uint32_t code;
    for (size_t step; (step = unicode_next(sv_sub(s, at, s.n), &code)) > 0 && at + step <= STRING_BYTES_MOST;)
        at += step;
    return sv_sub(s, 0, at);
}

static void member(struct jw *w, const char *key, struct sv value) {
    jw_member(w, key, cut(value));
}

static bool is_whole_number(struct sv s) {
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] == '.' || s.p[i] == 'e' || s.p[i] == 'E')
            return false;
    return true;
}

static void write_number(struct jw *w, struct sv number) {
    int64_t n;
    if (is_whole_number(number) && !sv_i64(number, &n))
        jw_string(w, cut(number));  // an id too large for a number
    else
        jw_number(w, number);
}

static void write_node(struct jw *w, const struct json *node, unsigned depth);

static void write_children(struct jw *w, const struct json *node, unsigned depth, char open, char close) {
    size_t n = 0;
    jw_open(w, open);
    JSON_EACH(child, node) {
        if (depth >= DEPTH_MOST || n++ == ARRAY_MOST)
            break;
        if (open == '{')
            jw_key_sv(w, cut(child->key));
        write_node(w, child, depth + 1);
    }
    jw_close(w, close);
}

static void write_node(struct jw *w, const struct json *node, unsigned depth) {
    switch (node->type) {
    case JSON_NUMBER: write_number(w, node->text); break;
    case JSON_STRING: jw_string(w, cut(node->text)); break;
    case JSON_ARRAY: write_children(w, node, depth, '[', ']'); break;
    case JSON_OBJECT: write_children(w, node, depth, '{', '}'); break;
    default: jw_node(w, node); break;
    }
}

// A list of texts under key; nothing when it is empty.
static void write_list(struct jw *w, const char *key, const struct sv *list, size_t n) {
    if (n == 0)
        return;
    jw_key(w, key);
    jw_open(w, '[');
    for (size_t i = 0; i < n && i < ARRAY_MOST; i++)
        jw_string(w, cut(list[i]));
    jw_close(w, ']');
}

// ---- our own marks

static void write_marks(struct jw *w, struct arena *a, const struct event *e, const struct disposition *before) {
    member(w, "source", SV("fireorder"));
    member(w, "event_id", e->id);
    member(w, "dedup_scope", arena_fmt(a, SV_FMT ":" SV_FMT, SV_ARG(e->shop), SV_ARG(event_label(e))));
    member(w, "origin", e->origin);
    member(w, "purpose", e->purpose == PURPOSE_TRANSACTIONAL ? SV("transactional") : SV("marketing"));
    if (before) {
        member(w, "capi_event_id", e->id);
        member(w, "capi_status", before->status);
        member(w, "capi_reason", before->reason);
    }
    member(w, "customer_id", e->user.external_id);  // Klaviyo: an external_id on the profile can split one person into two
    member(w, "experiment_id", e->experiment_id);
    member(w, "variant", e->experiment_variant);
}

static const char *const mark_names[] = {
    "source", "event_id", "dedup_scope", "origin", "purpose", "capi_event_id", "capi_status", "capi_reason", "customer_id",
    "experiment_id", "variant", "value", "currency",
};

static bool is_mark(struct sv name) {
    for (size_t i = 0; i < COUNTOF(mark_names); i++)
        if (sv_is(name, mark_names[i]))
            return true;
    return false;
}

// ---- the event's own properties

// "$value" and its like mean something to Klaviyo, revenue for one; only $extra, which no segment sees, is the sender's to fill.
static bool may_pass(const struct property *p) {
    return !is_mark(p->name) && (!sv_starts(p->name, SV("$")) || sv_is(p->name, "$extra"));
}

static bool is_empty(const struct property *p) {
    struct sv text = p->node ? p->node->text : p->text;
    switch (p->type) {
    case JSON_NULL: return true;
    case JSON_STRING: return text.n == 0;
    case JSON_NUMBER: return text.n == 0 || amount_is_zero(text);
    case JSON_ARRAY: return p->node ? p->node->count == 0 : p->list_count == 0;
    case JSON_OBJECT: return !p->node || p->node->count == 0;
    default: return false;
    }
}

static void write_own(struct jw *w, const struct event *e) {
    for (size_t i = 0; i < e->property_count; i++) {
        const struct property *p = &e->properties[i];
        if (!may_pass(p) || is_empty(p))
            continue;
        jw_key_sv(w, cut(p->name));
        if (p->node)
            write_node(w, p->node, 1);
        else if (p->type == JSON_NUMBER)
            write_number(w, p->text);
        else if (p->type == JSON_TRUE || p->type == JSON_FALSE)
            jw_bool(w, p->type == JSON_TRUE);
        else if (p->type == JSON_STRING)
            jw_string(w, cut(p->text));
        else {
            jw_open(w, '[');
            for (size_t n = 0; n < p->list_count && n < ARRAY_MOST; n++)
                jw_string(w, cut(p->list[n]));
            jw_close(w, ']');
        }
    }
}

// ---- the names that Klaviyo recommends

static const struct {
    const char *own, *recommended;
    bool number;
} renames[] = {
    {"order_id", "OrderId", false},
    {"discount_code", "DiscountCode", false},
    {"discount_value", "DiscountValue", true},
    {"checkout_url", "CheckoutURL", false},
    {"reason", "Reason", false},
    {"query", "SearchTerm", false},
};

static bool has_own(const struct event *e, const char *name) {
    for (size_t i = 0; i < e->property_count; i++)
        if (sv_is(e->properties[i].name, name))
            return true;
    return false;
}

static void write_recommended(struct jw *w, const struct event *e, const char *name, struct sv text, bool number) {
    if (!sv_present(text) || has_own(e, name))
        return;
    if (!number)
        member(w, name, text);
    else if (amount_valid(text) && !amount_is_zero(text))
        jw_member_number(w, name, text);
}

static void write_renamed(struct jw *w, const struct event *e) {
    for (size_t i = 0; i < COUNTOF(renames); i++)
        write_recommended(w, e, renames[i].recommended, event_property_text(e, renames[i].own), renames[i].number);
}

static struct sv item_id(const struct item *item) {
    return sv_first(item->product_id, item->variant_id);
}

static void write_item(struct jw *w, struct arena *a, const struct item *item) {
    jw_open(w, '{');
    member(w, "ProductID", item_id(item));
    member(w, "VariantID", item->variant_id);
    member(w, "SKU", item->sku);
    member(w, "ProductName", item->title);
    member(w, "VariantName", item->variant_title);
    if (amount_valid(item->quantity))
        jw_member_number(w, "Quantity", item->quantity);
    if (amount_valid(item->price))
        jw_member_number(w, "ItemPrice", item->price);
    jw_member_number(w, "RowTotal", amount_times(a, item->price, item->quantity));
    member(w, "ProductURL", item->url);
    member(w, "ImageURL", item->image_url);
    struct sv category = item->category;
    write_list(w, "Categories", &category, sv_present(category));
    member(w, "Brand", item->vendor);
    jw_close(w, '}');
}

static void write_items(struct jw *w, struct arena *a, const struct event *e) {
    if (e->item_count == 0 || has_own(e, "Items"))
        return;
    jw_key(w, "Items");
    jw_open(w, '[');
    for (size_t i = 0; i < e->item_count && i < ARRAY_MOST; i++)
        write_item(w, a, &e->items[i]);
    jw_close(w, ']');
}

static struct sv title(const struct item *item) { return item->title; }
static struct sv category(const struct item *item) { return item->category; }
static struct sv vendor(const struct item *item) { return item->vendor; }

static bool contains(const struct sv *list, size_t n, struct sv text) {
    for (size_t i = 0; i < n; i++)
        if (sv_eq(list[i], text))
            return true;
    return false;
}

// The different values that one field has over all items.
static void write_distinct(struct jw *w, struct arena *a, const struct event *e, const char *key, struct sv (*field)(const struct item *)) {
    struct sv *list = ARENA_ARRAY(a, struct sv, DISTINCT_MOST);
    size_t n = 0;
    for (size_t i = 0; i < e->item_count && n < DISTINCT_MOST; i++) {
        struct sv text = field(&e->items[i]);
        if (sv_present(text) && !contains(list, n, text))
            list[n++] = text;
    }
    if (!has_own(e, key))
        write_list(w, key, list, n);
}

// An event about one product also has it at the top, where flows and filters look for it.
static void write_product(struct jw *w, const struct event *e) {
    if (e->item_count == 0)
        return;
    const struct item *item = &e->items[0];
    if (e->name == EVENT_ADD_TO_CART) {
        write_recommended(w, e, "AddedItemProductID", item_id(item), false);
        write_recommended(w, e, "AddedItemProductName", item->title, false);
        write_recommended(w, e, "AddedItemSKU", item->sku, false);
        write_recommended(w, e, "AddedItemPrice", item->price, true);
        write_recommended(w, e, "AddedItemQuantity", item->quantity, true);
        write_recommended(w, e, "AddedItemURL", item->url, false);
        write_recommended(w, e, "AddedItemImageURL", item->image_url, false);
    } else if (e->name == EVENT_PRODUCT_VIEWED || e->name == EVENT_INVENTORY_RESTOCKED) {
        write_recommended(w, e, "ProductID", item_id(item), false);
        write_recommended(w, e, "ProductName", item->title, false);
        write_recommended(w, e, "SKU", item->sku, false);
        write_recommended(w, e, "Price", item->price, true);
        write_recommended(w, e, "URL", sv_first(item->url, event_property_text(e, "product_url")), false);
        write_recommended(w, e, "ImageURL", item->image_url, false);
        write_recommended(w, e, "Brand", item->vendor, false);
    }
}

void klaviyo_properties(struct jw *w, struct arena *a, const struct event *e, const struct disposition *before, bool with_money) {
    jw_open(w, '{');
    write_marks(w, a, e, before);
    if (with_money && amount_valid(e->value) && !amount_is_zero(e->value))
        jw_member_number(w, "value", e->value);
    if (with_money)
        member(w, "currency", currency_upper(a, e->currency));
    write_renamed(w, e);
    write_items(w, a, e);
    write_distinct(w, a, e, "ItemNames", title);
    write_distinct(w, a, e, "Categories", category);
    write_distinct(w, a, e, "Brands", vendor);
    write_product(w, e);
    write_own(w, e);
    jw_close(w, '}');
}
