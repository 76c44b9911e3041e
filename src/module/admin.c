/* Tells the admin CGI where the store is: by its environment, below the locations that say so. */

#include "module.h"

#include <apr_strings.h>

#define VAR_STORE     "PINTEREST_CAPI_STORE"
#define VAR_ADMIN     "PINTEREST_CAPI_ADMIN"
#define VAR_RETENTION "PINTEREST_CAPI_RETENTION"

int capi_admin_fixups(request_rec *r)
{
    const capi_dir_conf_t *dir = capi_dir_conf(r->per_dir_config);
    const capi_global_conf_t *global;

    /* SetEnv of an outer section must not open what an inner one closes. */
    apr_table_unset(r->subprocess_env, VAR_STORE);
    apr_table_unset(r->subprocess_env, VAR_ADMIN);
    apr_table_unset(r->subprocess_env, VAR_RETENTION);
    if (!dir || dir->admin <= 0) {
        return DECLINED;
    }
    global = capi_global_conf();
    apr_table_setn(r->subprocess_env, VAR_STORE,
                   apr_pstrcat(r->pool, global->store_driver, " ", global->store_params, NULL));
    apr_table_setn(r->subprocess_env, VAR_ADMIN, dir->admin == 2 ? "Write" : "On");
    apr_table_setn(r->subprocess_env, VAR_RETENTION, apr_itoa(r->pool, global->retention_days));
    return DECLINED;
}
