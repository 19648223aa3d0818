// metrics.h: counters and histograms for Prometheus. Thread-safe. Labels never hold personal data: shop, source, topic and reason come
// from the configuration or from our own tables (an unknown topic is counted as "other").
#ifndef SERVER_METRICS_H
#define SERVER_METRICS_H

#include "base/buf.h"
#include "server/report/ledger.h"

struct metrics;
struct metrics *metrics_new(void);
void metrics_free(struct metrics *m);

// result: accepted, duplicate, ignored, undecodable, or rejected_<reason> (signature, path, length, too_large, headers, store, timeout)
void metrics_webhook(struct metrics *m, struct sv shop, struct sv source, struct sv topic, const char *result);
// What browsers post: stored, denied, preflight, or rejected_<reason> (path, origin, type, body, address_rate, shop_rate, ...)
void metrics_context(struct metrics *m, struct sv shop, const char *result);
// dropped: of enum dropped; of what a browser posted, or of an order's or cart's own
void metrics_dropped(struct metrics *m, struct sv shop, unsigned dropped, bool posted);
// outcome: sent, retried, throttled, paused, failed, skipped
void metrics_step(struct metrics *m, struct sv shop, const char *destination, const char *outcome);
// A request with many events, by outcome: sent, retried, throttled, paused, refused; and how many were in it
void metrics_bulk(struct metrics *m, struct sv shop, const char *outcome, size_t events);
void metrics_ack(struct metrics *m, int64_t microseconds);    // request read to answer made
void metrics_gap(struct metrics *m, int64_t milliseconds);    // Meta's answer to Klaviyo's request
void metrics_ledger(struct metrics *m, struct sv shop, const struct ledger_entry *e);  // a finished event; custom names count as one
void metrics_order_violation(struct metrics *m);              // must stay 0
void metrics_paused(struct metrics *m, struct sv shop, const char *account, bool paused);
int64_t metrics_order_violations(struct metrics *m);
void metrics_spooled(struct metrics *m, int64_t waiting);     // how many webhooks wait in the spool

// Gauges that are derived from the store when /metrics is asked.
struct metrics_gauges {
    struct sv shop;
    int64_t pending, dead, oldest_pending_seconds;
};
void metrics_write(struct metrics *m, const struct metrics_gauges *gauges, size_t n, struct buf *out);  // Prometheus text format 0.0.4 with HELP and TYPE

#endif
