// shopify_read.c: the parts that Shopify's resources have in common.
// Whatever may be absent, null, "" or [] is: access to personal data is cut in many ways (missing keys, addresses of a country only).
#include "handlers/decimal.h"
#include "handlers/shopify.h"
#include "mapping/click.h"
#include "mapping/normalise.h"

#include <string.h>

// admin_graphql_api_id says of what kind the body is. The number is that of `id`, which is what somebody changes who edits a recording.
struct sv shopify_id(struct arena *a, const struct json *body, const char *kind, struct decoded *ret) {
    struct sv gid = json_str(body, "admin_graphql_api_id");
    struct sv prefix = arena_join(a, SVS(SV("gid://shopify/"), sv_of(kind), SV("/")));
    if (gid.p && !sv_starts(gid, prefix)) {
        ret->undecodable = arena_fmt(a, "body is not of kind %s: admin_graphql_api_id names another", kind);
        return SV_NONE;
    }
    struct sv of_gid = decimal_id(sv_sub(gid, prefix.n, gid.n));
    struct sv id = gid.p && !of_gid.p ? SV_NONE : sv_first(decimal_id(json_str(body, "id")), of_gid);
    if (!id.p)
        ret->undecodable = arena_fmt(a, "body is not of kind %s: no id", kind);
    return id;
}

static const struct json *address_of(const struct json *body) {
    static const char *const places[] = {"shipping_address", "billing_address", "customer.default_address"};
    for (size_t i = 0; i < COUNTOF(places); i++) {
        const struct json *address = json_at(body, places[i]);
        if (json_is_object(address) && address->count > 0)
            return address;
    }
    return NULL;
}

void shopify_address(const struct json *address, struct user *u) {
    u->address1 = json_str(address, "address1");
    u->city = json_str(address, "city");
    u->region = first_text(address, PATHS("province_code", "province"));
    u->zip = json_str(address, "zip");
    u->country = country_code(first_text(address, PATHS("country_code", "country")));
}

// The customer's own name goes before that of the parcel's receiver: it belongs to the e-mail address. First and last come from one place.
static void take_name(const struct json *body, struct user *u) {
    static const char *const places[] = {"customer", "shipping_address", "billing_address", "customer.default_address"};
    for (size_t i = 0; i < COUNTOF(places) && !u->first_name.p && !u->last_name.p; i++) {
        u->first_name = json_str(json_at(body, places[i]), "first_name");
        u->last_name = json_str(json_at(body, places[i]), "last_name");
    }
}

struct user shopify_user(const struct json *body) {
    struct user u = {
        .email = first_text(body, PATHS("email", "contact_email", "customer.email")),
        .phone = first_text(body, PATHS("phone", "customer.phone", "shipping_address.phone", "billing_address.phone")),
        .external_id = decimal_id(json_str(body, "customer.id")),
        .locale = json_str(body, "customer_locale"),
    };
    take_name(body, &u);
    shopify_address(address_of(body), &u);
    return u;
}

// The click id's cookie when the theme passed it on, else one made from the page the visit began with. That page was seen before
// the order was, but when is not known; a click id must not be younger than its event, and the two times of an order differ by seconds.
static struct sv click_id(struct arena *a, const struct json *body, struct sv cookie, int64_t event_ms, const char **ret_from) {
    *ret_from = "note attribute";
    if (valid_fbc(cookie, event_ms))
        return cookie;
    *ret_from = LANDING_SITE;
    int64_t created_ms;
    if (!first_time(body, PATHS("created_at"), 0, &created_ms) || created_ms > event_ms)
        created_ms = event_ms;
    struct sv page = json_str(body, "landing_site");
    return page.p ? fbc_from_url(a, page, created_ms) : SV_NONE;
}

// is_metas: the host of a page is one of Meta's: facebook.com, l.facebook.com, m.facebook.com, l.instagram.com ...
static bool is_metas(struct sv page) {
    static const char *const hosts[] = {"facebook.com", "instagram.com"};
    struct sv scheme, host, rest;
    if (!sv_cut(page, ':', &scheme, &rest) || !sv_starts(rest, SV("//")))
        return false;
    rest = sv_sub(rest, 2, rest.n);
    size_t n = 0;
    while (n < rest.n && !strchr("/?#:", rest.p[n]))
        n++;
    host = sv_sub(rest, 0, n);
    for (size_t i = 0; i < COUNTOF(hosts); i++) {
        size_t domain = strlen(hosts[i]);
        struct sv end = sv_sub(host, host.n < domain ? host.n : host.n - domain, host.n);
        if (sv_is_nocase(end, hosts[i]) && (host.n == domain || host.p[host.n - domain - 1] == '.'))
            return true;
    }
    return false;
}

