#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "server/config/config_text.h"
#include "server/context/address.h"

#include <string.h>

static void addresses_are_read_as_proxies_write_them(void **state) {
    (void)state;
    const struct {
        const char *text, *read;  // NULL: refused
    } cases[] = {
        {"203.0.113.7", "203.0.113.7"},
        {"203.0.113.7:51234", "203.0.113.7"},
        {"::ffff:203.0.113.7", "203.0.113.7"},
        {"2001:db8::1", "2001:db8::1"},
        {"2001:DB8:0:0::1", "2001:db8::1"},
        {"[2001:db8::1]", "2001:db8::1"},
        {"[2001:db8::1]:443", "2001:db8::1"},
        {"", NULL},
        {"unknown", NULL},
        {"_hidden", NULL},
        {"203.0.113", NULL},
        {"203.0.113.256", NULL},
        {"203.0.113.7:", NULL},
        {"203.0.113.7:99999", NULL},
        {"203.0.113.7:-1", NULL},
        {"[203.0.113.7]", NULL},
        {"[2001:db8::1", NULL},
        {"[2001:db8::1]x", NULL},
        {"fe80::1%eth0", NULL},
        {"203.0.113.7 ", NULL},
        {"1111:2222:3333:4444:5555:6666:7777:8888:9999", NULL},
        {"0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000", NULL},
    };
    struct arena a;
    arena_init(&a, 1 << 16);
    for (size_t i = 0; i < COUNTOF(cases); i++) {
        struct address address;
        bool read = address_parse(sv_of(cases[i].text), &address);
        if (read != (cases[i].read != NULL) || (read && !sv_is(address_text(&a, &address), cases[i].read)))
            fail_msg("%s: %s", cases[i].text, read ? address_text(&a, &address).p : "refused");
    }
    arena_free(&a);
}

static struct config proxies(const char *const *ranges) {
    struct config config = {0};
    for (; *ranges; ranges++)
        assert_true(cidr_parse(sv_of(*ranges), &config.trusted_proxies[config.trusted_proxy_count++]));
    return config;
}

// Each case: the connection's address, up to two X-Forwarded-For headers, who is counted, and whether that is the client's own.
static void only_trusted_proxies_are_believed(void **state) {
    (void)state;
    static const char *const ranges[] = {"127.0.0.1/32", "10.0.0.0/8", "192.168.4.0/23", "fd00::/8", NULL};
    const struct config config = proxies(ranges);
    const struct {
        const char *name, *peer, *first, *second, *counted;
        bool known;
    } cases[] = {
        {"a direct connection", "203.0.113.7", NULL, NULL, "203.0.113.7", true},
        {"a direct one that lies", "203.0.113.7", "198.51.100.1", NULL, "203.0.113.7", true},
        {"a proxy", "127.0.0.1", "203.0.113.7", NULL, "203.0.113.7", true},
        {"IPv6 behind IPv4", "127.0.0.1", "2001:db8::1", NULL, "2001:db8::1", true},
        {"an IPv6 proxy", "fd00::5", "203.0.113.7", NULL, "203.0.113.7", true},
        {"a proxy seen as mapped", "::ffff:127.0.0.1", "203.0.113.7", NULL, "203.0.113.7", true},
        {"what the client wrote stands left", "127.0.0.1", "1.1.1.1, 8.8.8.8, 203.0.113.7", NULL, "203.0.113.7", true},
        {"a chain of proxies", "127.0.0.1", "1.1.1.1, 203.0.113.7, 10.1.2.3 ,192.168.5.255", NULL, "203.0.113.7", true},
        {"the end of a range", "127.0.0.1", "203.0.113.7, 192.168.6.0", NULL, "192.168.6.0", true},
        {"two headers are one list", "127.0.0.1", "203.0.113.7", "10.1.2.3", "203.0.113.7", true},
        {"the later header counts first", "127.0.0.1", "1.1.1.1", "203.0.113.7", "203.0.113.7", true},
        {"a proxy that names nobody", "127.0.0.1", NULL, NULL, "127.0.0.1", false},
        {"an empty header", "127.0.0.1", "", NULL, "127.0.0.1", false},
        {"proxies alone", "127.0.0.1", "10.0.0.1, 10.0.0.2", NULL, "10.0.0.1", false},
        {"no address", "127.0.0.1", "1.1.1.1, unknown", NULL, "127.0.0.1", false},
        {"no address behind a proxy", "127.0.0.1", "1.1.1.1, unknown, 10.0.0.2", NULL, "10.0.0.2", false},
        {"an empty element", "127.0.0.1", "203.0.113.7,", NULL, "127.0.0.1", false},
        {"an empty element between", "127.0.0.1", "1.1.1.1,,10.0.0.2", NULL, "10.0.0.2", false},
        {"a connection without an address", "", "203.0.113.7", NULL, "::", false},
    };
    struct arena a;
    arena_init(&a, 1 << 16);
    for (size_t i = 0; i < COUNTOF(cases); i++) {
        struct header headers[2];
        size_t n = 0;
        if (cases[i].first)
            headers[n++] = (struct header){SV("x-forwarded-for"), sv_of(cases[i].first)};
        if (cases[i].second)
            headers[n++] = (struct header){SV("X-Forwarded-For"), sv_of(cases[i].second)};
        struct client client = address_client(&config, sv_of(cases[i].peer), (struct headers){headers, n});
        struct sv counted = address_text(&a, &client.address);
        if (!sv_is(counted, cases[i].counted) || client.known != cases[i].known)
            fail_msg("%s: " SV_FMT ", %s", cases[i].name, SV_ARG(counted), client.known ? "known" : "not known");
    }
    arena_free(&a);
}

static void an_ipv6_network_pays_as_one(void **state) {
    (void)state;
    const struct {
        const char *one, *other;
        bool same;
    } cases[] = {
        {"2001:db8:0:1::1", "2001:db8:0:1:ffff::9", true},
        {"2001:db8:0:1::1", "2001:db8:0:2::1", false},
        {"203.0.113.7", "203.0.113.8", false},
        {"203.0.113.7", "::ffff:203.0.113.7", true},
        {"203.0.113.7", "::", false},
    };
    for (size_t i = 0; i < COUNTOF(cases); i++) {
        struct address one, other;
        assert_true(address_parse(sv_of(cases[i].one), &one) && address_parse(sv_of(cases[i].other), &other));
        if (sv_eq(address_payer(&one), address_payer(&other)) != cases[i].same)
            fail_msg("%s and %s", cases[i].one, cases[i].other);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses_are_read_as_proxies_write_them),
        cmocka_unit_test(only_trusted_proxies_are_believed),
        cmocka_unit_test(an_ipv6_network_pays_as_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
