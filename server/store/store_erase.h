// store_erase.h: everything that is kept of a shop's people, looked through and taken away: for those who ask to be forgotten. From any
// thread. Marks, the ledger and the keyed hashes stay: there is nobody in them.
#ifndef SERVER_STORE_STORE_ERASE_H
#define SERVER_STORE_STORE_ERASE_H

#include "server/store/store.h"

enum kept_kind { KEPT_JOBS, KEPT_VALUES };

// One record. A job that was erased is kept with an empty body, which no webhook has.
struct kept {
    enum kept_kind kind;
    char id[JOB_ID_LEN + 1];      // of the job; of a value the hash of its key
    enum job_state state;         // of a job, as is
    struct sv source, topic;
    int64_t received_ms;
    struct sv text;               // body or value; absent: it cannot be opened, or is another shop's
};

// store_kept: a page; absent *ret_next: that was all. A page may be empty, and one record may come twice.
MUST_CHECK enum rc store_kept(struct store *s, struct arena *a, struct sv shop, enum kept_kind kind, struct sv after, struct kept **ret,
                              size_t *ret_count, struct sv *ret_next, struct err *e);
// store_erase: values are gone. A job loses body and plan; one that waits or is at work is given to nobody but whoever finishes it: a lease
// on it ends, unless it is `own`, the job of the caller. One commit (SQLite) or round trip (Redis).
MUST_CHECK enum rc store_erase(struct store *s, struct sv shop, const struct kept *erased, size_t n, struct sv own, struct err *e);

// store_kept_value: the record of a value whose key is known, to be erased; it need not be there.
struct kept store_kept_value(const struct store *s, struct sv shop, struct sv key);

#endif
