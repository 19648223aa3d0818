// report_page.h: GET /report?since=7d[&shop=acme] on the admin address: {"shops":[{"shop","since","until", figures of report.h}]}.
// Reads the ledger page by page, so that orders get their turn in between. What since or shop says wrong is answered 400 or 404.
#ifndef SERVER_REPORT_REPORT_PAGE_H
#define SERVER_REPORT_REPORT_PAGE_H

#include "server/config/config.h"
#include "server/http/http_in.h"
#include "server/store/store.h"

void report_page(struct store *store, const struct config *config, const struct http_request *r, struct http_response *ret);

#endif
