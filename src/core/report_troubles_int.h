#ifndef CAPI_REPORT_TROUBLES_INT_H
#define CAPI_REPORT_TROUBLES_INT_H

/* What the judges of troubles share. */

#include "report_sample.h"
#include "report_troubles.h"

#define CAPI_TROUBLE_ENOUGH 20 /* events; below that a share says nothing */

typedef struct {
    json_t *list;
    apr_pool_t *pool;
    bool is_proxied; /* the trouble with addresses is told already */
} capi_troubles_t;

/* `link`: a query of the page that shows the events, or NULL. */
void capi_trouble_add(capi_troubles_t *troubles, const char *id, bool is_broken, const char *title,
                      const char *cause, const char *mend, const char *link);

/* What the newest events say (report_troubles_events.c). */
void capi_troubles_of_events(capi_troubles_t *troubles, const capi_sample_t *sample);

#endif
