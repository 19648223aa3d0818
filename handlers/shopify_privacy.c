// shopify_privacy.c: the three topics that every app must serve: what is kept of a customer, a customer to be forgotten, a shop to be
// forgotten. The topic is not signed: whoever has recorded any signed body could send it here under one of these names. So a body must
// have the very form of its topic, and name this shop.
#include "handlers/privacy.h"
#include "handlers/shopify.h"
#include "mapping/normalise.h"

static bool is_form(const struct json *body, const char *const *members) {
    JSON_EACH(member, body) {
        const char *const *known = members;
        while (*known && !sv_is(member->key, *known))
            known++;
        if (!*known)
            return false;
    }
    return sv_present(json_str(body, "shop_domain")) && sv_present(json_str(body, "shop_id"));
}

static struct privacy_request *request_of(struct arena *a, const struct shop *shop, const struct json *body, enum privacy_kind kind,
                                          const char *const *members, struct decoded *ret) {
    struct privacy_request *r = ARENA_NEW(a, struct privacy_request);
    r->kind = kind;
    if (!is_form(body, members)) {
        *ret = (struct decoded){.undecodable = SV("body has not the form of this topic")};
        return r;
    }
    if (sv_present(shop->domain) && !sv_eq_nocase(shop->domain, json_str(body, "shop_domain"))) {
        *ret = (struct decoded){.undecodable = SV("body is about another shop")};
        return r;
    }
    ret->privacy = r;
    return r;
}

static void customer(struct arena *a, const struct shop *shop, const struct json *body, enum privacy_kind kind, const char *orders,
                     const char *const *members, struct decoded *ret) {
    struct privacy_request *r = request_of(a, shop, body, kind, members, ret);
    const struct json *ids = json_get(body, orders);
    struct sv *list = ARENA_ARRAY(a, struct sv, ids ? ids->count + 1 : 1);
    JSON_EACH(id, json_is_array(ids) ? ids : NULL)
        if (decimal_id(json_text(id)).p)
            list[r->order_count++] = json_text(id);
    r->orders = list;
    r->customer_id = decimal_id(json_str(body, "customer.id"));
    r->email = normal_email(a, json_str(body, "customer.email"));
    r->phone = normal_phone(a, json_str(body, "customer.phone"), SV_NONE);
    if (ret->privacy && !r->customer_id.p && !r->email.p && !r->phone.p)
        *ret = (struct decoded){.undecodable = SV("body names no customer")};
}

void customer_data_requested(struct arena *a, const struct shop *shop, const struct topic *topic, const struct json *body, struct decoded *ret) {
    (void)topic;
    ret->ignored = SV("what is kept of this customer is counted");
    customer(a, shop, body, PRIVACY_TELL, "orders_requested",
             PATHS("shop_id", "shop_domain", "customer", "orders_requested", "data_request"), ret);
}

void customer_redacted(struct arena *a, const struct shop *shop, const struct topic *topic, const struct json *body, struct decoded *ret) {
    (void)topic;
    ret->ignored = SV("this customer is forgotten");
    customer(a, shop, body, PRIVACY_FORGET_CUSTOMER, "orders_to_redact", PATHS("shop_id", "shop_domain", "customer", "orders_to_redact"), ret);
}

void shop_redacted(struct arena *a, const struct shop *shop, const struct topic *topic, const struct json *body, struct decoded *ret) {
    (void)topic;
    ret->ignored = SV("this shop's people are forgotten");
    request_of(a, shop, body, PRIVACY_FORGET_SHOP, PATHS("shop_id", "shop_domain"), ret);
}
