// http_rules.h: what must hold for every request, decided on its head alone. Pure.
// civetweb takes the first of two Content-Lengths, numbers such as "+3" and "3x", and drops what comes after 64 headers;
// each of these lets a proxy in front and this server disagree about what the request is.
#ifndef SERVER_HTTP_RULES_H
#define SERVER_HTTP_RULES_H

#include "server/http/http_in.h"

#define HTTP_HEADERS_MAX 60

int http_head_fault(const struct http_request *r);                                  // 0, or the status that refuses it
int http_body_length(const struct http_request *r, size_t limit, size_t *ret);      // 0 and the length of the body, or the status
bool http_waits_for_continue(const struct http_request *r);                         // "Expect: 100-continue"
bool http_may_stay(const struct http_request *r, const char *version);              // what the client says of the connection

#endif
