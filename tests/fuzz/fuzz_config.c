// The configuration file, and the address of a Redis in it. Input: its text, which is also taken for an address.
// Either it has faults or it is a configuration; an address that is refused is never repeated with its password.
#include "server/config/config.h"
#include "server/store/redis/redis_url.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct sv input = input_of(data, size);
    struct config *config = NULL;
    struct redis_address address;
    struct arena a;
    struct buf faults;
    struct err e = {0};
    buf_init(&faults, 1 << 20);
    enum rc rc = config_parse(input, "fuzz.yaml", &config, &faults, &e);
    CHECK((rc == RC_OK) == (config != NULL) && (rc == RC_OK) == (faults.n == 0) && buf_ok(&faults));
    for (size_t i = 0; config && i < config->shop_count; i++)
        CHECK(config_shop(config, config->shops[i].name) != NULL && config->shops[i].rules);
    config_drop(config);
    buf_free(&faults);
    arena_init(&a, MEMORY);
    bool parsed = redis_url_parse(&a, input, &address, &e) == RC_OK;
    if (parsed)
        CHECK(address.host_count > 0 && address.host_count <= REDIS_HOSTS_MOST && address.db >= 0 && address.min_replicas >= 0);
    for (size_t i = 0; parsed && i < address.host_count; i++)
        CHECK(address.hosts[i].name && address.hosts[i].port > 0 && address.hosts[i].port < 65536);
    if (!parsed)
        CHECK(e.text[0] != '\0' && !sv_contains_nocase(sv_of(e.text), SV("canary-password")));
    arena_free(&a);
    return 0;
}
