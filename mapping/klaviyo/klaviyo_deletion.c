#include "mapping/klaviyo/klaviyo_deletion.h"

#include "mapping/klaviyo/klaviyo.h"

// Klaviyo takes exactly one identifier, and deletes every profile that has it.
bool klaviyo_deletion(struct arena *a, const struct shop *shop, struct sv email, struct sv phone, struct request *ret) {
    struct buf out;
    struct jw w;
    if (!shop->klaviyo.configured || !shop->klaviyo.delete_on_redact || (!sv_present(email) && !sv_present(phone)))
        return false;
    buf_init(&out, 1 << 12);
    jw_init(&w, &out);
    klaviyo_open(&w, NULL, "data-privacy-deletion-job");
    klaviyo_open(&w, "profile", "profile");
    jw_member(&w, sv_present(email) ? "email" : "phone_number", sv_first(email, phone));
    klaviyo_close(&w);
    klaviyo_close(&w);
    klaviyo_address(a, shop, "/api/data-privacy-deletion-jobs", ret);
    ret->body = arena_dup(a, buf_sv(&out));
    buf_free(&out);
    return true;
}

struct outcome klaviyo_deletion_outcome(struct arena *a, const struct answer *answer, int64_t now_ms) {
    return klaviyo_side_outcome(a, answer, now_ms);
}
