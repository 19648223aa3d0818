// attr.h: the few compiler attributes and macros that the whole program uses.
#ifndef BASE_ATTR_H
#define BASE_ATTR_H

#include <stddef.h>

#define MUST_CHECK __attribute__((warn_unused_result))
#define PRINTF_LIKE(fmt, args) __attribute__((format(printf, fmt, args)))
#define CLEANUP(fn) __attribute__((cleanup(fn)))
#define COUNTOF(a) (sizeof(a) / sizeof((a)[0]))

#endif
