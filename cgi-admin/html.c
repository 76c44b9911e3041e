/* Escaping, and the few ways in which a number or a time is shown. */

#include "html.h"

#include <apr_strings.h>

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "utf8.h"

#define FIRST_ROOM (32 * 1024) /* a page without deliveries fits */

struct html_t {
    apr_pool_t *pool;
    char *bytes;
    apr_size_t len;
    apr_size_t room;
};

html_t *html_make(apr_pool_t *p)
{
    html_t *html = apr_pcalloc(p, sizeof(*html));

    html->pool = p;
    html->room = FIRST_ROOM;
    html->bytes = apr_palloc(p, html->room);
    html->bytes[0] = '\0';
    return html;
}

apr_pool_t *html_pool(const html_t *html)
{
    return html->pool;
}

const char *html_bytes(const html_t *html, apr_size_t *len)
{
    *len = html->len;
    return html->bytes;
}

static void append(html_t *html, const char *bytes, apr_size_t len)
{
    if (html->room - html->len <= len) {
        apr_size_t room = 2 * html->room + len;
        char *larger = apr_palloc(html->pool, room);

        memcpy(larger, html->bytes, html->len);
        html->bytes = larger;
        html->room = room;
    }
    memcpy(html->bytes + html->len, bytes, len);
    html->len += len;
    html->bytes[html->len] = '\0';
}

void html_raw(html_t *html, const char *markup)
{
    append(html, markup, strlen(markup));
}

/* Direction marks and overrides make a value read as another; so do characters that cannot be seen
 * at all. */
static bool is_deceptive(uint32_t c)
{
    return (c >= 0x7f && c < 0xa0) || c == 0xad || c == 0x61c || (c >= 0x200b && c <= 0x200f) ||
           (c >= 0x2028 && c <= 0x202e) || (c >= 0x2060 && c <= 0x206f) || c == 0xfeff ||
           (c >= 0xfff9 && c <= 0xfffb) || (c >= 0xe0000 && c <= 0xe007f);
}

static const char *entity(uint32_t c)
{
    switch (c) {
    case '&':
        return "&amp;";
    case '<':
        return "&lt;";
    case '>':
        return "&gt;";
    case '"':
        return "&quot;";
    case '\'':
        return "&#39;";
    default:
        return NULL;
    }
}

static void put_char(html_t *html, uint32_t c, const char *bytes, apr_size_t len)
{
    const char *name = entity(c);

    if (name) {
        html_raw(html, name);
    }
    else if (c < 0x20 && c != '\n' && c != '\t') {
        char picture[3] = {(char)0xe2, (char)0x90, (char)(0x80 + c)}; /* U+2400 + c: ␀ ␁ … */
        append(html, picture, sizeof(picture));
    }
    else if (is_deceptive(c)) {
        char label[16];
        apr_snprintf(label, sizeof(label), "[U+%04X]", (unsigned)c);
        html_raw(html, label);
    }
    else {
        append(html, bytes, len);
    }
}

static const char *put_escaped(html_t *html, const char *text, apr_size_t max)
{
    const char *start = text;

    while (*text != '\0') {
        uint32_t c;
        apr_size_t len = capi_utf8_read(&c, text);

        if ((apr_size_t)(text - start) + len > max) {
            break;
        }
        if (c == CAPI_UTF8_INVALID) {
            html_raw(html, "\xef\xbf\xbd");
        }
        else {
            put_char(html, c, text, len);
        }
        text += len;
    }
    return text;
}

void html_cut(html_t *html, const char *text, apr_size_t max)
{
    if (text && *put_escaped(html, text, max) != '\0') {
        html_raw(html, "\xe2\x80\xa6");
    }
}

static void put_number(html_t *html, apr_int64_t number)
{
    char digits[24];

    apr_snprintf(digits, sizeof(digits), "%" APR_INT64_T_FMT, number);
    html_raw(html, digits);
}

