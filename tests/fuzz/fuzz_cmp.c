/* Files about consent managers, which shops write too, and behind a NUL a Cookie header read by
 * them. */

#include "consent/cmp.h"

#include "fuzz.h"

#include <apr_strings.h>

#include <unistd.h>

static char name[] = "/tmp/capi-fuzz-cmp-XXXXXX";

static void remove_folder(void)
{
    rmdir(name);
}

static const char *folder(void)
{
    static bool is_made;

    if (!is_made) {
        is_made = mkdtemp(name) != NULL;
        require(is_made, "no folder for the file");
        atexit(remove_folder);
    }
    return name;
}

static void write_file(const char *path, const char *text, size_t len)
{
    FILE *file = fopen(path, "wb");

    require(file && fwrite(text, 1, len, file) == len, "no room for the file");
    fclose(file);
}

static void run_one(const char *text, size_t len)
{
    size_t rule_len = strlen(text);
    const char *path = apr_pstrcat(pool, folder(), "/rule.json", NULL);
    const capi_cmp_t *cmp;
    const char *message = NULL;
    capi_cookies_t cookies;

    write_file(path, text, rule_len);
    if (capi_cmp_load(&cmp, &message, folder(), "rule", NULL, pool) == APR_SUCCESS) {
        capi_cookies_read(&cookies, rule_len < len ? text + rule_len + 1 : "", pool);
        capi_cmp_read(cmp, &cookies, pool);
    }
    else {
        require(message && *message, "a file that is refused without a word");
    }
    unlink(path);
}
