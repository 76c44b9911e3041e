/* Lines in error_log, in httpd's own format. */

#include "sender.h"

#include <stdarg.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#define LINE_MAX_LEN 2048

static int threshold = CAPI_LOG_INFO;

void capi_log_init(int level)
{
    threshold = level;
}

static const char *level_name(int level)
{
    static const char *const names[] = {"error", "warn", "notice", "info", "debug"};

    return names[level - CAPI_LOG_ERR];
}

/* [Mon Nov 23 21:07:00.123456 2026] [pinterest_capi:notice] [pid 4711] */
static int write_prefix(char *line, size_t size, int level)
{
    struct timespec now;
    struct tm local;
    char day[32];

    clock_gettime(CLOCK_REALTIME, &now);
    localtime_r(&now.tv_sec, &local);
    strftime(day, sizeof(day), "%a %b %d %H:%M:%S", &local);
    return snprintf(line, size, "[%s.%06ld %d] [pinterest_capi:%s] [pid %ld] ", day,
                    now.tv_nsec / 1000, local.tm_year + 1900, level_name(level), (long)getpid());
}

void capi_log(int level, const char *format, ...)
{
    char line[LINE_MAX_LEN];
    va_list args;
    int start, len, i;

    if (level > threshold) {
        return;
    }
    start = write_prefix(line, sizeof(line), level);
    va_start(args, format);
    len = start + vsnprintf(line + start, sizeof(line) - (size_t)start - 1, format, args);
    va_end(args);
    if (len > LINE_MAX_LEN - 2) {
        len = LINE_MAX_LEN - 2;
    }
    for (i = start; i < len; i++) {
        if ((unsigned char)line[i] < 0x20 || line[i] == 0x7f) {
            line[i] = '?';
        }
    }
    line[len++] = '\n';
    /* One write, so that lines of httpd and sender do not mix. Nobody could be told of a failure. */
    if (write(STDERR_FILENO, line, (size_t)len) < 0) {
        return;
    }
}
