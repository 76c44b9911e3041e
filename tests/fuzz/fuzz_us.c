/* GPP and US Privacy strings: they never leave their range of answers, whatever comes. */

#include "consent/us.h"

#include "fuzz.h"

static void run_one(const char *text, size_t len)
{
    capi_us_t gpp = capi_gpp_read(text, len);
    capi_us_t usp = capi_usp_read(text, len);

    require(gpp >= CAPI_US_INVALID && gpp <= CAPI_US_OPTED_OUT, "GPP out of range");
    require(usp >= CAPI_US_INVALID && usp <= CAPI_US_OPTED_OUT, "USP out of range");
}
