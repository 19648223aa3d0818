// report_table.h: the answer of GET /report for people: the same figures, with a line each that says what they mean.
#ifndef SERVER_REPORT_REPORT_TABLE_H
#define SERVER_REPORT_REPORT_TABLE_H

#include "base/json.h"

void report_table(const struct json *shop, struct buf *out);  // one element of `shops`

#endif
