#include "config_int.h"

#include "consent/cmp.h"
#include "consent/decision.h"
#include "consent/tcf.h"

#include <apr_lib.h>
#include <apr_strings.h>

APLOG_USE_MODULE(pinterest_capi);

/* PinterestCapiConsentSignal: a line is read into signals when the whole configuration is known,
 * because the files about consent managers lie beside the sender, whose path is a directive too. */

struct capi_signal_line_t {
    const char *kind;
    int argc;
    char *const *argv;           /* behind the kind */
    apr_array_header_t *signals; /* capi_signal_t; made by capi_signal_line_load */
};

typedef struct {
    capi_signal_line_t *line;
    const char *folder; /* of the consent managers' files */
    const char *message;
    apr_pool_t *p;
} reader_t;

static capi_signal_t *add(reader_t *reader, capi_signal_kind_t kind, const char *label)
{
    capi_signal_t *signal = apr_array_push(reader->line->signals);

    memset(signal, 0, sizeof(*signal));
    signal->kind = kind;
    signal->label = label;
    return signal;
}

static void refuse(reader_t *reader, const char *message)
{
    if (!reader->message) {
        reader->message = message;
    }
}

/* --- one kind of line each --- */

/* cmp NAME [PARAM=VALUE]... */
static void read_cmp(reader_t *reader)
{
    apr_table_t *params = apr_table_make(reader->p, 2);
    capi_signal_t *signal;
    const char *message = NULL;
    int i;

    if (reader->line->argc < 1) {
        refuse(reader, "cmp needs the name of a consent manager, for example \"cmp onetrust\"");
        return;
    }
    for (i = 1; i < reader->line->argc; i++) {
        const char *equals = strchr(reader->line->argv[i], '=');

        if (!equals) {
            refuse(reader,
                   apr_psprintf(reader->p, "'%s' is no PARAM=VALUE", reader->line->argv[i]));
            return;
        }
        apr_table_setn(params,
                       apr_pstrmemdup(reader->p, reader->line->argv[i],
                                      (apr_size_t)(equals - reader->line->argv[i])),
                       equals + 1);
    }
    signal =
        add(reader, CAPI_SIGNAL_CMP, apr_pstrcat(reader->p, "cmp ", reader->line->argv[0], NULL));
    if (capi_cmp_load(&signal->cmp, &message, reader->folder, reader->line->argv[0], params,
                      reader->p) != APR_SUCCESS) {
        refuse(reader, message);
    }
}

/* purposes=1,3,4,7 as bits; 0 where it is no such list. */
static uint32_t read_purposes(const char *list)
{
    uint32_t purposes = 0;

    while (*list) {
        char *end;
        long number = strtol(list, &end, 10);

        if (end == list || number < 1 || number > 24 || (*end && *end != ',')) {
            return 0;
        }
        purposes |= (uint32_t)1 << (number - 1);
        list = *end ? end + 1 : end;
    }
    return purposes;
}

/* tcf [purposes=…] [cookie=NAME], gpp [cookie=NAME] */
static void read_string_of_iab(reader_t *reader, capi_signal_kind_t kind)
{
    capi_signal_t *signal = add(reader, kind, reader->line->kind);
    int i;

    for (i = 0; i < reader->line->argc; i++) {
        const char *word = reader->line->argv[i];

        if (strncmp(word, "cookie=", 7) == 0 && word[7]) {
            signal->cookie = word + 7;
        }
        else if (kind == CAPI_SIGNAL_TCF && strncmp(word, "purposes=", 9) == 0 &&
                 read_purposes(word + 9)) {
            signal->purposes = read_purposes(word + 9);
        }
        else {
            refuse(reader, apr_psprintf(reader->p, "'%s' is no option of %s: write %scookie=NAME",
                                        word, reader->line->kind,
                                        kind == CAPI_SIGNAL_TCF ? "purposes=1,3,4,7 or " : ""));
        }
    }
}

static void read_gpc(reader_t *reader)
{
    capi_signal_t *signal = add(reader, CAPI_SIGNAL_GPC, "gpc");

    if (reader->line->argc > 0) {
        signal->is_strict = strcmp(reader->line->argv[0], "strict") == 0;
        if (!signal->is_strict || reader->line->argc > 1) {
            refuse(reader, "gpc takes one option, strict");
        }
    }
}

static capi_pattern_t *read_pattern(reader_t *reader, const char *text)
{
    capi_pattern_t *pattern = NULL;
    const char *message = NULL;

    if (capi_pattern_compile(&pattern, &message, text, reader->p) != APR_SUCCESS) {
        refuse(reader, apr_psprintf(reader->p, "'%s': %s", text, message));
    }
    return pattern;
}

/* cookie NAME GRANT-REGEX [DENY-REGEX] */
static void read_cookie(reader_t *reader)
{
    char *const *argv = reader->line->argv;
    capi_signal_t *signal;

    if (reader->line->argc < 2 || reader->line->argc > 3) {
        refuse(reader, "cookie takes NAME GRANT-REGEX [DENY-REGEX]");
        return;
    }
    signal = add(reader, CAPI_SIGNAL_COOKIE, apr_pstrcat(reader->p, "cookie ", argv[0], NULL));
    signal->cookie = argv[0];
    signal->grant = read_pattern(reader, argv[1]);
    signal->deny = reader->line->argc > 2 ? read_pattern(reader, argv[2]) : NULL;
}

