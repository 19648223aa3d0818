// config_load.c: from the text of the configuration file to a checked snapshot. What may stand in the file is the tables below.
#include "base/clock.h"
#include "base/crypto.h"
#include "base/faults.h"
#include "base/file.h"
#include "mapping/content_id.h"
#include "server/config/config_keys.h"
#include "server/store/store.h"

#include <stdlib.h>
#include <string.h>

enum { CONFIG_MEMORY = 128 << 20 };

// ---- readers of what only one key has

static void read_store(struct loader *l, const struct key *key, const struct yaml *node, void *target) {
    struct sv text;
    struct err e;
    if (!key_scalar(l, key, node, &text))
        return;
    if (store_url_check(text, &e) != RC_OK)
        fault(&l->faults, node, "%s", e.text);
    else
        *(struct sv *)key_target(target, key->offset) = text;
}

static void read_mapping(struct loader *l, const struct key *key, const struct yaml *node, void *target) {
    struct sv name;
    if (key_scalar(l, key, node, &name) && !sv_is(name, "default"))
        ((struct shop *)target)->rules = mapping_load(l->arena, l->file, name, &l->mappings, &l->faults, node);
}

static void read_proxies(struct loader *l, const struct key *key, const struct yaml *node, void *target) {
    struct config *config = target;
    config->trusted_proxy_count = 0;
    if (!key_list(l, key, node))
        return;
    YAML_EACH(item, node) {
        struct sv text;
        if (!key_scalar(l, key, item, &text))
            continue;
        if (cidr_parse(text, &config->trusted_proxies[config->trusted_proxy_count]))
            config->trusted_proxy_count++;
        else
            fault(&l->faults, item, "%s must be networks such as 127.0.0.1/32, 10.0.0.0/8 or fd00::/8", key->name);
    }
}

static void add_seal_key(struct loader *l, const struct key *key, const struct yaml *node, struct sv *keys) {
    struct sv text;
    bool there = key_scalar(l, key, node, &text);
    if (there && base64_bytes(text, (unsigned char *)keys->p + keys->n, SEAL_KEY_LEN))
        keys->n += SEAL_KEY_LEN;
    else if (there)
        fault(&l->faults, node, "%s must be 32 bytes in base64 (make one with: openssl rand -base64 32)", key->name);
}

// read_seal_keys: one, or a list of them; they are kept one behind the other.
static void read_seal_keys(struct loader *l, const struct key *key, const struct yaml *node, void *target) {
    struct sv *keys = key_target(target, key->offset);
    *keys = (struct sv){arena_alloc(l->arena, SEAL_KEYS_MAX * SEAL_KEY_LEN), 0};
    if (node->type != YAML_LIST)
        add_seal_key(l, key, node, keys);
    else if (key_list(l, key, node))
        YAML_EACH(item, node)
            add_seal_key(l, key, item, keys);
}

static void read_shops(struct loader *l, const struct key *key, const struct yaml *node, void *target);

// ---- the tables

#define SHOP(field) .offset = offsetof(struct shop, field)
#define CONFIG(field) .offset = offsetof(struct config, field)
#define COUNT(field) .count_offset = offsetof(struct shop, field)
#define SECRETS(field)                                                                                                         \
    {"secrets", read_list, SHOP(field.v), COUNT(field.n), .most = SECRETS_MAX, .required = true, .check = is_line,             \
     .expected = "texts of one line"}
#define BASE_URL "a URL that begins with https:// (http:// only in the private network), without query"
#define TOKEN "visible ASCII characters without spaces"

static const struct key shopify_keys[] = {
    SECRETS(shopify.secrets),
    {"purchase_on", read_bool, SHOP(shopify.purchase_on_paid), .words = {"orders/create", "orders/paid"}},
    {0},
};

static const struct key recharge_keys[] = {
    SECRETS(recharge.secrets),
    {"signature", read_enum, SHOP(recharge.signature), .words = {"auto", "timestamped", "legacy"}},
    {0},
};

