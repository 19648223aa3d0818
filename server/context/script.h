// script.h: GET /context.js: the script that a theme includes. It travels inside the program.
#ifndef SERVER_CONTEXT_SCRIPT_H
#define SERVER_CONTEXT_SCRIPT_H

#include "server/http/http_in.h"

#define SCRIPT_PATH "/context.js"

int script_early(const struct http_request *r);
void script_handle(const struct http_request *r, struct http_response *ret);

#endif
