/* Feeds in XML. Expat reads them as a stream; nothing of the document is kept. */

#include "feed_int.h"

#include <apr_strings.h>

#include <expat.h>
#include <string.h>

#define ATOM      "http://www.w3.org/2005/Atom"
#define SEPARATOR '|' /* between namespace and name; in no name */

/* Expat keeps a tag until it is complete. */
#define TAG_MAX (1024 * 1024)

struct capi_feed_xml_t {
    XML_Parser parser;
    XML_Index fed;
    int depth;
    int item_depth; /* 0: outside of items */
    bool is_id;     /* inside a field that counts */
    capi_feed_value_t value;
};

static bool is_item(const char *local)
{
    return strcmp(local, "item") == 0 || strcmp(local, "entry") == 0;
}

/* Atom's own id is the entry's address, not the product's. */
static bool is_id(const char *name, const char *local)
{
    return (strcmp(local, "id") == 0 || strcmp(local, "item_group_id") == 0) &&
           strncmp(name, ATOM, sizeof(ATOM) - 1) != 0;
}

static void begin_element(void *baton, const XML_Char *name, const XML_Char **attributes)
{
    capi_feed_xml_t *xml = ((capi_feed_t *)baton)->xml;
    const char *separator = strrchr(name, SEPARATOR);
    const char *local = separator ? separator + 1 : name;

    (void)attributes;
    xml->depth++;
    if (!xml->item_depth) {
        xml->item_depth = is_item(local) ? xml->depth : 0;
    }
    else if (xml->depth == xml->item_depth + 1) {
        xml->is_id = is_id(name, local);
        xml->value.len = 0;
    }
}

static void end_element(void *baton, const XML_Char *name)
{
    capi_feed_t *feed = baton;
    capi_feed_xml_t *xml = feed->xml;

    (void)name;
    if (xml->is_id && xml->depth == xml->item_depth + 1) {
        capi_feed_tell(feed, &xml->value);
        xml->is_id = false;
    }
    if (xml->depth == xml->item_depth) {
        xml->item_depth = 0;
    }
    xml->depth--;
}

static void take_text(void *baton, const XML_Char *text, int len)
{
    capi_feed_xml_t *xml = ((capi_feed_t *)baton)->xml;

    if (xml->is_id) {
        capi_feed_add(&xml->value, text, (apr_size_t)len);
    }
}

static apr_status_t free_parser(void *parser)
{
    XML_ParserFree(parser);
    return APR_SUCCESS;
}

apr_status_t capi_feed_xml_begin(capi_feed_t *feed)
{
    capi_feed_xml_t *xml = apr_pcalloc(feed->pool, sizeof(*xml));

    xml->parser = XML_ParserCreateNS(NULL, SEPARATOR);
    if (!xml->parser) {
        return capi_feed_refuse(feed, "could not be read for want of memory");
    }
    apr_pool_cleanup_register(feed->pool, xml->parser, free_parser, apr_pool_cleanup_null);
    XML_SetUserData(xml->parser, feed);
    XML_SetElementHandler(xml->parser, begin_element, end_element);
    XML_SetCharacterDataHandler(xml->parser, take_text);
    feed->xml = xml;
    return APR_SUCCESS;
}

apr_status_t capi_feed_xml_read(capi_feed_t *feed, const char *bytes, apr_size_t len, bool is_last)
{
    capi_feed_xml_t *xml = feed->xml;

    if (XML_Parse(xml->parser, bytes, (int)len, is_last) != XML_STATUS_OK) {
        return capi_feed_refuse(feed,
                                apr_psprintf(feed->pool, "is no XML feed: line %lu: %s",
                                             (unsigned long)XML_GetCurrentLineNumber(xml->parser),
                                             XML_ErrorString(XML_GetErrorCode(xml->parser))));
    }
    xml->fed += (XML_Index)len;
    if (xml->fed - XML_GetCurrentByteIndex(xml->parser) > TAG_MAX) {
        return capi_feed_refuse(feed, "is no XML feed: it has a tag of more than a megabyte");
    }
    return APR_SUCCESS;
}
