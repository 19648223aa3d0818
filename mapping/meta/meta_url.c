// meta_url.c: the page of an event, without what is nobody else's business.
#include "mapping/meta/meta.h"

// The properties that may name a page, the most telling first.
static const char *const page_properties[] = {
    "page_url", "product_url", "checkout_url", "order_status_url", "order_url", "landing_url", "landing_site", "landing_page",
};

// Behind these words come tokens that open an order or a checkout to whoever has them.
static const char *const last_words[] = {
    "checkouts", "checkout", "orders", "order", "carts", "cart", "account", "invoices", "draft_orders", "authenticate",
};

#define TOKEN_LEAST 20  // a word of so many letters and digits without a dash is a token, not the name of a page

static bool is_token(struct sv segment) {
    bool has_digit = false;
    for (size_t i = 0; i < segment.n; i++) {
        char c = segment.p[i];
        if (c == '-')
            return false;
        has_digit |= c >= '0' && c <= '9';
    }
    return segment.n >= TOKEN_LEAST && has_digit;
}

static bool is_harmless(struct sv segment) {
    for (size_t i = 0; i < segment.n; i++)
        if (segment.p[i] <= ' ' || segment.p[i] > '~' || segment.p[i] == '@' || segment.p[i] == '\\')
            return false;
    return !sv_contains_nocase(segment, SV("%40")) && !is_token(segment);
}

static bool ends_path(struct sv segment) {
    for (size_t i = 0; i < COUNTOF(last_words); i++)
        if (sv_is_nocase(segment, last_words[i]))
            return true;
    return false;
}

// clean_path: the beginning of path that may be told; path begins with "/" or is empty.
static struct sv clean_path(struct sv path) {
    struct sv rest = sv_sub(path, 1, path.n), segment;
    size_t kept = 0;
    for (bool more = path.n > 0; more;) {
        more = sv_cut(rest, '/', &segment, &rest);
        if (!is_harmless(segment))
            break;
        kept += 1 + segment.n;
        if (ends_path(segment))
            break;
    }
    return kept > 0 ? sv_sub(path, 0, kept) : SV("/");
}

static bool is_host(struct sv s) {
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        bool good = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '-' || c == ':';
        if (!good)
            return false;
    }
    return s.n > 0;
}

static struct sv before_any(struct sv s, const char *stops) {
    for (struct sv head, tail; *stops != '\0'; stops++)
        if (sv_cut(s, *stops, &head, &tail))
            s = head;
    return s;
}

// Absent when url is not one: neither http(s) nor a path within the shop.
static struct sv clean_url(struct arena *a, struct sv url, struct sv domain) {
    struct sv scheme, rest, host = domain, path = before_any(sv_trim(url), "?#");
    if (sv_cut(path, ':', &scheme, &rest) && sv_starts(rest, SV("//")) && (sv_is_nocase(scheme, "https") || sv_is_nocase(scheme, "http"))) {
        rest = sv_sub(rest, 2, rest.n);
        host = before_any(rest, "/");
        path = sv_sub(rest, host.n, rest.n);
    } else if (!sv_starts(path, SV("/")) || sv_starts(path, SV("//"))) {
        return SV_NONE;
    }
    if (!is_host(host))
        return SV_NONE;
    return arena_join(a, SVS(SV("https://"), host, clean_path(path)));
}

struct sv meta_page_url(struct arena *a, const struct event *e, const struct shop *shop) {
    for (size_t i = 0; i < COUNTOF(page_properties); i++) {
        struct sv url = clean_url(a, event_property_text(e, page_properties[i]), shop->domain);
        if (url.p)
            return url;
    }
    return clean_url(a, SV("/"), shop->domain);
}
