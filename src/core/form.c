#include "form.h"

#include "text.h"

#include <apr_lib.h>
#include <apr_strings.h>

#include <string.h>
#include <strings.h>

/* Urlencoded and multipart bodies (WHATWG URL, section 5; RFC 7578). */

#define BOUNDARY_MAX 200 /* RFC 2046 allows 70; PHP and browsers do not look */
#define HEADERS_MAX  50  /* lines of one part */

/* A stretch of the body. */
typedef struct {
    const char *at;
    const char *end;
} span_t;

static bool has_room(const apr_array_header_t *fields)
{
    return fields->nelts < CAPI_FORM_FIELDS_MAX;
}

static void add_field(apr_array_header_t *fields, const char *name, const char *value)
{
    capi_form_field_t *field = apr_array_push(fields);

    field->name = name;
    field->value = value;
}

/* --- urlencoded --- */

apr_array_header_t *capi_form_urlencoded(const char *body, apr_size_t len, apr_pool_t *p)
{
    apr_array_header_t *fields = apr_array_make(p, 16, sizeof(capi_form_field_t));
    const char *end = body + len;

    while (body < end && has_room(fields)) {
        const char *next = memchr(body, '&', (apr_size_t)(end - body));
        const char *stop = next ? next : end;
        const char *equals = memchr(body, '=', (apr_size_t)(stop - body));
        const char *name_end = equals ? equals : stop;
        const char *value = equals ? equals + 1 : stop;

        if (stop > body) {
            add_field(fields, capi_percent_decode(body, (apr_size_t)(name_end - body), true, p),
                      capi_percent_decode(value, (apr_size_t)(stop - value), true, p));
        }
        body = next ? next + 1 : end;
    }
    return fields;
}

/* --- multipart --- */

/* Where a quoted value ends, at its second quote or the end of the text. A backslash quotes the next
 * character, as old browsers write quotes. */
static const char *end_of_quoted(const char *text)
{
    for (text++; *text && *text != '"'; text++) {
        if (*text == '\\' && (text[1] == '"' || text[1] == '\\')) {
            text++;
        }
    }
    return text;
}

static const char *unquote(const char *text, const char *end, apr_pool_t *p)
{
    char *plain = apr_palloc(p, (apr_size_t)(end - text));
    char *to = plain;

    for (text++; text < end; text++) {
        if (*text == '\\' && (text[1] == '"' || text[1] == '\\')) {
            text++;
        }
        *to++ = *text;
    }
    *to = '\0';
    return plain;
}

/* The value of a parameter (`name="x"`, `boundary=y`) in a header's value; NULL where it is absent.
 * Nothing is allocated for the others: there may be thousands. */
static const char *parameter_of(const char *text, const char *wanted, apr_pool_t *p)
{
    apr_size_t wanted_len = strlen(wanted);

    text = strchr(text, ';');
    while (text) {
        const char *name = text + 1 + strspn(text + 1, " \t");
        apr_size_t name_len = strcspn(name, "=; \t");
        const char *value = name + name_len + strspn(name + name_len, " \t");
        bool is_wanted =
            name_len == wanted_len && strncasecmp(name, wanted, wanted_len) == 0 && *value == '=';
        const char *end;

        if (*value != '=') {
            text = strchr(name, ';');
            continue;
        }
        value += 1 + strspn(value + 1, " \t");
        if (*value != '"') {
            apr_size_t len = strcspn(value, "; \t");

            if (is_wanted) {
                return apr_pstrmemdup(p, value, len);
            }
            text = strchr(value, ';');
            continue;
        }
        end = end_of_quoted(value);
        if (is_wanted) {
            return unquote(value, end, p);
        }
        text = strchr(end, ';');
    }
    return NULL;
}

/* Takes the next line, without its end; false where none ends within the span. */
static bool take_line(span_t *line, span_t *rest)
{
    const char *end = memchr(rest->at, '\n', (apr_size_t)(rest->end - rest->at));

    if (!end) {
        return false;
    }
    line->at = rest->at;
    line->end = end > rest->at && end[-1] == '\r' ? end - 1 : end;
    rest->at = end + 1;
    return true;
}

/* Reads a part's headers up to the empty line. *disposition is that header's value, if any. */
static bool take_headers(const char **disposition, span_t *rest, apr_pool_t *p)
{
    static const char wanted[] = "content-disposition:";
    span_t line;
    int count;

    *disposition = NULL;
    for (count = 0; count < HEADERS_MAX; count++) {
        apr_size_t len;

        if (!take_line(&line, rest)) {
            return false;
        }
        len = (apr_size_t)(line.end - line.at);
        if (len == 0) {
            return true;
        }
        if (len >= sizeof(wanted) - 1 && strncasecmp(line.at, wanted, sizeof(wanted) - 1) == 0) {
            *disposition =
                apr_pstrmemdup(p, line.at + sizeof(wanted) - 1, len - (sizeof(wanted) - 1));
        }
    }
    return false;
}

/* The delimiter in `rest` that stands at the begin of a line; NULL where there is none. */
static const char *find_delimiter(const span_t *rest, const char *delimiter, const char *begin)
{
    apr_size_t len = strlen(delimiter);
    const char *at = rest->at;

    while ((at = memmem(at, (apr_size_t)(rest->end - at), delimiter, len)) != NULL) {
        if (at == begin || at[-1] == '\n') {
            return at;
        }
        at++;
    }
    return NULL;
}

