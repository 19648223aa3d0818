// config.h: the configuration file as an immutable snapshot. A reload makes a new one and swaps it; whoever works with the
// old one holds a reference until the end of its piece of work. Errors name file, line and the nearest known key.
#ifndef SERVER_CONFIG_H
#define SERVER_CONFIG_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "mapping/shop.h"

enum { IN_FLIGHT_MOST = 1024, IN_FLIGHT_SHARED = 5 };  // shared: of several shops none can have them all (dispatch_slots.c)

struct cidr {
    unsigned char address[16];  // IPv4 as ::ffff:a.b.c.d
    unsigned bits;              // of 128
};

struct config {
    struct arena arena;
    int references;             // atomic; use config_take and config_drop
    struct sv file;
    struct sv listen, admin, admin_token;
    struct sv store;            // URL
    struct sv spool;            // file; absent: none
    struct sv seal_keys;        // 32 bytes each, one behind the other, or absent
    bool relaxed;
    int64_t retention_ms, identity_lifetime_ms, report_lifetime_ms;
    size_t in_flight;           // requests that are open at destinations, at most
    struct cidr trusted_proxies[16];
    size_t trusted_proxy_count;
    struct shop *shops;
    size_t shop_count;
};

// config_load reads and checks everything; all faults, one a line, are written to `faults` (file:line: text), then RC_INVALID.
MUST_CHECK enum rc config_load(const char *file, struct config **ret, struct buf *faults, struct err *e);
// config_parse: the same from bytes; `file` only names them.
MUST_CHECK enum rc config_parse(struct sv bytes, const char *file, struct config **ret, struct buf *faults, struct err *e);
// config_sample: a shop "acme" with everything switched on. shop: the text of a file with keys of a shop that are laid over it, or absent.
MUST_CHECK enum rc config_sample(struct sv shop, struct config **ret, struct buf *faults, struct err *e);
const struct shop *config_shop(const struct config *c, struct sv name);  // NULL when unknown
struct config *config_take(struct config *c);
void config_drop(struct config *c);                                      // frees with the last reference; NULL is fine

// The one place where the current snapshot is kept. Thread-safe.
struct config_slot;
struct config_slot *config_slot_new(struct config *first);               // takes over the caller's reference
void config_slot_free(struct config_slot *slot);
struct config *config_current(struct config_slot *slot);                 // with a reference: config_drop it
void config_replace(struct config_slot *slot, struct config *next);      // takes over the caller's reference

#endif
