/* Small pieces of HTML that several sections use. */

#include "piece.h"

void piece_icon(html_t *html, const char *name)
{
    html_put(html, "<svg class=\"icon\" aria-hidden=\"true\"><use href=\"#i-%s\"/></svg>", name);
}

void piece_badge(html_t *html, const char *state)
{
    html_put(html, "<span class=\"badge is-%s\">", state);
    piece_icon(html, state);
    html_put(html, "%s</span>", state);
}

void piece_fact(html_t *html, const char *name)
{
    html_put(html, "<div><dt>%s</dt><dd>", name);
}

void piece_fact_end(html_t *html)
{
    html_raw(html, "</dd></div>");
}
