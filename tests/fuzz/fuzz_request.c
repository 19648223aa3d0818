// The head of a request, and whose it is. Input: "METHOD /path", header lines.
// What passes has at most one length, all of digits and within the limit, and no coding; an address written again is the same.
#include "server/config/config_text.h"
#include "server/context/address.h"
#include "server/http/http_rules.h"
#include "tests/fuzz/fuzz.h"

#define LIMIT ((size_t)8 << 20)

static void check_address(struct arena *a, struct sv text) {
    struct address address, again;
    struct cidr cidr;
    if (address_parse(text, &address)) {
        CHECK(address_parse(address_text(a, &address), &again));
        CHECK(sv_eq((struct sv){(char *)address.b, 16}, (struct sv){(char *)again.b, 16}));
        CHECK(sv_present(address_payer(&address)));
    }
    if (cidr_parse(text, &cidr))
        CHECK(cidr.bits <= 128);
}

static void check_head(const struct http_request *r) {
    size_t n = 0;
    if (http_head_fault(r) != 0)
        return;
    CHECK(headers_count(r->headers, "Content-Length") <= 1 && headers_count(r->headers, "Transfer-Encoding") == 0);
    CHECK(r->headers.n <= HTTP_HEADERS_MAX && r->path.p[0] == '/');
    if (http_body_length(r, LIMIT, &n) == 0)
        CHECK(n <= LIMIT && (headers_count(r->headers, "Content-Length") == 1 || !sv_is(r->method, "POST")));
    (void)http_waits_for_continue(r);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct arena a;
    struct header headers[HEADERS_MOST];
    struct config config = {.trusted_proxy_count = 2};
    struct sv rest = input_of(data, size), line = first_line(&rest);
    struct http_request r = {.arena = &a};
    arena_init(&a, MEMORY);
    CHECK(cidr_parse(SV("127.0.0.1/32"), &config.trusted_proxies[0]) && cidr_parse(SV("fd00::/8"), &config.trusted_proxies[1]));
    sv_cut(line, ' ', &r.method, &r.path);
    r.headers = head_read(&rest, headers);
    check_head(&r);
    struct client client = address_client(&config, SV("127.0.0.1"), r.headers);
    CHECK(sv_present(address_text(&a, &client.address)));
    for (size_t i = 0; i < r.headers.n; i++)
        check_address(&a, r.headers.v[i].value);
    arena_free(&a);
    return 0;
}