/* One part, from behind its delimiter's line to the next delimiter. */
static void add_part(apr_array_header_t *fields, span_t part, apr_pool_t *p)
{
    const char *disposition;
    const char *name;

    if (!take_headers(&disposition, &part, p) || !disposition) {
        return;
    }
    name = parameter_of(disposition, "name", p);
    if (!name || parameter_of(disposition, "filename", p) ||
        parameter_of(disposition, "filename*", p)) {
        return;
    }
    /* the line's end before the delimiter belongs to the delimiter */
    if (part.end > part.at && part.end[-1] == '\n') {
        part.end--;
    }
    if (part.end > part.at && part.end[-1] == '\r') {
        part.end--;
    }
    add_field(fields, name, apr_pstrmemdup(p, part.at, (apr_size_t)(part.end - part.at)));
}

apr_array_header_t *capi_form_multipart(const char *body, apr_size_t len, const char *content_type,
                                        apr_pool_t *p)
{
    apr_array_header_t *fields = apr_array_make(p, 16, sizeof(capi_form_field_t));
    const char *boundary = content_type ? parameter_of(content_type, "boundary", p) : NULL;
    span_t rest = {body, body + len};
    const char *delimiter;
    const char *found;

    if (!boundary || !*boundary || strlen(boundary) > BOUNDARY_MAX) {
        return fields;
    }
    delimiter = apr_pstrcat(p, "--", boundary, NULL);
    found = find_delimiter(&rest, delimiter, body);
    while (found && has_room(fields)) {
        span_t padding;
        span_t part;

        rest.at = found + strlen(delimiter);
        if (rest.end - rest.at >= 2 && rest.at[0] == '-' && rest.at[1] == '-') {
            return fields;
        }
        if (!take_line(&padding, &rest)) {
            return fields;
        }
        found = find_delimiter(&rest, delimiter, body);
        if (found) {
            part.at = rest.at;
            part.end = found;
            add_part(fields, part, p);
        }
    }
    return fields;
}

/* --- finding --- */

/* Where the run that a `*` stands for may go on: brackets part a name, so none is skipped. */
static bool may_skip(char c)
{
    return c != '\0' && c != '[' && c != ']';
}

bool capi_name_matches(const char *pattern, const char *name)
{
    const char *star = NULL; /* the last one seen, and where its run ends so far */
    const char *run = NULL;

    while (*name) {
        if (*pattern == '*') {
            star = pattern++;
            run = name;
        }
        else if (*pattern == *name) {
            pattern++;
            name++;
        }
        else if (star && may_skip(*run)) {
            pattern = star + 1;
            name = ++run;
        }
        else {
            return false;
        }
    }
    while (*pattern == '*') {
        pattern++;
    }
    return *pattern == '\0';
}

/* What is neither letter nor digit nor one of `-._` as %XX. */
static char *encode(char *to, const char *text)
{
    static const char digits[] = "0123456789ABCDEF";

    for (; *text; text++) {
        unsigned char c = (unsigned char)*text;

        if (apr_isalnum(c) || strchr("-._", c)) {
            *to++ = (char)c;
        }
        else {
            *to++ = '%';
            *to++ = digits[c >> 4];
            *to++ = digits[c & 0xf];
        }
    }
    return to;
}

static const char *whole_form(const apr_array_header_t *fields, apr_pool_t *p)
{
    apr_size_t room = 1;
    char *text;
    char *to;

    for (int i = 0; i < fields->nelts; i++) {
        const capi_form_field_t *field = &APR_ARRAY_IDX(fields, i, capi_form_field_t);

        room += 3 * (strlen(field->name) + strlen(field->value)) + 2;
    }
    text = to = apr_palloc(p, room);
    for (int i = 0; i < fields->nelts; i++) {
        const capi_form_field_t *field = &APR_ARRAY_IDX(fields, i, capi_form_field_t);

        if (i > 0) {
            *to++ = '&';
        }
        to = encode(to, field->name);
        *to++ = '=';
        to = encode(to, field->value);
    }
    *to = '\0';
    return text;
}

const char *capi_form_get(const apr_array_header_t *fields, const char *name, apr_pool_t *p)
{
    bool is_pattern = strchr(name, '*') != NULL;
    apr_array_header_t *values = NULL;

    if (strcmp(name, "#") == 0) {
        return fields->nelts > 0 ? whole_form(fields, p) : NULL;
    }
    for (int i = 0; i < fields->nelts; i++) {
        const capi_form_field_t *field = &APR_ARRAY_IDX(fields, i, capi_form_field_t);

        if (!is_pattern && strcmp(field->name, name) == 0) {
            return field->value;
        }
        if (is_pattern && *field->value && capi_name_matches(name, field->name)) {
            if (!values) {
                values = apr_array_make(p, 4, sizeof(const char *));
            }
            APR_ARRAY_PUSH(values, const char *) = field->value;
        }
    }
    return values ? apr_array_pstrcat(p, values, ',') : NULL;
}
