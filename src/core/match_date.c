/* Birthdays, as forms and databases write them. */

#include "match_int.h"

#include <apr_lib.h>
#include <apr_strings.h>

#include <string.h>
#include <time.h>

#define OLDEST_YEAR 1880

static bool is_plausible(int year, int month, int day)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool is_leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    time_t now = time(NULL);
    struct tm today;

    if (year < OLDEST_YEAR || !gmtime_r(&now, &today) || year > today.tm_year + 1900 || month < 1 ||
        month > 12 || day < 1) {
        return false;
    }
    return day <= days[month - 1] + (month == 2 && is_leap);
}

/* Up to three numbers with one and the same separator; a time of day behind them does not count. */
typedef struct {
    int number[3];
    int width[3];
    char separator;
} numbers_t;

static bool read_numbers(numbers_t *numbers, const char *text)
{
    *numbers = (numbers_t){{0, 0, 0}, {0, 0, 0}, '\0'};
    for (int i = 0; i < 3; i++) {
        while (apr_isdigit(*text)) {
            if (numbers->width[i] == 8) {
                return false;
            }
            numbers->number[i] = numbers->number[i] * 10 + (*text++ - '0');
            numbers->width[i]++;
        }
        if (numbers->width[i] == 0) {
            return false;
        }
        if (*text == '\0' || *text == 't' || *text == ' ') {
            return i == 0 ? *text == '\0' : i == 2;
        }
        if (i == 2 || !strchr("-/.", *text) || (i > 0 && *text != numbers->separator)) {
            return false;
        }
        numbers->separator = *text++;
    }
    return false;
}

/* 12/26/1997, 26.12.1997: dots mean day first; with slashes and dashes only a number above 12, or
 * both the same, tells day from month. */
static bool order_day_and_month(int *month, int *day, const numbers_t *numbers)
{
    int first = numbers->number[0];
    int second = numbers->number[1];

    if (numbers->separator != '.' && first <= 12 && second <= 12 && first != second) {
        return false;
    }
    *day = numbers->separator == '.' || first > 12 ? first : second;
    *month = numbers->separator == '.' || first > 12 ? second : first;
    return true;
}

apr_status_t capi_match_birthdate(const char **normal, const char *folded, apr_pool_t *p)
{
    numbers_t numbers;
    int year;
    int month;
    int day;

    if (!read_numbers(&numbers, folded)) {
        return APR_EINVAL;
    }
    if (numbers.width[0] == 8 && !numbers.separator) {
        year = numbers.number[0] / 10000;
        month = numbers.number[0] / 100 % 100;
        day = numbers.number[0] % 100;
    }
    else if (numbers.width[0] == 4 && numbers.width[1] <= 2 && numbers.width[2] <= 2) {
        year = numbers.number[0];
        month = numbers.number[1];
        day = numbers.number[2];
    }
    else if (numbers.width[2] == 4 && numbers.width[0] <= 2 && numbers.width[1] <= 2) {
        year = numbers.number[2];
        if (!order_day_and_month(&month, &day, &numbers)) {
            return APR_EINVAL;
        }
    }
    else {
        return APR_EINVAL;
    }
    if (!is_plausible(year, month, day)) {
        return APR_EINVAL;
    }
    *normal = apr_psprintf(p, "%04d%02d%02d", year, month, day);
    return APR_SUCCESS;
}
