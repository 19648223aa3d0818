#include "handlers/privacy.h"

#include "mapping/normalise.h"

#define PHONE_DIGITS_LEAST 7
#define ID_DIGITS_LEAST 4

static bool digits_eq(struct sv a, struct sv b) {
    size_t i = 0, k = 0, n = 0;
    for (;;) {
        while (i < a.n && (a.p[i] < '0' || a.p[i] > '9'))
            i++;
        while (k < b.n && (b.p[k] < '0' || b.p[k] > '9'))
            k++;
        if (i == a.n || k == b.n)
            return i == a.n && k == b.n && n >= PHONE_DIGITS_LEAST;
        if (a.p[i++] != b.p[k++])
            return false;
        n++;
    }
}

// An id counts where ids stand: a price of 450789469 is nobody's order.
static bool names_id(struct sv member) {
    return sv_is(member, "id") || sv_ends(member, SV("_id")) || sv_is(member, "ecommerce");
}

static bool is_id(struct sv text, const char *kind, struct sv id, bool in_place) {
    struct sv tail = sv_sub(text, text.n - (id.n < text.n ? id.n : text.n), id.n);
    if (id.n < ID_DIGITS_LEAST || !sv_eq(tail, id))
        return false;
    return text.n == id.n ? in_place : sv_ends(sv_sub(text, 0, text.n - id.n), sv_of(kind));  // gid://shopify/Customer/1
}

static bool is_theirs(struct arena *a, const struct privacy_request *r, struct sv member, struct sv text) {
    bool in_place = names_id(member);
    if (!sv_present(text))
        return false;
    if (r->email.p && sv_eq(normal_email(a, text), r->email))
        return true;
    if (r->phone.p && digits_eq(text, r->phone))
        return true;
    if (is_id(text, "/Customer/", r->customer_id, in_place))
        return true;
    for (size_t i = 0; i < r->order_count; i++)
        if (is_id(text, "/Order/", r->orders[i], in_place))
            return true;
    return false;
}

// member: the nearest name above; the elements of a list are called as the list is.
static bool any_theirs(struct arena *a, const struct privacy_request *r, const struct json *node, struct sv member) {
    if (node->type == JSON_STRING || node->type == JSON_NUMBER)
        return is_theirs(a, r, member, json_text(node));
    JSON_EACH(child, node)
        if (any_theirs(a, r, child, child->key.p ? child->key : member))
            return true;
    return false;
}

bool privacy_concerns(struct arena *a, const struct privacy_request *r, struct sv text) {
    struct json *root;
    if (!sv_present(text))
        return false;
    bool readable = json_parse(a, text, &root, NULL) == RC_OK;
    if (r->kind == PRIVACY_FORGET_SHOP)
        return !readable || json_is_object(root);
    if (readable)
        return any_theirs(a, r, root, SV_NONE);
    return (r->email.p && sv_contains_nocase(text, r->email)) || (r->customer_id.p && sv_contains_nocase(text, r->customer_id));
}