static const struct key meta_keys[] = {
    {"pixel_id", read_text, SHOP(meta.pixel_id), .required = true, .check = is_digits, .expected = "digits only"},
    {"access_token", read_text, SHOP(meta.access_token), .required = true, .check = is_token, .expected = TOKEN},
    {"api_version", read_text, SHOP(meta.api_version), .check = is_api_version, .expected = "a version such as v25.0"},
    {"base_url", read_url, SHOP(meta.base_url), .check = is_base_url, .expected = BASE_URL},
    {"content_id", read_text, SHOP(meta.content_id), .check = content_id_valid,
     .expected = "a text with {variant_id}, {product_id} or {sku} in it, and {country} if wanted"},
    {"test_event_code", read_text, SHOP(meta.test_event_code), .may_be_empty = true, .check = is_token, .expected = TOKEN},
    {0},
};

static const struct key klaviyo_keys[] = {
    {"api_key", read_text, SHOP(klaviyo.api_key), .required = true, .check = is_token, .expected = TOKEN},
    {"revision", read_text, SHOP(klaviyo.revision), .check = is_revision, .expected = "a date such as 2026-07-15"},
    {"base_url", read_url, SHOP(klaviyo.base_url), .check = is_base_url, .expected = BASE_URL},
    {"list_id", read_text, SHOP(klaviyo.list_id), .may_be_empty = true, .check = is_token, .expected = TOKEN},
    {"double_opt_in", read_bool, SHOP(klaviyo.double_opt_in), .words = {"false", "true"}},
    {"bulk_when_behind", read_duration, SHOP(klaviyo.bulk_when_behind_ms), .words = {"off"}},
    {"delete_on_redact", read_bool, SHOP(klaviyo.delete_on_redact), .words = {"false", "true"}},
    {"native_integration", read_bool, SHOP(klaviyo.native_integration), .words = {"false", "true"}},
    {0},
};

static const struct key events_keys[] = {
    SECRETS(events.secrets),
    {0},
};

static const struct key context_keys[] = {
    {"origins", read_list, SHOP(context.origins), COUNT(context.origin_count), .required = true, .most = 8, .check = is_origin,
     .expected = "origins such as https://shop.example, without a path"},
    {"lifetime", read_duration, SHOP(context.lifetime_ms)},
    {"customer_secret", read_text, SHOP(context.customer_secret), .check = is_line, .expected = "a text of one line"},
    {0},
};

#define PURPOSES {"none", "marketing", "analytics"}
#define UNKNOWNS {"allow", "deny", "region"}

static const struct key consent_meta_keys[] = {
    {"purpose", read_enum, SHOP(consent.meta.purpose), .words = PURPOSES},
    {"unknown", read_enum, SHOP(consent.meta.unknown), .words = UNKNOWNS},
    {"opt_out", read_enum, SHOP(consent.meta.opt_out), .words = {"skip", "ldu", "region"}},
    {0},
};

static const struct key consent_klaviyo_keys[] = {
    {"purpose", read_enum, SHOP(consent.klaviyo.purpose), .words = PURPOSES},
    {"unknown", read_enum, SHOP(consent.klaviyo.unknown), .words = UNKNOWNS},
    {0},
};

static const struct key consent_keys[] = {
    {"meta", read_map, .keys = consent_meta_keys},
    {"klaviyo", read_map, .keys = consent_klaviyo_keys},
    {0},
};

static const struct key shop_keys[] = {
    {"domain", read_text, SHOP(domain), .check = is_domain, .expected = "a host name such as acme.myshopify.com"},
    {"shopify", read_map, .keys = shopify_keys},
    {"recharge", read_map, .keys = recharge_keys},
    {"meta", read_map, SHOP(meta.configured), .marks = true, .keys = meta_keys},
    {"klaviyo", read_map, SHOP(klaviyo.configured), .marks = true, .keys = klaviyo_keys},
    {"events", read_map, .keys = events_keys},
    {"context", read_map, .keys = context_keys},
    {"consent", read_map, .keys = consent_keys},
    {"mapping", read_mapping, .offset = 0},
    {0},
};

