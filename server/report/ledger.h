// ledger.h: what stays of an event when its webhook is forgotten: one line in the store's ledger, without personal data. Report and
// metrics count nothing else. Pure.
#ifndef SERVER_REPORT_LEDGER_H
#define SERVER_REPORT_LEDGER_H

#include "base/arena.h"

enum meta_outcome {
    META_OTHER,  // skipped for a reason that has no row
    META_SENT, META_FAILED, META_EXPIRED,
    META_CONSENT_DENIED, META_CONSENT_UNKNOWN, META_OPTED_OUT,
    META_NO_IDENTITY, META_NO_VALUE,
    META_NOT_MAPPED, META_NOT_CONFIGURED, META_TEST,  // never meant for Meta
    META_OUTCOME_COUNT
};

enum identifier { ID_EM, ID_PH, ID_EXTERNAL_ID, ID_FBP, ID_FBC, ID_BROWSER, IDENTIFIER_COUNT };

#define ORDER_LEN 16  // hex characters

struct ledger_entry {
    struct sv event;             // canonical name, or a shop's own
    struct sv source, origin;
    int64_t time_ms;             // of the fact
    bool repeat;                 // a sale that another webhook tells: nothing was sent for this one, and only source and order are said
    struct sv order;             // of a sale: a fingerprint of its order; else absent
    struct sv meta_event;        // Meta's name for it; absent: none, or not known any more
    enum meta_outcome meta;
    bool identifiers[IDENTIFIER_COUNT];  // that Meta's request had
    bool clicked;                // signs of a click on one of Meta's ads
    struct sv klaviyo;           // "sent", "skipped", "failed"
    bool has_gap;                // Meta took it, and Klaviyo was asked
    int64_t gap_ms;              // from that answer to the first such request; negative: Klaviyo was asked first
};

const char *meta_outcome_text(enum meta_outcome outcome);             // "consent_denied"
enum meta_outcome meta_skipped(struct sv reason);                     // the outcome that a reason for skipping means
bool meta_meant(enum meta_outcome outcome);                           // the event was meant for Meta
const char *identifier_text(enum identifier id);                      // "em" .. "ip+ua"
// identifiers_read: those of a draft's identity: "em=webhook, fbc=landing_site". ip+ua is there with both of its halves.
void identifiers_read(struct sv identity, bool ret[IDENTIFIER_COUNT]);
// order_of: the order that a sale is about: the one it names, else the one of its id: 1 of "ord_1_purchase"; an id of another form is its own name.
struct sv order_of(struct sv order_id, struct sv event_id);

struct sv ledger_write(struct arena *a, const struct ledger_entry *e);
bool ledger_read(struct arena *a, struct sv line, struct ledger_entry *ret);  // false: it is no such line

#endif
