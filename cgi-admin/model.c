/* Fields of models, and the words that people use for what they hold. */

#include "model.h"

#include <string.h>

const char *model_text(const json_t *object, const char *name)
{
    return json_string_value(json_object_get(object, name));
}

json_int_t model_number(const json_t *object, const char *name)
{
    return json_integer_value(json_object_get(object, name));
}

double model_real(const json_t *object, const char *name)
{
    return json_number_value(json_object_get(object, name));
}

bool model_is(const json_t *object, const char *name)
{
    return json_is_true(json_object_get(object, name));
}

bool model_has(const json_t *object, const char *name)
{
    const json_t *value = json_object_get(object, name);

    return value && !json_is_null(value);
}

typedef struct {
    const char *word;
    const char *label;
} label_t;

static const char *find_label(const label_t *labels, apr_size_t count, const char *word)
{
    apr_size_t i;

    for (i = 0; word && i < count; i++) {
        if (strcmp(word, labels[i].word) == 0) {
            return labels[i].label;
        }
    }
    return word ? word : "";
}

const char *model_key_label(const char *key)
{
    static const label_t labels[] = {{"em", "E-mail"},
                                     {"ph", "Phone"},
                                     {"ge", "Gender"},
                                     {"db", "Birth date"},
                                     {"fn", "First name"},
                                     {"ln", "Last name"},
                                     {"ct", "City"},
                                     {"st", "State"},
                                     {"zp", "Postcode"},
                                     {"country", "Country"},
                                     {"external_id", "Customer"},
                                     {"hashed_maids", "Ad id"},
                                     {"click_id", "Click id"},
                                     {"client_ip_address", "Address"},
                                     {"client_user_agent", "Browser"},
                                     {"partner_id", "Partner"}};

    return find_label(labels, sizeof(labels) / sizeof(labels[0]), key);
}

const char *model_source_label(const char *source)
{
    static const label_t labels[] = {{"browser", "a page in the browser"},
                                     {"rule", "a rule in httpd's configuration"},
                                     {"header", "a response header of the shop"},
                                     {"backend", "the shop's backend"}};

    return find_label(labels, sizeof(labels) / sizeof(labels[0]), source);
}
