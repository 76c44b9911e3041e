#ifndef CAPI_CGI_PIECE_H
#define CAPI_CGI_PIECE_H

/* Small pieces of HTML that several sections use. */

#include "html.h"

void piece_icon(html_t *html, const char *name);
void piece_badge(html_t *html, const char *state); /* a state as icon and word */
void piece_fact(html_t *html, const char *name);   /* of a list of facts; its value comes next */
void piece_fact_end(html_t *html);

#endif
