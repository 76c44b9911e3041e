#ifndef CAPI_CONFIG_INT_H
#define CAPI_CONFIG_INT_H

/* What the files of the configuration share. */

#include "module.h"

#include <apr_uri.h>

/* A section, or what stands outside sections of a host, that one of our directives was written in.
 * The check of the whole goes through all of them: a section's settings are merged only when a
 * request comes. */
typedef struct {
    capi_dir_conf_t *conf;
    server_rec *server;
    bool is_section;
    const char *where; /* file and line of the first directive, for messages */
} capi_place_t;

/* Every place of this configuration, in the order of the files. */
apr_array_header_t *capi_config_places(void); /* capi_place_t */

/* The place of the directive being read; noted at the first one. */
capi_place_t *capi_config_place(cmd_parms *cmd, capi_dir_conf_t *conf);

/* Makes room for a new configuration: pre_config. */
void capi_config_reset(apr_pool_t *p);

/* Computes what the getters answer for the whole: in use, global settings. */
void capi_config_seal(server_rec *main_server, apr_pool_t *p);

/* True where this place, by itself, says something about consent. */
bool capi_config_says_consent(const capi_dir_conf_t *conf);

/* True where a section of any host says something about consent. */
bool capi_config_sections_decide_consent(void);

/* The account whose token a file holds, for requests of host `s`; NULL where none is known. */
const char *capi_config_token_account(const capi_token_file_t *file, const server_rec *s);

/* --- signals of consent (config_consent.c) --- */

/* Reads the words of a line; NULL with *message where the first is no signal. */
capi_signal_line_t *capi_signal_line_make(const char **message, cmd_parms *cmd, int argc,
                                          char *const argv[]);

/* Loads what the line names, files of consent managers from `folder`; the message that stops
 * configtest, or NULL. */
const char *capi_signal_line_load(capi_signal_line_t *line, const char *folder, apr_pool_t *p);

bool capi_signal_line_is_same(const capi_signal_line_t *a, const capi_signal_line_t *b);
const apr_array_header_t *capi_signal_line_signals(const capi_signal_line_t *line);
const char *capi_signal_line_kind(const capi_signal_line_t *line);

/* The line as it was written. */
const char *capi_signal_line_text(const capi_signal_line_t *line, apr_pool_t *p);

/* --- directives that add to lists (config_lists.c) --- */

const char *capi_set_url_parameters(cmd_parms *cmd, void *dir, int argc, char *const argv[]);
const char *capi_set_collect_allow(cmd_parms *cmd, void *dir, int argc, char *const argv[]);
const char *capi_set_consent_signal(cmd_parms *cmd, void *dir, int argc, char *const argv[]);
const char *capi_set_event(cmd_parms *cmd, void *dir, int argc, char *const argv[]);
const char *capi_set_match(cmd_parms *cmd, void *dir, int argc, char *const argv[]);
const char *capi_set_bind(cmd_parms *cmd, void *dir, int argc, char *const argv[]);

/* --- values of directives (config_values.c): NULL, or the message that stops configtest --- */

const char *capi_value_error(cmd_parms *cmd, const char *value, const char *mend);

/* The words of a line as one value, for messages. */
const char *capi_value_words(cmd_parms *cmd, int argc, char *const argv[]);

const char *capi_value_number(apr_int64_t *number, cmd_parms *cmd, const char *text,
                              apr_int64_t min, apr_int64_t max);
const char *capi_value_int(int *set, cmd_parms *cmd, const char *text, int min, int max);

/* One of two words, which set 0 or 1. */
const char *capi_value_choice(int *set, cmd_parms *cmd, const char *text, const char *zero,
                              const char *one);

const char *capi_value_path(const char **set, cmd_parms *cmd, const char *text);
const char *capi_value_file(const char **set, cmd_parms *cmd, const char *text, const char *mend);
/* One that may come later, made by others: its absence must not keep the shop from starting. Its
 * directory has to be there. */
const char *capi_value_later_file(const char **set, cmd_parms *cmd, const char *text,
                                  const char *mend);
const char *capi_value_account(const char **set, cmd_parms *cmd, const char *text);
const char *capi_value_url(apr_uri_t *uri, cmd_parms *cmd, const char *url, const char *example);
bool capi_value_is_loopback(const char *host);
bool capi_value_is_domain(const char *text);

#endif