static const struct key top_keys[] = {
    {"version", read_constant, .required = true, .words = {"1"}},
    {"listen", read_text, CONFIG(listen), .check = is_address, .expected = "host:port, :port or port"},
    {"admin", read_text, CONFIG(admin), .check = is_address, .expected = "host:port, :port or port"},
    {"admin_token", read_text, CONFIG(admin_token), .check = is_token, .expected = TOKEN},
    {"store", read_store, CONFIG(store)},
    {"spool", read_text, CONFIG(spool)},
    {"seal_key", read_seal_keys, CONFIG(seal_keys), .most = SEAL_KEYS_MAX},
    {"durability", read_bool, CONFIG(relaxed), .words = {"strict", "relaxed"}},
    {"retention", read_duration, CONFIG(retention_ms)},
    {"identity_lifetime", read_duration, CONFIG(identity_lifetime_ms)},
    {"report_lifetime", read_duration, CONFIG(report_lifetime_ms)},
    {"in_flight", read_number, CONFIG(in_flight), .least = 1, .most = IN_FLIGHT_MOST},
    {"trusted_proxies", read_proxies, .may_be_empty = false, .most = COUNTOF(((struct config *)0)->trusted_proxies)},
    {"shops", read_shops, .required = true},
    {0},
};

// ---- defaults, and what no single key can tell

static const struct config config_defaults = {
    .references = 1,
    .listen = {"0.0.0.0:8080", 12},
    .admin = {"127.0.0.1:9090", 14},
    .store = {"sqlite:fireorder.db", 19},
    .retention_ms = HOURS_MS(24),
    .identity_lifetime_ms = DAYS_MS(60),
    .report_lifetime_ms = DAYS_MS(90),
    .in_flight = 512,
    .trusted_proxies = {{.address = {[10] = 0xff, [11] = 0xff, [12] = 127, [15] = 1}, .bits = 128}},
    .trusted_proxy_count = 1,
};

static const struct shop shop_defaults = {
    .recharge.signature = RECHARGE_AUTO,
    .meta = {.api_version = {"v25.0", 5}, .base_url = {"https://graph.facebook.com", 26}, .content_id = {"{variant_id}", 12}},
    .klaviyo = {.native_integration = true, .revision = {"2026-07-15", 10}, .base_url = {KLAVIYO_URL, sizeof KLAVIYO_URL - 1},
                .bulk_when_behind_ms = MINUTES_MS(5)},
    .context.lifetime_ms = DAYS_MS(7),
    .consent = {.meta = {CONSENT_FOR_MARKETING, UNKNOWN_BY_REGION, OPT_OUT_BY_REGION}, .klaviyo = {CONSENT_FOR_NOTHING, UNKNOWN_ALLOW, OPT_OUT_SKIP}},
};

static void read_shops(struct loader *l, const struct key *key, const struct yaml *node, void *target) {
    struct config *config = target;
    size_t n = 0;
    if (node->type != YAML_MAP) {
        fault(&l->faults, node, "%s must be a map: a name for each shop, and its keys below", key->name);
        return;
    }
    YAML_EACH(member, node)
        n++;
    config->shops = ARENA_ARRAY(l->arena, struct shop, n);
    const struct rules *standard = rules_compile(l->arena, SV_NONE, NULL, &l->faults);
    YAML_EACH(member, node) {
        struct shop *shop = &config->shops[config->shop_count++];
        *shop = shop_defaults;
        shop->name = member->key;
        if (!is_shop_name(member->key))
            fault(&l->faults, member, "shop \"%s\": a shop's name is 1 to 64 characters of a-z, 0-9, _ and -", shown_word(l->arena, member->key));
        read_keys(l, shop_keys, member, shown_word(l->arena, member->key), shop);
        if (!shop->rules)
            shop->rules = standard;
    }
}

