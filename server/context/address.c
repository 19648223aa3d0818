#include "server/context/address.h"

#include <arpa/inet.h>
#include <string.h>

static const unsigned char mapped[12] = {[10] = 0xff, [11] = 0xff};  // ::ffff:0:0/96

static bool is_ipv4(const struct address *address) {
    return memcmp(address->b, mapped, sizeof mapped) == 0;
}

static bool parse_bare(struct sv text, struct address *ret) {
    char address[INET6_ADDRSTRLEN];
    if (text.n == 0 || text.n >= sizeof address || memchr(text.p, '\0', text.n))
        return false;
    memcpy(address, text.p, text.n);
    address[text.n] = '\0';
    memcpy(ret->b, mapped, sizeof mapped);
    return inet_pton(AF_INET, address, ret->b + sizeof mapped) == 1 || inet_pton(AF_INET6, address, ret->b) == 1;
}

static bool is_port(struct sv s) {
    int64_t port;
    return s.n >= 1 && s.n <= 5 && s.p[0] != '-' && sv_i64(s, &port) && port <= 65535;
}

bool address_parse(struct sv text, struct address *ret) {
    struct sv host, port;
    if (sv_starts(text, SV("["))) {
        if (!sv_cut(sv_sub(text, 1, text.n), ']', &host, &port) || (port.n > 0 && (port.p[0] != ':' || !is_port(sv_sub(port, 1, port.n)))))
            return false;
        return parse_bare(host, ret) && memchr(host.p, ':', host.n);
    }
    if (parse_bare(text, ret))
        return true;
    return sv_cut(text, ':', &host, &port) && is_port(port) && parse_bare(host, ret);
}

struct sv address_text(struct arena *a, const struct address *address) {
    char text[INET6_ADDRSTRLEN];
    bool ipv4 = is_ipv4(address);
    if (!inet_ntop(ipv4 ? AF_INET : AF_INET6, ipv4 ? address->b + sizeof mapped : address->b, text, sizeof text))
        return SV_NONE;
    return arena_dup(a, sv_of(text));
}

static bool is_within(const struct address *address, const struct cidr *range) {
    unsigned whole = range->bits / 8, rest = range->bits % 8;
    if (memcmp(address->b, range->address, whole) != 0)
        return false;
    return rest == 0 || ((address->b[whole] ^ range->address[whole]) >> (8 - rest)) == 0;
}

static bool is_trusted(const struct config *config, const struct address *address) {
    for (size_t i = 0; i < config->trusted_proxy_count; i++)
        if (is_within(address, &config->trusted_proxies[i]))
            return true;
    return false;
}

static struct sv last_of(struct sv *list) {
    size_t n = list->n;
    while (n > 0 && list->p[n - 1] != ',')
        n--;
    struct sv last = sv_sub(*list, n, list->n);
    *list = sv_sub(*list, 0, n > 0 ? n - 1 : 0);
    return sv_trim(last);
}

// Reads one X-Forwarded-For from the right. False: go on with the header before it.
static bool settle(const struct config *config, struct sv list, struct client *client) {
    while (list.n > 0) {
        struct address said;
        if (!address_parse(last_of(&list), &said))
            return true;
        client->address = said;
        if (is_trusted(config, &said))
            continue;
        client->known = true;
        return true;
    }
    return false;
}

struct client address_client(const struct config *config, struct sv peer, struct headers headers) {
    struct client client = {0};
    if (!address_parse(peer, &client.address))
        return (struct client){0};
    client.known = !is_trusted(config, &client.address);
    if (client.known)
        return client;
    for (size_t i = headers.n; i-- > 0;)
        if (sv_is_nocase(headers.v[i].name, "X-Forwarded-For") && settle(config, headers.v[i].value, &client))
            break;
    return client;
}

struct sv address_payer(const struct address *address) {
    return (struct sv){(const char *)address->b, is_ipv4(address) ? 16 : 8};
}