// utm_source of a landing page, as people name their campaigns' source.
static bool is_from_meta(struct sv page) {
    static const char *const metas[] = {"facebook", "fb", "instagram", "ig", "meta"};
    struct sv pair, name, value, query, path;
    sv_cut(page, '#', &page, &pair);
    for (bool more = sv_cut(page, '?', &path, &query); more;) {
        more = sv_cut(query, '&', &pair, &query);
        sv_cut(pair, '=', &name, &value);
        for (size_t i = 0; i < COUNTOF(metas) && sv_is_nocase(name, "utm_source"); i++)
            if (sv_is_nocase(value, metas[i]))
                return true;
    }
    return false;
}

// Also a cookie that is damaged or too old, an id that cannot be one, and a page of Meta's that led here say that there was a click.
static bool has_clicked(const struct json *body, struct sv cookie) {
    struct sv page = json_str(body, "landing_site");
    return sv_starts(cookie, SV("fb.")) || sv_contains_nocase(page, SV("fbclid=")) || is_from_meta(page) || is_metas(json_str(body, "referring_site"));
}

static unsigned dropped_of(const struct json *body, struct sv fbp, struct sv fbc, const struct event *e) {
    bool cookie = valid_fbc(fbc, e->time_ms), clicked = sv_contains_nocase(json_str(body, "landing_site"), SV("fbclid="));
    return (sv_present(fbp) && !valid_fbp(fbp) ? DROPPED_FBP : 0u) | (sv_present(fbc) && !cookie ? DROPPED_FBC : 0u) |
           (clicked && !e->user.fbc.p ? DROPPED_FBCLID : 0u);
}

void shopify_browser(struct arena *a, const struct json *body, struct event *e) {
    const struct json *attributes = json_get(body, "note_attributes");
    struct sv fbp = sv_first(attribute(attributes, "_fbp"), attribute(attributes, "fbp"));
    struct sv fbc = sv_first(attribute(attributes, "_fbc"), attribute(attributes, "fbc"));
    e->user.fbp = valid_fbp(fbp) ? fbp : SV_NONE;
    e->origins.fbp = "note attribute";
    e->clicked = has_clicked(body, fbc);
    e->user.fbc = click_id(a, body, fbc, e->time_ms, &e->origins.fbc);
    e->dropped = dropped_of(body, fbp, fbc, e);
    e->user.ip = first_text(body, PATHS("browser_ip", "client_details.browser_ip"));
    e->user.user_agent = json_str(body, "client_details.user_agent");
    attributes_consent(a, attributes, e);
    attributes_experiment(attributes, e);
    JSON_EACH(line, json_get(body, "line_items"))
        attributes_experiment(json_get(line, "properties"), e);
}

static struct item item_of(const struct json *item) {
    return (struct item){
        .product_id = json_str(item, "product_id"),
        .variant_id = json_str(item, "variant_id"),
        .sku = json_str(item, "sku"),
        .title = first_text(item, PATHS("title", "presentment_title", "name")),
        .variant_title = first_text(item, PATHS("variant_title", "presentment_variant_title")),
        .price = money(first_text(item, PATHS("price", "variant_price"))),
        .vendor = json_str(item, "vendor"),
        .quantity = json_str(item, "quantity"),
    };
}

void shopify_items(struct arena *a, const struct json *lines, const char *within, struct event *e) {
    if (!json_is_array(lines) || lines->count == 0)
        return;
    e->items = ARENA_ARRAY(a, struct item, lines->count);
    JSON_EACH(line, lines) {
        struct item *item = &e->items[e->item_count++];
        *item = item_of(within ? json_get(line, within) : line);
        if (within)
            item->quantity = json_str(line, "quantity");
    }
    event_total_items(a, e);
}

static void take_discounts(struct arena *a, const struct json *body, struct event *e) {
    const struct json *discounts = json_get(body, "discount_codes");
    struct decimal total;
    if (decimal_of(json_str(body, "total_discounts"), &total) && total.units > 0)
        event_property_number(e, "discount_value", decimal_text(a, total));
    discount_codes(a, discounts, e);
}

void shopify_basket(struct arena *a, const struct json *body, struct event *e) {
    e->value = money(json_str(body, "total_price"));
    e->currency = currency_code(json_str(body, "currency"));
    shopify_items(a, json_get(body, "line_items"), NULL, e);
    take_discounts(a, body, e);
    event_property(e, "shipping_country", json_str(body, "shipping_address.country_code"));
    event_property(e, "cart_id", json_str(body, "cart_token"));
    event_property(e, "checkout_url", json_str(body, "abandoned_checkout_url"));
}
