/* custom_data: what was bought, and for how much. */

#include "event_int.h"

#include <string.h>

#define NUM_ITEMS_MAX 1000000000

static bool has_string(const json_t *list, const json_t *wanted)
{
    size_t index;
    json_t *own;

    json_array_foreach(list, index, own)
    {
        if (json_equal(own, wanted)) {
            return true;
        }
    }
    return false;
}

static json_t *ids_of_contents(const json_t *contents)
{
    json_t *ids = json_array();
    size_t index;
    json_t *item;

    json_array_foreach(contents, index, item)
    {
        json_t *id = json_object_get(item, "id");

        if (id && !has_string(ids, id)) {
            json_array_append(ids, id);
        }
    }
    return ids;
}

/* The sum of the quantities, 0 where one of them is not known. */
static apr_int64_t count_of_contents(const json_t *contents)
{
    apr_int64_t sum = 0;
    size_t index;
    json_t *item;

    json_array_foreach(contents, index, item)
    {
        json_t *quantity = json_object_get(item, "quantity");

        if (!quantity) {
            return 0;
        }
        sum += json_integer_value(quantity);
    }
    return sum <= NUM_ITEMS_MAX ? sum : 0;
}

/* Pinterest matches its catalogue by content_ids; shops often say contents alone. */
static void fill_from_contents(json_t *custom)
{
    const json_t *contents = json_object_get(custom, "contents");
    apr_int64_t count;

    if (!contents) {
        return;
    }
    if (!json_object_get(custom, "content_ids")) {
        json_t *ids = ids_of_contents(contents);

        if (json_array_size(ids) > 0) {
            json_object_set_new_nocheck(custom, "content_ids", ids);
        }
        else {
            json_decref(ids);
        }
    }
    count = count_of_contents(contents);
    if (count > 0 && !json_object_get(custom, "num_items")) {
        json_object_set_new_nocheck(custom, "num_items", json_integer(count));
    }
}

json_t *capi_read_custom_data(const json_t *input, capi_notes_t *notes)
{
    const capi_field_t *currency_field = capi_schema_find(&capi_schema_custom_data, "currency");
    capi_notes_t silent = {notes->p, NULL, 0};
    json_t *currency;
    json_t *custom;

    /* The currency goes before all amounts, wherever it stands; it is noted when it is read as
     * the field it is. */
    currency = capi_read_field(currency_field, json_object_get(input, "currency"), "", 0, &silent);
    custom = capi_read_object(&capi_schema_custom_data, input,
                              capi_currency_digits(json_string_value(currency)), notes);
    json_decref(currency);
    if (custom) {
        fill_from_contents(custom);
    }
    return custom;
}
