/* JSON bodies and answers, and the place in them that a rule names: the first line. */

#include "pointer.h"

#include "fuzz.h"

#include <apr_strings.h>

static void run_one(const char *text, size_t len)
{
    const char *line_end = memchr(text, '\n', len);
    const char *pointer = line_end ? apr_pstrmemdup(pool, text, (apr_size_t)(line_end - text)) : "";
    const char *document = line_end ? line_end + 1 : text;
    json_t *json = capi_pointer_parse(document, (apr_size_t)(text + len - document));

    if (json) {
        const char *value = capi_pointer_text(json, pointer, pool);
        const char *whole = capi_pointer_text(json, "#", pool);

        require(!value || strlen(value) < 8 * len + 8, "a value longer than its document");
        require(!whole || strlen(whole) < 8 * len + 8, "a document longer than it came");
        json_decref(json);
    }
}
