// config_text.h: private to server/config: what a single text of the configuration file may be. No texts of faults hold the value itself: it may be a secret.
#ifndef SERVER_CONFIG_TEXT_H
#define SERVER_CONFIG_TEXT_H

#include "base/faults.h"
#include "mapping/rules/rules.h"
#include "server/config/config.h"

// interpolate replaces ${NAME} by the environment variable and ${file:/path} by the file's content without its last line end.
// RC_NOT_FOUND: unset or unreadable; RC_INVALID: malformed.
MUST_CHECK enum rc interpolate(struct arena *a, struct sv text, struct sv *ret, struct err *e);

bool cidr_parse(struct sv text, struct cidr *ret);  // "10.0.0.0/8", "fd00::/8", or one address

// A mapping file that was read: however many shops name it, it is compiled once.
struct mapping {
    struct sv name;             // as the shops name it
    const struct rules *rules;  // NULL: it has faults
    struct mapping *next;
};

// mapping_load: the rules of a shop's own mapping file, which is looked for beside the configuration file unless its path is absolute.
// Those in *known are not read again. NULL when faults were noted.
const struct rules *mapping_load(struct arena *a, const char *config_file, struct sv name, struct mapping **known, struct faults *f,
                                 const struct yaml *node);

// config_parse_over: config_parse, with the keys of a shop from another text laid over the first shop; shop absent: none.
MUST_CHECK enum rc config_parse_over(struct sv bytes, const char *file, struct sv shop, const char *shop_file, struct config **ret,
                                     struct buf *faults, struct err *e);

// Checks of one value each; the value is there and not empty.
bool is_address(struct sv s);       // "host:port", ":port" or "port"
bool is_base_url(struct sv s);      // https://, or http:// when the host is this machine; no query, no credentials
bool is_origin(struct sv s);        // a base URL without a path, or null
bool is_domain(struct sv s);
bool is_shop_name(struct sv s);     // [a-z0-9_-]{1,64}
bool is_digits(struct sv s);
bool is_api_version(struct sv s);   // Meta: "v25.0"
bool is_revision(struct sv s);      // Klaviyo: "2026-07-15", "2026-07-15.pre"
bool is_token(struct sv s);         // visible ASCII: it goes into a header
bool is_line(struct sv s);          // no control characters

#endif
