#ifndef CAPI_CGI_ASSETS_H
#define CAPI_CGI_ASSETS_H

/* Stylesheet and script, part of the program so that the page needs no file beside it. */

#include "capi.h"

typedef struct {
    const char *name;
    const char *type;
    const char *bytes;
    const char *end;
} asset_t;

extern const asset_t asset_style;
extern const asset_t asset_script;

#define ASSET_REVISION_LEN 16

/* What the asset's address ends in, so that a browser may keep it for ever: the beginning of its
 * hash. `revision` has room for ASSET_REVISION_LEN + 1. */
void asset_revision(char *revision, const asset_t *asset);

#endif
