#ifndef CAPI_CGI_SHELL_H
#define CAPI_CGI_SHELL_H

/* The same for people without a browser: what the page shows, and what it lets one do. */

#include "capi.h"

/* True where a person runs the program, not httpd. (A query string without `=` comes as an argument
 * too: never trust argc alone.) */
bool shell_is_asked(void);

/* What the process ends with: 0 all is well, 1 something to look at, 2 nothing goes out, 64 not
 * understood, 66 no store. */
int shell_run(int argc, const char *const argv[], apr_pool_t *p);

#endif