static void read_env(reader_t *reader)
{
    if (reader->line->argc != 1) {
        refuse(reader, "env takes the NAME of one variable");
        return;
    }
    add(reader, CAPI_SIGNAL_ENV, apr_pstrcat(reader->p, "env ", reader->line->argv[0], NULL))
        ->cookie = reader->line->argv[0];
}

/* Every consent manager that needs no parameter, and what else needs none. */
static void read_auto(reader_t *reader)
{
    apr_array_header_t *names;
    int i;

    if (reader->line->argc > 0) {
        refuse(reader, "auto takes no option");
        return;
    }
    if (capi_cmp_list(&names, reader->folder, reader->p) != APR_SUCCESS) {
        refuse(reader, apr_psprintf(reader->p,
                                    "cannot read %s, where the consent managers' files "
                                    "are: install them beside the sender",
                                    reader->folder));
        return;
    }
    for (i = 0; i < names->nelts; i++) {
        const char *name = APR_ARRAY_IDX(names, i, const char *);
        const capi_cmp_t *cmp;
        const char *message = NULL;
        apr_status_t rv = capi_cmp_load(&cmp, &message, reader->folder, name, NULL, reader->p);

        if (rv == APR_SUCCESS) {
            add(reader, CAPI_SIGNAL_CMP, apr_pstrcat(reader->p, "cmp ", name, NULL))->cmp = cmp;
        }
        else if (!APR_STATUS_IS_INCOMPLETE(rv)) {
            refuse(reader, message);
        }
    }
    add(reader, CAPI_SIGNAL_TCF, "tcf");
    add(reader, CAPI_SIGNAL_GPP, "gpp");
    add(reader, CAPI_SIGNAL_USP, "usprivacy");
    add(reader, CAPI_SIGNAL_GPC, "gpc");
    add(reader, CAPI_SIGNAL_BRIDGE, "bridge");
}

static void read_usprivacy(reader_t *reader)
{
    add(reader, CAPI_SIGNAL_USP, "usprivacy");
    if (reader->line->argc > 0) {
        refuse(reader, "usprivacy takes no option");
    }
}

static void read_tcf(reader_t *reader)
{
    read_string_of_iab(reader, CAPI_SIGNAL_TCF);
}

static void read_gpp(reader_t *reader)
{
    read_string_of_iab(reader, CAPI_SIGNAL_GPP);
}

static const struct {
    const char *word;
    void (*read)(reader_t *reader);
} kinds[] = {
    {"cmp", read_cmp}, {"tcf", read_tcf}, {"gpp", read_gpp},   {"usprivacy", read_usprivacy},
    {"gpc", read_gpc}, {"env", read_env}, {"auto", read_auto}, {"cookie", read_cookie},
};

/* --- the line --- */

capi_signal_line_t *capi_signal_line_make(const char **message, cmd_parms *cmd, int argc,
                                          char *const argv[])
{
    capi_signal_line_t *line = apr_pcalloc(cmd->pool, sizeof(*line));
    size_t i;

    for (i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        if (ap_cstr_casecmp(argv[0], kinds[i].word) == 0) {
            line->kind = kinds[i].word;
        }
    }
    if (!line->kind) {
        *message = capi_value_error(cmd, argv[0],
                                    "is no signal of consent: write auto, cmp, tcf, gpp, "
                                    "usprivacy, gpc, cookie or env");
        return NULL;
    }
    line->argc = argc - 1;
    /* httpd's array is gone after the call */
    line->argv = apr_pmemdup(cmd->pool, argv, sizeof(*argv) * (apr_size_t)argc);
    line->argv++;
    return line;
}

const char *capi_signal_line_load(capi_signal_line_t *line, const char *folder, apr_pool_t *p)
{
    reader_t reader = {.line = line, .folder = folder, .p = p};
    size_t i;

    if (line->signals) {
        return NULL;
    }
    line->signals = apr_array_make(p, 4, sizeof(capi_signal_t));
    for (i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        if (line->kind == kinds[i].word) {
            kinds[i].read(&reader);
        }
    }
    if (!reader.message) {
        capi_signals_prepare(line->signals);
    }
    return reader.message;
}

bool capi_signal_line_is_same(const capi_signal_line_t *a, const capi_signal_line_t *b)
{
    int i;

    for (i = 0; a->argc == b->argc && i < a->argc; i++) {
        if (strcmp(a->argv[i], b->argv[i]) != 0) {
            return false;
        }
    }
    return a->kind == b->kind && a->argc == b->argc;
}

const apr_array_header_t *capi_signal_line_signals(const capi_signal_line_t *line)
{
    return line->signals;
}

const char *capi_signal_line_kind(const capi_signal_line_t *line)
{
    return line->kind;
}

const char *capi_signal_line_text(const capi_signal_line_t *line, apr_pool_t *p)
{
    const char *text = line->kind;
    int i;

    for (i = 0; i < line->argc; i++) {
        text = apr_pstrcat(p, text, " ", line->argv[i], NULL);
    }
    return text;
}
