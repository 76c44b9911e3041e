/* Several senders on one database: this one's place among them, and what a silent one left behind. */

#include "sender.h"

#include <string.h>
#include <sys/random.h>

#include <apr_file_io.h>
#include <apr_network_io.h>
#include <apr_strings.h>

#include "ident.h"

/* Six beats fit into a lease. */
#define BEAT_PAUSE (CAPI_LEASE / 6)

#define NAME_LEN  40
#define HOST_ROOM 256

/* Made once for this state directory. */
static apr_status_t read_name(char name[NAME_LEN + 1], capi_sender_t *sender, apr_pool_t *p)
{
    const char *path = apr_pstrcat(p, sender->config->state_dir, "/node", NULL);
    unsigned char random[NAME_LEN];
    char hex[CAPI_HEX_SHA256 + 1];
    apr_size_t len = NAME_LEN;
    apr_file_t *file;
    apr_status_t rv = apr_file_open(&file, path, APR_FOPEN_READ, APR_OS_DEFAULT, p);

    if (rv == APR_SUCCESS) {
        return apr_file_read_full(file, name, NAME_LEN, NULL);
    }
    if (getrandom(random, sizeof(random), 0) != (ssize_t)sizeof(random)) {
        return APR_EGENERAL;
    }
    capi_sha256_hex(hex, random, sizeof(random));
    memcpy(name, hex, NAME_LEN);
    rv = apr_file_open(&file, path, APR_FOPEN_WRITE | APR_FOPEN_CREATE | APR_FOPEN_EXCL,
                       APR_FPROT_UREAD | APR_FPROT_UWRITE, p);
    if (rv == APR_SUCCESS) {
        rv = apr_file_write_full(file, name, len, NULL);
        apr_file_close(file);
    }
    return rv;
}

/* A machine that was cloned, state directory and all, is another place. */
static apr_status_t make_name(char hex[CAPI_HEX_SHA256 + 1], capi_sender_t *sender, apr_pool_t *p)
{
    char text[NAME_LEN + HOST_ROOM] = "";
    apr_status_t rv = read_name(text, sender, p);

    if (rv == APR_SUCCESS) {
        rv = apr_gethostname(text + NAME_LEN, HOST_ROOM, p);
    }
    if (rv == APR_SUCCESS) {
        capi_sha256_hex(hex, text, strlen(text));
        hex[NAME_LEN] = '\0';
    }
    return rv;
}

apr_status_t capi_fleet_join(capi_sender_t *sender)
{
    char name[CAPI_HEX_SHA256 + 1];
    apr_pool_t *p;
    apr_status_t rv;

    sender->is_first = !capi_store_is_shared(sender->store);
    if (sender->is_first) {
        return APR_SUCCESS;
    }
    apr_pool_create(&p, sender->pool);
    rv = make_name(name, sender, p);
    apr_pool_destroy(p);
    return rv == APR_SUCCESS ? capi_store_join(sender->store, name) : rv;
}

static void join_again(capi_sender_t *sender)
{
    capi_log(CAPI_LOG_WARNING,
             "PCAPI180: the other senders of this database heard nothing of this one for a minute "
             "and took its events over: it joins them again");
    capi_dispatch_abandon(sender);
    if (capi_fleet_join(sender) != APR_SUCCESS) {
        capi_store_failed(sender, "let this sender join the others");
    }
}

/* What others wrote may have made events due, paused a destination, or made one. */
static void look_again(capi_sender_t *sender)
{
    int i;

    if (capi_routes_reload(sender) != APR_SUCCESS) {
        return;
    }
    for (i = 0; i < sender->routes->nelts; i++) {
        APR_ARRAY_IDX(sender->routes, i, capi_route_t *)->look_at = 0;
    }
}

static void act_on(capi_sender_t *sender, const capi_beat_t *beat)
{
    sender->is_first = beat->is_first;
    if (!beat->is_member) {
        join_again(sender);
        return;
    }
    if (beat->silent) {
        capi_log(CAPI_LOG_NOTICE,
                 "PCAPI181: sender %" APR_INT64_T_FMT " of this database has been silent for a "
                 "minute: its %d events are this one's now",
                 beat->silent, beat->taken_over);
    }
    if (beat->hands_changed) {
        look_again(sender);
    }
}

apr_time_t capi_fleet_turn(capi_sender_t *sender)
{
    capi_beat_t beat;

    if (!capi_store_is_shared(sender->store)) {
        return CAPI_NEVER;
    }
    if (sender->store_retry_at) {
        return sender->store_retry_at;
    }
    if (capi_ticks() < sender->beat_at) {
        return sender->beat_at;
    }
    sender->beat_at = capi_ticks() + BEAT_PAUSE;
    if (capi_store_beat(&beat, sender->store, capi_ticks(), capi_now()) != APR_SUCCESS) {
        capi_store_failed(sender, "take a sign of life");
        return sender->store_retry_at;
    }
    capi_store_recovered(sender);
    act_on(sender, &beat);
    return 0;
}
