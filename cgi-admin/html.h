#ifndef CAPI_CGI_HTML_H
#define CAPI_CGI_HTML_H

/* The writer that every page goes through. What the store holds was said by strangers: the only ways
 * to write a string are html_raw, for literals, and html_put, which escapes. */

#include <jansson.h>

#include "capi.h"

typedef struct html_t html_t;

html_t *html_make(apr_pool_t *p);
apr_pool_t *html_pool(const html_t *html);
const char *html_bytes(const html_t *html, apr_size_t *len);

/* Our own markup, a literal. */
void html_raw(html_t *html, const char *markup);

/* Markup with holes: %s (a string, escaped for text and quoted attributes; NULL is empty), %d, %ld
 * and %% alone. */
void html_put(html_t *html, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* `text` escaped, cut to about `max` bytes at a character's end with an ellipsis. */
void html_cut(html_t *html, const char *text, apr_size_t max);

/* 1234567 as 1,234,567. */
void html_count(html_t *html, json_int_t number);

/* A number of bytes: `183 KiB`, `64 MiB`. */
void html_size(html_t *html, json_int_t bytes);

/* Unix seconds as <time>: `23 Nov 2026, 21:07:00`, all of it UTC. */
void html_time(html_t *html, json_int_t seconds);

/* The same without year, for tables: `23 Nov 21:07:00`. */
void html_time_short(html_t *html, json_int_t seconds);

/* A span of time in words: `45 s`, `12 min`, `3 h 5 min`, `2 days 4 h`. */
void html_span(html_t *html, json_int_t seconds);

/* A query parameter's or path segment's value, percent-encoded. */
const char *html_url(const char *value, apr_pool_t *p);

#endif
