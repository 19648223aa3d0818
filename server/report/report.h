// report.h: what a shop's ledger says of the ways in which conversions leak: identity that is missing, clicks that get lost, consent,
// orders that are sent twice, Klaviyo too early. Lines in, figures out. Pure, but for the memory.
#ifndef SERVER_REPORT_REPORT_H
#define SERVER_REPORT_REPORT_H

#include "base/json.h"
#include "server/report/ledger.h"

#define REPORT_EVENTS_MAX 32   // kinds of Meta events that are told apart; the others are one
#define REPORT_SOURCES_MAX 8

// Events of one name at Meta.
struct report_event {
    struct sv name;            // in the report's arena
    int64_t outcomes[META_OUTCOME_COUNT];
    int64_t with[IDENTIFIER_COUNT];  // of those sent
};

// One webhook that told of a sale.
struct sighting {
    uint64_t order;
    unsigned source;           // a bit
    bool sent;                 // Meta took it
};

struct report {
    struct arena arena, line;  // line: of the line that is being read
    struct report_event events[REPORT_EVENTS_MAX];
    size_t event_count;
    struct sv sources[REPORT_SOURCES_MAX];
    size_t source_count;
    int64_t lines, unreadable;
    int64_t clicked, clicked_with_fbc;  // Purchases that Meta took, with signs of a click
    int64_t klaviyo_sent, klaviyo_first;  // klaviyo_first: asked before Meta had taken the event, because patience was over
    struct sighting *sightings;
    size_t sighting_count;
    int64_t *gaps;             // milliseconds
    size_t gap_count;
    bool failed;               // out of memory
};

// Of the sightings together.
struct report_orders {
    int64_t orders, told_by_two, sent_twice;
};

void report_init(struct report *r);
void report_free(struct report *r);
void report_add(struct report *r, struct sv line);
void report_end(struct report *r);  // after the last line, before what is below

struct report_orders report_orders(const struct report *r);
int64_t report_gap(const struct report *r, int percent);  // the gap within which that share of events was; 0: there are none
const struct report_event *report_event(const struct report *r, const char *name);  // NULL: there are none of that name
int64_t report_meant(const struct report_event *e);       // for Meta
// Shares are in tenths of a percent; -1: of nothing.
int64_t report_share(int64_t part, int64_t whole);
int64_t report_identity(const struct report_event *e);    // mean of its identifiers' shares; -1: none was sent

void report_write(const struct report *r, struct jw *w);  // members of an object that is open, `warnings` the last one

#endif
