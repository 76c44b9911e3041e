/* Matches the patterns of numbering plans. Nothing is compiled and nothing is kept: a number is
 * short, there is one in an event at most, and so any thread may match without a lock. */

#include "match_phone_int.h"

#include <apr_lib.h>

#include <limits.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
    capi_phone_match_t *match;
    const char *pattern;
    bool whole;
} matching_t;

/* A round through a group, and where matching goes on behind the group. Rounds are a list on the
 * stack: each is alive as long as what follows it is being tried. */
typedef struct round_t {
    const char *group; /* behind its bracket */
    const char *rest;
    int min;
    int max;
    int count;
    int capture;
    const char *start;
    const struct round_t *outer;
} round_t;

static const char *match_sequence(const matching_t *m, const char *at, const char *s,
                                  const round_t *outer);

static bool is_end(char c)
{
    return c == '\0' || c == '|' || c == ')' || c == '>';
}

static const char *skip_atom(const char *at)
{
    if (*at == '[') {
        return strchr(at, ']') + 1;
    }
    if (*at == '(' || *at == '<') {
        at++;
        while (*at != ')' && *at != '>') {
            at = skip_atom(at);
        }
    }
    return at + 1;
}

static const char *next_alternative(const char *at)
{
    while (!is_end(*at)) {
        at = skip_atom(at);
    }
    return *at == '|' ? at + 1 : NULL;
}

static const char *read_repeat(int *min, int *max, const char *at)
{
    char *end;

    *min = *at == '?' || *at == '*' ? 0 : 1;
    *max = *at == '*' || *at == '+' ? INT_MAX : 1;
    if (*at == '{') {
        *min = (int)strtol(at + 1, &end, 10);
        *max = *end == ',' ? (int)strtol(end + 1, &end, 10) : *min;
        return end + 1;
    }
    return *at == '?' || *at == '*' || *at == '+' ? at + 1 : at;
}

static bool is_in_set(const char *set, char c)
{
    for (; *set != ']'; set++) {
        if (set[1] == '-' && set[2] != ']') {
            if (c >= set[0] && c <= set[2]) {
                return true;
            }
            set += 2;
        }
        else if (*set == c) {
            return true;
        }
    }
    return false;
}

static bool fits(const char *atom, char c)
{
    if (c == '\0') {
        return false;
    }
    if (*atom == '[') {
        return is_in_set(atom + 1, c);
    }
    return *atom == 'd' ? apr_isdigit(c) : *atom == c;
}

static const char *match_rounds(const matching_t *m, const round_t *done, const char *s)
{
    round_t next = *done;
    const char *end;

    next.count++;
    next.start = s;
    for (const char *at = done->group; at && done->count < done->max; at = next_alternative(at)) {
        end = match_sequence(m, at, s, &next);
        if (end) {
            return end;
        }
    }
    return done->count >= done->min ? match_sequence(m, done->rest, s, done->outer) : NULL;
}

/* At the end of a group's alternative, or of the pattern where `round` is NULL. */
static const char *leave_group(const matching_t *m, const char *s, const round_t *round)
{
    const char *end;
    const char *old_start = NULL;
    const char *old_end = NULL;

    if (!round) {
        return !m->whole || *s == '\0' ? s : NULL;
    }
    if (round->capture >= 0) {
        old_start = m->match->group[round->capture].start;
        old_end = m->match->group[round->capture].end;
        m->match->group[round->capture].start = round->start;
        m->match->group[round->capture].end = s;
    }
    /* A round that took nothing would be repeated for ever. */
    end = s == round->start ? match_sequence(m, round->rest, s, round->outer)
                            : match_rounds(m, round, s);
    if (!end && round->capture >= 0) {
        m->match->group[round->capture].start = old_start;
        m->match->group[round->capture].end = old_end;
    }
    return end;
}

static int count_captures(const char *from, const char *to)
{
    int count = 0;

    for (; from < to; from++) {
        count += *from == '<';
    }
    return count;
}

static const char *match_sequence(const matching_t *m, const char *at, const char *s,
                                  const round_t *outer)
{
    round_t group = {.group = at + 1, .capture = -1, .outer = outer};
    const char *end = NULL;
    int taken = 0;

    if (is_end(*at)) {
        return leave_group(m, s, outer);
    }
    if (*at == '$') {
        return *s ? NULL : match_sequence(m, at + 1, s, outer);
    }
    group.rest = read_repeat(&group.min, &group.max, skip_atom(at));
    if (*at == '(' || *at == '<') {
        group.capture = *at == '<' ? count_captures(m->pattern, at) : -1;
        return match_rounds(m, &group, s);
    }
    while (taken < group.max && fits(at, s[taken])) {
        taken++;
    }
    for (; taken >= group.min && !end; taken--) {
        end = match_sequence(m, group.rest, s + taken, outer);
    }
    return end;
}

bool capi_phone_match(capi_phone_match_t *match, const char *pattern, const char *subject,
                      bool whole)
{
    capi_phone_match_t ignored;
    matching_t m = {match ? match : &ignored, pattern, whole};

    memset(m.match, 0, sizeof(*m.match));
    m.match->groups = count_captures(pattern, pattern + strlen(pattern));
    for (const char *at = pattern; at && !m.match->end; at = next_alternative(at)) {
        m.match->end = match_sequence(&m, at, subject, NULL);
    }
    return m.match->end != NULL;
}
