/* What Pinterest's request may hold (OpenAPI 5.23; every object but user_data is closed), and the
 * names of it. Limits that the spec does not give are ours: an event has to fit a batch. */

#include "event_int.h"

#include <string.h>

#define ID_MAX      256
#define LABEL_MAX   1024
#define ITEM_TEXT   256
#define LIST_MAX    5000
#define COUNT_MAX   1000000000
#define APP_TEXT    200
#define TEXT_100    100
#define AGENT_MAX   16384
#define PIXELS_MAX  30720
#define STORAGE_MAX 1048576
#define UNLIMITED   ((apr_int64_t)1 << 53)

static const char *const form_factors[] = {"desktop", "laptop", "cellphone", "tablet", "smartwatch",
                                           "tv",      "vr",     "console",   "other",  NULL};
static const char *const network_types[] = {"wifi",        "cellular_2g", "cellular_3g",
                                            "cellular_4g", "cellular_5g", "cellular_6g",
                                            "ethernet",    "unknown",     NULL};
static const char *const os_families[] = {"ios",   "android", "macos", "windows",
                                          "linux", "bsd",     "other", NULL};
static const char *const opt_out_types[] = {"LDP", NULL};

static const capi_field_t contents_fields[] = {
    {"id", CAPI_FIELD_ID, ID_MAX, NULL, NULL},
    {"item_price", CAPI_FIELD_AMOUNT, 0, NULL, NULL},
    {"quantity", CAPI_FIELD_INTEGER, COUNT_MAX, NULL, NULL},
    {"item_name", CAPI_FIELD_LABEL, ITEM_TEXT, NULL, NULL},
    {"item_category", CAPI_FIELD_LABEL, ITEM_TEXT, NULL, NULL},
    {"item_brand", CAPI_FIELD_LABEL, ITEM_TEXT, NULL, NULL},
    {NULL, CAPI_FIELD_ID, 0, NULL, NULL},
};
static const capi_schema_t contents_schema = {"contents[].", contents_fields};

static const capi_field_t custom_data_fields[] = {
    {"value", CAPI_FIELD_AMOUNT, 0, NULL, NULL},
    {"currency", CAPI_FIELD_CURRENCY, 3, NULL, NULL},
    {"content_ids", CAPI_FIELD_IDS, LIST_MAX, NULL, NULL},
    {"contents", CAPI_FIELD_OBJECTS, LIST_MAX, NULL, &contents_schema},
    {"num_items", CAPI_FIELD_INTEGER, COUNT_MAX, NULL, NULL},
    {"order_id", CAPI_FIELD_ID, ID_MAX, NULL, NULL},
    {"search_string", CAPI_FIELD_LABEL, LABEL_MAX, NULL, NULL},
    {"content_name", CAPI_FIELD_LABEL, LABEL_MAX, NULL, NULL},
    {"content_category", CAPI_FIELD_LABEL, LABEL_MAX, NULL, NULL},
    {"content_brand", CAPI_FIELD_LABEL, LABEL_MAX, NULL, NULL},
    {"predicted_ltv", CAPI_FIELD_AMOUNT, 0, NULL, NULL},
    {"opt_out_type", CAPI_FIELD_CHOICE, 0, opt_out_types, NULL},
    {"np", CAPI_FIELD_INTERNAL, 0, NULL, NULL},
    {"external_measurement_id", CAPI_FIELD_INTERNAL, 0, NULL, NULL},
    {"external_measurement_vendor_id", CAPI_FIELD_INTERNAL, 0, NULL, NULL},
    {NULL, CAPI_FIELD_ID, 0, NULL, NULL},
};
const capi_schema_t capi_schema_custom_data = {"custom_data.", custom_data_fields};

static const capi_field_t app_info_fields[] = {
    {"app_id", CAPI_FIELD_ID, APP_TEXT, NULL, NULL},
    {"app_name", CAPI_FIELD_LABEL, APP_TEXT, NULL, NULL},
    {"app_package_name", CAPI_FIELD_ID, APP_TEXT, NULL, NULL},
    {"app_store", CAPI_FIELD_LABEL, TEXT_100, NULL, NULL},
    {"app_version", CAPI_FIELD_LABEL, TEXT_100, NULL, NULL},
    {"install_time", CAPI_FIELD_INTEGER, UNLIMITED, NULL, NULL},
    {"user_agent", CAPI_FIELD_LABEL, AGENT_MAX, NULL, NULL},
    {"window_height", CAPI_FIELD_INTEGER, PIXELS_MAX, NULL, NULL},
    {"window_width", CAPI_FIELD_INTEGER, PIXELS_MAX, NULL, NULL},
    {NULL, CAPI_FIELD_ID, 0, NULL, NULL},
};
static const capi_schema_t app_info_schema = {"app_info.", app_info_fields};