void html_put(html_t *html, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    while (*format != '\0') {
        apr_size_t plain = strcspn(format, "%");

        append(html, format, plain);
        format += plain;
        if (strncmp(format, "%s", 2) == 0) {
            const char *text = va_arg(args, const char *);
            put_escaped(html, text ? text : "", APR_SIZE_MAX);
            format += 2;
        }
        else if (strncmp(format, "%d", 2) == 0) {
            put_number(html, va_arg(args, int));
            format += 2;
        }
        else if (strncmp(format, "%ld", 3) == 0) {
            put_number(html, va_arg(args, long));
            format += 3;
        }
        else if (strncmp(format, "%%", 2) == 0) {
            append(html, "%", 1);
            format += 2;
        }
        else if (*format != '\0') {
            abort(); /* a hole that this writer does not know: a mistake in our own markup */
        }
    }
    va_end(args);
}

void html_count(html_t *html, json_int_t number)
{
    char digits[24];
    apr_size_t len;
    apr_size_t i;

    apr_snprintf(digits, sizeof(digits), "%" APR_INT64_T_FMT, (apr_int64_t)number);
    len = strlen(digits);
    for (i = 0; i < len; i++) {
        append(html, digits + i, 1);
        if (digits[i] != '-' && i + 1 < len && (len - i - 1) % 3 == 0) {
            append(html, ",", 1);
        }
    }
}

void html_size(html_t *html, json_int_t bytes)
{
    if (bytes < 1024) {
        html_put(html, "%ld bytes", (long)bytes);
    }
    else if (bytes < 1024 * 1024) {
        html_put(html, "%ld KiB", (long)(bytes / 1024));
    }
    else {
        html_put(html, "%ld MiB", (long)(bytes / (1024 * 1024)));
    }
}

static void put_time(html_t *html, json_int_t seconds, bool is_short)
{
    time_t when = (time_t)seconds;
    struct tm utc;
    char machine[40];
    char text[48];

    if (gmtime_r(&when, &utc) == NULL || utc.tm_year < 0 || utc.tm_year > 8099) {
        html_put(html, "%ld", (long)seconds); /* no date that HTML knows: an event may claim any */
        return;
    }
    strftime(machine, sizeof(machine), "%Y-%m-%dT%H:%M:%SZ", &utc);
    if (is_short) {
        strftime(text, sizeof(text), "%e %b %H:%M:%S", &utc);
    }
    else {
        strftime(text, sizeof(text), "%e %b %Y, %H:%M:%S UTC", &utc);
    }
    html_put(html, "<time datetime=\"%s\">%s</time>", machine, text + (*text == ' '));
}

void html_time(html_t *html, json_int_t seconds)
{
    put_time(html, seconds, false);
}

void html_time_short(html_t *html, json_int_t seconds)
{
    put_time(html, seconds, true);
}

void html_span(html_t *html, json_int_t seconds)
{
    long s = seconds < 0 ? 0 : (long)seconds;

    if (s < 60) {
        html_put(html, "%ld s", s);
    }
    else if (s < 3600) {
        html_put(html, "%ld min", s / 60);
    }
    else if (s < 48 * 3600L) {
        html_put(html, "%ld h %ld min", s / 3600, s % 3600 / 60);
    }
    else {
        html_put(html, "%ld days %ld h", s / 86400, s % 86400 / 3600);
    }
}

const char *html_url(const char *value, apr_pool_t *p)
{
    static const char hex[] = "0123456789ABCDEF";
    char *encoded = apr_palloc(p, 3 * strlen(value) + 1);
    char *end = encoded;

    for (; *value != '\0'; value++) {
        unsigned char c = (unsigned char)*value;

        if ((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
            strchr("-._~", c)) {
            *end++ = (char)c;
        }
        else {
            *end++ = '%';
            *end++ = hex[c >> 4];
            *end++ = hex[c & 15];
        }
    }
    *end = '\0';
    return encoded;
}