static void check_whole(struct loader *l, const struct yaml *root) {
    const struct yaml *store = yaml_get(root, "store"), *shops = yaml_get(root, "shops");
    if (store && !yaml_get(root, "seal_key") && sv_starts(l->config->store, SV("redis")))
        fault(&l->faults, store, "a Redis store needs seal_key: 32 bytes in base64, the same for all copies (make one with: openssl rand -base64 32)");
    if (yaml_get(root, "spool") && !sv_starts(l->config->store, SV("redis")))
        fault(&l->faults, yaml_get(root, "spool"), "spool is for a Redis store that may be away; an SQLite store needs none");
    if (l->config->shop_count > 1 && l->config->in_flight < IN_FLIGHT_SHARED)
        fault(&l->faults, yaml_get(root, "in_flight"), "in_flight must be at least %d for several shops, or one whose destination hangs leaves none to the others",
              IN_FLIGHT_SHARED);
    if (shops && shops->type == YAML_MAP && !shops->child)
        fault(&l->faults, shops, "shops: there must be at least one shop");
}

// ---- loading

static void read_document(struct loader *l, const struct yaml *root) {
    read_keys(l, top_keys, root, "the file", l->config);
    if (root->type == YAML_MAP)
        check_whole(l, root);
}

static struct config *config_new(const char *file) {
    struct arena arena;
    arena_init(&arena, CONFIG_MEMORY);
    struct config *config = ARENA_NEW(&arena, struct config);
    *config = config_defaults;
    config->file = arena_dup(&arena, sv_of(file));
    config->arena = arena;
    return config;
}

static enum rc finish(struct loader *l, struct config **ret, struct err *e) {
    const struct faults *faults = &l->faults;
    const struct yaml whole = {.file = l->file, .line = 1};
    if (!faults->count && !arena_ok(l->arena))
        fault(&l->faults, &whole, "the file and what it names take more memory than a configuration may");
    if (faults->count > FAULTS_SHOWN)
        buf_fmt(faults->out, "%s: %zu faults more\n", l->file, faults->count - FAULTS_SHOWN);
    if (!faults->count) {
        *ret = l->config;
        return RC_OK;
    }
    config_drop(l->config);
    return err_set(e, RC_INVALID, "%s: %zu fault%s in the configuration", l->file, faults->count, faults->count == 1 ? "" : "s");
}

// What stands in `over` goes over the first shop of root.
static const struct yaml *over_shop(struct arena *a, const struct yaml *root, const struct yaml *over) {
    enum { LEVELS = 5 };  // shops, the shop, a key of it, and one more: consent.meta.purpose
    struct yaml *levels = ARENA_ARRAY(a, struct yaml, 3);
    levels[0] = levels[1] = levels[2] = *over;
    levels[0].type = levels[1].type = YAML_MAP;
    levels[0].child = &levels[1];
    levels[1].key = SV("shops");
    levels[1].child = &levels[2];
    levels[2].key = yaml_get(root, "shops")->child->key;
    return yaml_overlay(a, root, levels, LEVELS);
}

enum rc config_parse_over(struct sv bytes, const char *file, struct sv shop, const char *shop_file, struct config **ret, struct buf *faults,
                          struct err *e) {
    *ret = NULL;
    struct config *config = config_new(file);
    struct loader l = {.config = config, .arena = &config->arena, .file = file, .faults = {.out = faults}};
    struct yaml *root, *over = NULL;
    if (yaml_parse(l.arena, bytes, file, &l.faults, &root) == RC_OK &&
        (!sv_present(shop) || yaml_parse(l.arena, shop, shop_file, &l.faults, &over) == RC_OK))
        read_document(&l, over ? over_shop(l.arena, root, over) : root);
    return finish(&l, ret, e);
}

enum rc config_parse(struct sv bytes, const char *file, struct config **ret, struct buf *faults, struct err *e) {
    return config_parse_over(bytes, file, SV_NONE, NULL, ret, faults, e);
}
