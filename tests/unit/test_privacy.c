// Whose a text is: what names a customer must be found, and nobody else's with it.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "handlers/privacy.h"
#include "mapping/klaviyo/klaviyo_deletion.h"

#include <string.h>

static const struct sv orders[] = {{"450789469", 9}, {"450789470", 9}};
static const struct privacy_request ava = {
    .kind = PRIVACY_FORGET_CUSTOMER, .customer_id = {"7345120034982", 13}, .email = {"ava.roth@klaviyo-demo.com", 25},
    .phone = {"+4915112345678", 14}, .orders = orders, .order_count = 2,
};

static const struct about {
    const char *text;
    bool is_hers;
} abouts[] = {
    {"{\"customer\":{\"id\":7345120034982}}", true},
    {"{\"customer\":{\"id\":\"7345120034982\"}}", true},
    {"{\"customer\":{\"admin_graphql_api_id\":\"gid://shopify/Customer/7345120034982\"}}", true},
    {"{\"customer\":{\"admin_graphql_api_id\":\"gid://shopify/Product/7345120034982\"}}", false},
    {"{\"note\":\"gid://shopify/Customer/7345120034982\"}", true},
    {"{\"external_customer_id\":{\"ecommerce\":\"7345120034982\"}}", true},
    {"{\"email\":\" Ava.Roth@Klaviyo-Demo.com \"}", true},
    {"{\"email\":\"ava\\u002eroth@klaviyo-demo.com\"}", true},
    {"{\"note_attributes\":[{\"name\":\"gift\",\"value\":\"ava.roth@klaviyo-demo.com\"}]}", true},
    {"{\"email\":[\"ava.roth@klaviyo-demo.com\",1760000000000]}", true},
    {"{\"shipping_address\":{\"phone\":\"+49 151 123 456 78\"}}", true},
    {"{\"order_id\":450789470}", true},
    {"{\"properties\":{\"order_id\":\"450789469\"}}", true},
    {"{\"id\":450789469}", true},
    {"{\"email\":\"ava.roth@klaviyo-demo.com", true},  // broken, and hers
    {"{\"total_price\":\"450789469\",\"quantity\":450789470}", false},
    {"{\"customer\":{\"id\":73451200349821,\"email\":\"eva.roth@klaviyo-demo.com\"}}", false},
    {"{\"customer\":{\"id\":34982},\"phone\":\"+49151123456789\"}", false},
    {"{\"email\":\"not.ava.roth@klaviyo-demo.com\"}", false},
    {"{\"phone\":\"345678\"}", false},
    {"{\"customer_id\":\"\",\"email\":\"\",\"phone\":\"\"}", false},
    {"{\"email\":\"eva.roth@klaviyo-demo.com", false},
    {"1", false},
    {"", false},
};

static void a_text_is_of_whom_it_names(void **state) {
    (void)state;
    for (size_t i = 0; i < COUNTOF(abouts); i++) {
        struct arena a;
        arena_init(&a, 1 << 20);
        if (privacy_concerns(&a, &ava, sv_of(abouts[i].text)) != abouts[i].is_hers)
            fail_msg("%s", abouts[i].text);
        arena_free(&a);
    }
}

static void who_is_named_by_nothing_has_nothing(void **state) {
    (void)state;
    const struct privacy_request nobody = {.kind = PRIVACY_FORGET_CUSTOMER};
    for (size_t i = 0; i < COUNTOF(abouts); i++) {
        struct arena a;
        arena_init(&a, 1 << 20);
        assert_false(privacy_concerns(&a, &nobody, sv_of(abouts[i].text)));
        arena_free(&a);
    }
}

static void of_a_shop_everything_is_meant_but_what_is_nobodys(void **state) {
    (void)state;
    const struct privacy_request shop = {.kind = PRIVACY_FORGET_SHOP};
    struct arena a;
    arena_init(&a, 1 << 20);
    assert_true(privacy_concerns(&a, &shop, SV("{\"email\":null}")));
    assert_true(privacy_concerns(&a, &shop, SV("{\"email\":")));
    assert_false(privacy_concerns(&a, &shop, SV("1")));  // that Recharge is pinned
    assert_false(privacy_concerns(&a, &shop, SV("")));   // erased before
    arena_free(&a);
}

// ---- Klaviyo

static void one_identifier_is_named_for_deletion(void **state) {
    (void)state;
    struct shop shop = {.klaviyo = {.configured = true, .delete_on_redact = true, .api_key = SV("pk"), .base_url = SV("https://k.example/"), .revision = SV("2026-07-15")}};
    struct request request = {0};
    struct arena a;
    arena_init(&a, 1 << 20);
    assert_true(klaviyo_deletion(&a, &shop, SV("a@b.example"), SV("+4915112345678"), &request));
    assert_true(sv_is(request.url, "https://k.example/api/data-privacy-deletion-jobs"));
    assert_true(sv_is(request.body, "{\"data\":{\"type\":\"data-privacy-deletion-job\",\"attributes\":{\"profile\":{\"data\":"
                                    "{\"type\":\"profile\",\"attributes\":{\"email\":\"a@b.example\"}}}}}}"));
    assert_true(klaviyo_deletion(&a, &shop, SV_NONE, SV("+4915112345678"), &request));
    assert_non_null(strstr(arena_cstr(&a, request.body), "\"attributes\":{\"phone_number\":\"+4915112345678\"}"));
    assert_false(klaviyo_deletion(&a, &shop, SV_NONE, SV_NONE, &request));
    shop.klaviyo.delete_on_redact = false;
    assert_false(klaviyo_deletion(&a, &shop, SV("a@b.example"), SV_NONE, &request));
    arena_free(&a);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_text_is_of_whom_it_names),
        cmocka_unit_test(who_is_named_by_nothing_has_nothing),
        cmocka_unit_test(of_a_shop_everything_is_meant_but_what_is_nobodys),
        cmocka_unit_test(one_identifier_is_named_for_deletion),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
