// address.h: whose request it is: the address of the connection, or what a trusted proxy says of it.
#ifndef SERVER_CONTEXT_ADDRESS_H
#define SERVER_CONTEXT_ADDRESS_H

#include "server/config/config.h"
#include "server/http/http_in.h"

struct address {
    unsigned char b[16];  // IPv4 as ::ffff:a.b.c.d
};

struct client {
    struct address address;  // the farthest one that can be believed: who is counted
    bool known;              // it is the client's own, not that of a proxy
};

// address_parse: IPv4 or IPv6, also "a.b.c.d:port" and "[v6]:port", as some proxies write them.
bool address_parse(struct sv text, struct address *ret);
struct sv address_text(struct arena *a, const struct address *address);

// address_client: the connection's address, or, when that is a trusted proxy's, the right-most one in X-Forwarded-For that is none:
// everything left of it is the client's own word. A trusted proxy that names nobody, or no address, leaves the client unknown.
struct client address_client(const struct config *config, struct sv peer, struct headers headers);

// address_payer: whom a rate counts against: an IPv4 address, or the first 64 bits of an IPv6 one, since whoever has one of these
// has all the others behind them as well. Points into address.
struct sv address_payer(const struct address *address);

#endif
