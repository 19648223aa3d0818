// err.h: errors are values; the text is made where the error happens, in words a user can act on.
// A function that can fail returns enum rc and takes a struct err * last (NULL: the text is not wanted).
// Texts never hold bodies, e-mail addresses, phone numbers or tokens.
#ifndef BASE_ERR_H
#define BASE_ERR_H

#include "base/attr.h"

enum rc {
    RC_OK = 0,
    RC_INVALID,      // what came from outside is wrong (syntax, shape, range)
    RC_DENIED,       // a signature, token or permission is wrong
    RC_NOT_FOUND,
    RC_TOO_LARGE,    // over a stated limit
    RC_UNAVAILABLE,  // a dependency is away for now: try again
    RC_STALE,        // somebody else holds the lease now
    RC_CONFLICT,     // what was to be changed is not as it was said to be
    RC_IO,           // operating system or library failure
};

struct err {
    enum rc code;
    char text[480];
};

// err_set fills e (when not NULL) and returns code, so that `return err_set(e, RC_INVALID, "...")` reads well.
enum rc err_set(struct err *e, enum rc code, const char *fmt, ...) PRINTF_LIKE(3, 4);

// err_wrap puts "<context>: " before the text e already has and returns its code.
enum rc err_wrap(struct err *e, const char *fmt, ...) PRINTF_LIKE(2, 3);

#endif
