// redis_error.h: what each error that Redis answers means, and what is to be done about it. One table, no state.
#ifndef SERVER_STORE_REDIS_ERROR_H
#define SERVER_STORE_REDIS_ERROR_H

#include "base/err.h"
#include "base/sv.h"

enum redis_remedy {
    REMEDY_WAIT,       // it passes by itself
    REMEDY_RECONNECT,  // it passes too, but this connection leads to the wrong place: the master has to be found again
    REMEDY_RELOAD,     // Redis does not know the script (any more): its text has to be sent
    REMEDY_PEOPLE,     // somebody has to put something right; what is not in the table is of this kind
};

// error: the text as Redis sent it, which begins with a word in capitals.
enum redis_remedy redis_error_remedy(struct sv error);

// redis_error_tell: RC_UNAVAILABLE for what passes, RC_IO for people; with a text that says what to do.
enum rc redis_error_tell(struct sv error, struct err *e);

#endif
