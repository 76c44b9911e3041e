/* Bodies of forms. The first byte says which kind; multipart has its Content-Type in the first
 * line. */

#include "form.h"

#include "fuzz.h"

#include <apr_strings.h>

static const apr_array_header_t *read_form(const char *text, size_t len)
{
    const char *line_end = memchr(text + 1, '\n', len - 1);
    const char *type;

    if (text[0] == 'u' || !line_end) {
        return capi_form_urlencoded(text + 1, len - 1, pool);
    }
    type = apr_pstrmemdup(pool, text + 1, (apr_size_t)(line_end - text - 1));
    return capi_form_multipart(line_end + 1, (apr_size_t)(text + len - line_end - 1), type, pool);
}

static void run_one(const char *text, size_t len)
{
    static const char *const names[] = {"a", "*", "items[*][sku]", "*[*]*", "#"};
    const apr_array_header_t *fields;
    size_t total = 0;

    if (len == 0) {
        return;
    }
    fields = read_form(text, len);
    require(fields->nelts <= CAPI_FORM_FIELDS_MAX, "more fields than there may be");
    for (int i = 0; i < fields->nelts; i++) {
        const capi_form_field_t *field = &APR_ARRAY_IDX(fields, i, capi_form_field_t);

        total += strlen(field->name) + strlen(field->value);
    }
    require(total <= len, "fields with more in them than the body is long");
    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
        const char *value = capi_form_get(fields, names[i], pool);

        require(!value || strlen(value) <= 3 * total + 2 * (size_t)fields->nelts,
                "a value longer than all fields");
    }
}
