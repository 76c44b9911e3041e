#ifndef CAPI_TEXT_H
#define CAPI_TEXT_H

/* What a request is written in: query strings, cookies, URLs. All of it hostile until checked;
 * nothing here logs, and nothing allocates more than its input is long (a page URL: three times). */

#include "capi.h"

/* The raw value of the first parameter `name` of a query string, not decoded; NULL if absent.
 * With `fold`, the name matches in any case. The result points into `query`; *len is its length. */
const char *capi_query_raw(apr_size_t *len, const char *query, const char *name, bool fold);

/* The decoded value (application/x-www-form-urlencoded: `+` and %XX; a broken escape stands for
 * itself; NUL ends the value) of the first parameter `name`, whose name is decoded before it is
 * compared; NULL if absent. */
const char *capi_query_get(const char *query, const char *name, apr_pool_t *p);

/* The raw value of the first cookie `name` in a Cookie header (RFC 6265 section 4.2, surrounding
 * quotes dropped); NULL if absent. *len is its length. `name` may end in `*`: then the first cookie
 * whose name begins so. */
const char *capi_cookie_raw(apr_size_t *len, const char *header, const char *name);

/* The same, percent-decoded (PHP's setcookie encodes), copied to the pool. */
const char *capi_cookie_get(const char *header, const char *name, apr_pool_t *p);

/* The value of the first cookie `name` that one Set-Cookie header sets; NULL if it sets another, or
 * takes the cookie away (Max-Age=0, or Expires in 1970). */
const char *capi_set_cookie_raw(apr_size_t *len, const char *header, const char *name);

/* What a hex digit is worth; -1 where it is none. */
int capi_hex_value(char c);

/* `%XX` (and `+` where `plus`) decoded, copied to the pool and cut at a NUL. */
const char *capi_percent_decode(const char *text, apr_size_t len, bool plus, apr_pool_t *p);

/* True where `value` is a click id: 1 to CAPI_CLICK_ID_MAX of [A-Za-z0-9_-]. */
bool capi_is_click_id(const char *value, apr_size_t len);

/* The click id of a request, interface 2: query `epik` (any case, first, byte for byte), else that
 * of a Referer of the same host (`host` without port, compared in any case), else cookie `_epik`.
 * What does not fit is ignored. NULL where there is none. `*is_new` (may be NULL): it came from
 * query or Referer, so the cookie is to be set again. */
const char *capi_click_id(bool *is_new, const char *query, const char *referer, const char *host,
                          const char *cookies, apr_pool_t *p);

/* The page URL as it may be sent: http or https only, user info and fragment cut, and of the query
 * only parameters named in `keep` (array of const char *; a `*` at the end matches a prefix), in
 * their order and spelling; bytes that are no printable ASCII are percent-encoded. NULL where `url`
 * is no absolute http URL, holds control characters or is longer than 8 KiB. */
const char *capi_page_url(const char *url, const apr_array_header_t *keep, apr_pool_t *p);

/* True where `url` is http(s) and its host is `host` (any case; the port does not matter). */
bool capi_url_has_host(const char *url, const char *host);

/* True where the address may be sent to Pinterest: a valid IPv4 or IPv6 address that is not
 * private, loopback, link-local, unspecified, multicast or documentation-free special use
 * (RFC 6890; 203.0.113.0/24, 198.51.100.0/24, 192.0.2.0/24 and 2001:db8::/32 count as public, so
 * that examples work). An IPv4-mapped IPv6 address is judged as its IPv4. */
bool capi_is_public_address(const char *address);

/* True for the User-Agent of a crawler, HTTP library, monitor or a server calling itself
 * (WordPress/…), and for none at all. Headless browsers count: they are monitors and scrapers. */
bool capi_is_bot(const char *user_agent);

/* True where `text` is valid UTF-8 (RFC 3629) without control characters other than tab and LF. */
bool capi_is_clean_text(const char *text, apr_size_t len);

#endif
