// admin_jobs.h: the admin address's view of the jobs: GET /events lists them, POST /redrive has dead ones tried again.
//   GET /events?shop=S[&state=pending|done|dead|ignored][&after=CURSOR]   (state: dead)
//     {"events":[{"job","shop","source","topic","received","state","reason","events":[{"id","name","time","steps":{"meta":{"state","reason","attempts"}}}]}],
//      "next":CURSOR}     no `next`: that was all; a page may be empty and not the last
//   POST /redrive {"shop":S,"jobs":[ID ...]}
//     {"results":[{"job","status":"redriven|not dead|unknown"}]}
// Nothing of a person is in it: no bodies, no identifiers but the events' own. Event ids may hold a checkout's token, which opens
// that checkout: the admin address is for whoever may see that.
#ifndef SERVER_ADMIN_JOBS_H
#define SERVER_ADMIN_JOBS_H

#include "server/admin.h"

#define REDRIVE_MOST 100  // jobs in one request

void admin_events(struct admin *admin, const struct http_request *r, struct http_response *ret);
void admin_redrive(struct admin *admin, const struct http_request *r, struct http_response *ret);

#endif