static const capi_field_t device_info_fields[] = {
    {"battery_level", CAPI_FIELD_INTEGER, 100, NULL, NULL},
    {"brand", CAPI_FIELD_LABEL, TEXT_100, NULL, NULL},
    {"carrier", CAPI_FIELD_LABEL, TEXT_100, NULL, NULL},
    {"cpu_cores", CAPI_FIELD_INTEGER, 1152, NULL, NULL},
    {"external_storage_free_space", CAPI_FIELD_INTEGER, STORAGE_MAX, NULL, NULL},
    {"external_storage_size", CAPI_FIELD_INTEGER, STORAGE_MAX, NULL, NULL},
    {"form_factor", CAPI_FIELD_CHOICE, 0, form_factors, NULL},
    {"kernel_version", CAPI_FIELD_LABEL, TEXT_100, NULL, NULL},
    {"languages", CAPI_FIELD_IDS, 100, NULL, NULL},
    {"locale", CAPI_FIELD_ID, 35, NULL, NULL},
    {"model", CAPI_FIELD_LABEL, TEXT_100, NULL, NULL},
    {"network_type", CAPI_FIELD_CHOICE, 0, network_types, NULL},
    {"os_family", CAPI_FIELD_CHOICE, 0, os_families, NULL},
    {"os_name", CAPI_FIELD_LABEL, TEXT_100, NULL, NULL},
    {"os_release_name", CAPI_FIELD_LABEL, TEXT_100, NULL, NULL},
    {"os_version", CAPI_FIELD_LABEL, TEXT_100, NULL, NULL},
    {"screen_density", CAPI_FIELD_INTEGER, 100000, NULL, NULL},
    {"screen_height", CAPI_FIELD_INTEGER, PIXELS_MAX, NULL, NULL},
    {"screen_width", CAPI_FIELD_INTEGER, PIXELS_MAX, NULL, NULL},
    {"storage_free_space", CAPI_FIELD_INTEGER, STORAGE_MAX, NULL, NULL},
    {"storage_size", CAPI_FIELD_INTEGER, STORAGE_MAX, NULL, NULL},
    {"timezone", CAPI_FIELD_ID, 40, NULL, NULL},
    {"timezone_abbr", CAPI_FIELD_ID, 5, NULL, NULL},
    {"type", CAPI_FIELD_LABEL, TEXT_100, NULL, NULL},
    {NULL, CAPI_FIELD_ID, 0, NULL, NULL},
};
static const capi_schema_t device_info_schema = {"device_info.", device_info_fields};

static const capi_field_t event_fields[] = {
    {"opt_out", CAPI_FIELD_BOOLEAN, 0, NULL, NULL},
    {"partner_name", CAPI_FIELD_ID, TEXT_100, NULL, NULL},
    {"language", CAPI_FIELD_LANGUAGE, 2, NULL, NULL},
    {"app_id", CAPI_FIELD_ID, APP_TEXT, NULL, NULL},
    {"app_name", CAPI_FIELD_LABEL, APP_TEXT, NULL, NULL},
    {"app_version", CAPI_FIELD_LABEL, TEXT_100, NULL, NULL},
    {"device_brand", CAPI_FIELD_LABEL, TEXT_100, NULL, NULL},
    {"device_carrier", CAPI_FIELD_LABEL, TEXT_100, NULL, NULL},
    {"device_model", CAPI_FIELD_LABEL, TEXT_100, NULL, NULL},
    {"device_type", CAPI_FIELD_LABEL, TEXT_100, NULL, NULL},
    {"os_version", CAPI_FIELD_LABEL, TEXT_100, NULL, NULL},
    {"wifi", CAPI_FIELD_BOOLEAN, 0, NULL, NULL},
    {"app_info", CAPI_FIELD_OBJECT, 0, NULL, &app_info_schema},
    {"device_info", CAPI_FIELD_OBJECT, 0, NULL, &device_info_schema},
    {NULL, CAPI_FIELD_ID, 0, NULL, NULL},
};
const capi_schema_t capi_schema_event = {"", event_fields};

const capi_field_t *capi_schema_find(const capi_schema_t *schema, const char *name)
{
    for (const capi_field_t *field = schema->fields; field->name; field++) {
        if (strcmp(field->name, name) == 0) {
            return field;
        }
    }
    return NULL;
}
