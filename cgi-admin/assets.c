#include "assets.h"

#include <string.h>

#include "embed.h"
#include "ident.h"

CAPI_EMBED(style, "cgi-admin/style.css");
CAPI_EMBED(script, "cgi-admin/script.js");

const asset_t asset_style = {"style.css", "text/css; charset=utf-8", style_begin, style_end};
const asset_t asset_script = {"script.js", "text/javascript; charset=utf-8", script_begin,
                              script_end};

void asset_revision(char *revision, const asset_t *asset)
{
    char hex[CAPI_HEX_SHA256 + 1];

    capi_sha256_hex(hex, asset->bytes, (apr_size_t)(asset->end - asset->bytes));
    memcpy(revision, hex, ASSET_REVISION_LEN);
    revision[ASSET_REVISION_LEN] = '\0';
}
