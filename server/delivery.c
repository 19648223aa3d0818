#include "server/delivery.h"

#include "mapping/rules/rules.h"

void delivery_classify(struct arena *a, const struct shop *shop, const struct topic *topic, struct delivery *io) {
    struct identity identities[IDENTITIES_MAX];
    struct sv *lane_keys = ARENA_ARRAY(a, struct sv, IDENTITIES_MAX);
    struct err e;
    if (!topic) {
        io->state = JOB_IGNORED;
        io->reason = SV("unknown topic");
        return;
    }
    if (source_scan(a, topic, io->body, identities, &io->lane_key_count, &e) != RC_OK) {
        io->state = JOB_DEAD;
        io->reason = arena_fmt(a, "undecodable: %s", e.text);
        io->lane_key_count = 0;
        return;
    }
    for (size_t i = 0; i < io->lane_key_count; i++)
        lane_keys[i] = arena_fmt(a, "%s:" SV_FMT, identities[i].kind, SV_ARG(identities[i].value));
    io->lane_keys = lane_keys;
    io->state = JOB_PENDING;
    io->max_wait_ms = rule_patience(shop->rules, sv_of(event_name_text(topic->event))).max_wait_ms;
}

struct delivery delivery_of(struct arena *a, const struct shop *shop, const struct source *source, const struct part *part, int64_t now_ms) {
    struct sv *key = ARENA_NEW(a, struct sv);
    *key = arena_fmt(a, "delivery:%s:" SV_FMT, source->name, SV_ARG(part->id));
    struct delivery d = {
        .shop = shop->name,
        .source = sv_of(source->name),
        .topic = sv_of(part->topic->name),
        .body = part->body,
        .received_ms = now_ms,
        .keys = key,
        .key_count = 1,
    };
    delivery_classify(a, shop, part->topic, &d);
    return d;
}
