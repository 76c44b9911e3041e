/* What somebody may do about an account or a person, and who did what. Forms are shown only where
 * they would be answered. */

#include "model.h"
#include "page.h"

#include <string.h>

/* --- one account --- */

/* A row: what the button beside it does, in a sentence. */
static void begin_row(html_t *html, const char *title)
{
    html_put(html, "<li><div><strong>%s</strong><span class=\"note\">", title);
}

static void end_row(html_t *html, const forms_t *forms, capi_ask_kind_t kind, const json_t *account,
                    const char *look, const char *words)
{
    html_raw(html, "</span></div>");
    forms_button(html, forms, kind, model_number(account, "id"), 0, look, words,
                 model_text(account, "account"));
    html_raw(html, "</li>");
}

static void put_pause(html_t *html, const forms_t *forms, const json_t *account)
{
    if (model_has(account, "paused")) {
        begin_row(html, "Nothing goes out");
        html_put(html, "Paused by %s. What waits is sent when you resume.",
                 model_text(json_object_get(account, "paused"), "by"));
        end_row(html, forms, CAPI_ASK_RESUME, account, "", "Resume");
        return;
    }
    begin_row(html, "Let nothing go out for a while");
    html_raw(html, "Events are kept and go out when you resume.");
    end_row(html, forms, CAPI_ASK_PAUSE, account, "quiet", "Pause");
}

static void put_test(html_t *html, const forms_t *forms, const json_t *account)
{
    begin_row(html, "See whether Pinterest answers");
    html_raw(html,
             "A test event with the account\xe2\x80\x99s own token; Pinterest counts nothing.");
    end_row(html, forms, CAPI_ASK_TEST, account, "quiet", "Send a test event");
}

static void put_try(html_t *html, const forms_t *forms, const json_t *account)
{
    json_int_t waiting = model_number(account, "waiting");

    if (waiting == 0 || model_has(account, "paused")) {
        return;
    }
    begin_row(html, "Send what waits");
    html_count(html, waiting);
    html_raw(html, waiting == 1 ? " event waits for its turn." : " events wait for their turn.");
    end_row(html, forms, CAPI_ASK_TRY, account, "quiet", "Try now");
}

static void put_retry(html_t *html, const forms_t *forms, const json_t *account)
{
    json_int_t kept = model_number(account, "kept");

    if (kept == 0) {
        return;
    }
    begin_row(html, "Send rejected events again");
    html_count(html, kept);
    html_raw(html, kept == CAPI_REPORT_KEPT_MAX ? " or more" : "");
    html_raw(html, kept == 1 ? " is kept for 7 days; it goes under its own id."
                             : " are kept for 7 days; each goes under its own id.");
    end_row(html, forms, CAPI_ASK_RETRY, account, "quiet", "Send again");
}

static void put_account(html_t *html, const forms_t *forms, const json_t *account)
{
    html_put(html,
             "<article class=\"card\"><header><div><h3>Ad account%s</h3>"
             "<p class=\"measure mono\">%s</p></div></header><ul class=\"acts\">",
             model_is(account, "test") ? ", test mode" : "", model_text(account, "account"));
    put_test(html, forms, account);
    put_try(html, forms, account);
    put_retry(html, forms, account);
    put_pause(html, forms, account);
    html_raw(html, "</ul></article>");
}

/* --- a person --- */

static void put_forget(html_t *html, const forms_t *forms)
{
    html_raw(html,
             "<article class=\"card forget\"><header><div><h3>Forget a person</h3></div>"
             "</header><p>Erases what is kept here of one shopper: their visits, and events "
             "that have not been settled. What Pinterest has already is Pinterest\xe2\x80\x99s"
             " to erase.</p>");
    forms_begin(html, forms, CAPI_ASK_FORGET, 0, 0);
    html_raw(html, "<label for=\"person\">E-mail address or phone number</label>"
                   "<div class=\"buttons\"><input id=\"person\" name=\"person\" type=\"text\" "
                   "required maxlength=\"254\" autocomplete=\"off\" spellcheck=\"false\" "
                   "aria-describedby=\"person-hint\">"
                   "<button type=\"submit\" class=\"danger\">Forget</button></div>"
                   "<p class=\"note\" id=\"person-hint\">A phone number with its country code: "
                   "+49 30 1234567. It is hashed at once and written nowhere.</p>");
    forms_end(html);
    html_raw(html, "</article>");
}

/* --- what was done --- */

static const char *words_of(const json_t *entry)
{
    static const char *const words[CAPI_ASK_COUNT] = {
        [CAPI_ASK_TEST] = "Test event",  [CAPI_ASK_TRY] = "Try now",
        [CAPI_ASK_RETRY] = "Send again", [CAPI_ASK_PAUSE] = "Pause",
        [CAPI_ASK_RESUME] = "Resume",    [CAPI_ASK_FORGET] = "Forget a person"};
    capi_ask_kind_t kind;

    return capi_ask_kind(&kind, model_text(entry, "kind")) ? words[kind] : "Unknown";
}

/* The state whose icon stands for it, and its word. */
static const char *look_of(const json_t *entry, const char **word)
{
    if (!model_has(entry, "done_at")) {
        *word = "asked";
        return "queued";
    }
    *word = model_is(entry, "is_well") ? "done" : "failed";
    return model_is(entry, "is_well") ? "delivered" : "rejected";
}

static void put_about(html_t *html, const json_t *entry, const char *root)
{
    if (model_has(entry, "account")) {
        html_put(html, "account <code>%s</code>%s", model_text(entry, "account"),
                 model_is(entry, "test") ? " (test)" : "");
    }
    if (model_has(entry, "event")) {
        html_put(html, "<a href=\"%sdeliveries/%ld\">delivery %ld</a>", root,
                 (long)model_number(entry, "event"), (long)model_number(entry, "event"));
    }
}

static void put_entry(html_t *html, const json_t *entry, const char *root)
{
    const char *word;
    const char *look = look_of(entry, &word);

    html_raw(html, "<tr><th scope=\"row\">");
    html_time_short(html, model_number(entry, "asked_at"));
    html_put(html, "</th><td>%s</td><td>%s <span class=\"note\">", model_text(entry, "asked_by"),
             words_of(entry));
    put_about(html, entry, root);
    html_put(html, "</span></td><td><span class=\"badge is-%s\">", look);
    piece_icon(html, look);
    html_put(html, "%s</span></td><td class=\"message\">%s</td></tr>\n", word,
             model_has(entry, "outcome") ? model_text(entry, "outcome")
                                         : "The sender has not done it yet.");
}

static void put_log(html_t *html, const json_t *log, const char *root)
{
    apr_size_t i;

    if (json_array_size(log) == 0) {
        return;
    }
    html_raw(html,
             "<h3 class=\"sub\" id=\"log\">Action log</h3><div class=\"scroll\" role=\"group\" "
             "aria-labelledby=\"log\" tabindex=\"0\"><table class=\"log\"><thead><tr>"
             "<th scope=\"col\">When</th><th scope=\"col\">Who</th><th scope=\"col\">What</th>"
             "<th scope=\"col\">State</th><th scope=\"col\">What came of it</th></tr></thead>"
             "<tbody>\n");
    for (i = 0; i < json_array_size(log); i++) {
        put_entry(html, json_array_get(log, i), root);
    }
    html_raw(html, "</tbody></table></div>");
}

void section_actions(html_t *html, const forms_t *forms, const json_t *actions)
{
    const json_t *accounts = json_object_get(actions, "accounts");
    const json_t *log = json_object_get(actions, "log");
    apr_size_t i;

    if (!forms->is_allowed && json_array_size(log) == 0) {
        return;
    }
    html_raw(html, "<section aria-labelledby=\"actions\"><h2 id=\"actions\">Actions</h2>");
    if (forms->is_allowed) {
        html_raw(html, "<div class=\"cards\">");
        for (i = 0; i < json_array_size(accounts); i++) {
            put_account(html, forms, json_array_get(accounts, i));
        }
        put_forget(html, forms);
        html_raw(html, "</div>");
    }
    put_log(html, log, forms->request->root);
    html_raw(html, "</section>\n");
}

void section_asked(html_t *html, const cgi_request_t *request, const json_t *asked)
{
    bool is_done = model_has(asked, "done_at");
    const char *word;
    const char *look;

    if (!json_is_object(asked)) {
        return;
    }
    look = look_of(asked, &word);
    html_put(html, "<section class=\"asked is-%s\" role=\"status\"%s>", look,
             is_done ? "" : " data-pending");
    piece_icon(html, look);
    html_put(html, "<div><p><strong>%s: %s.</strong> ", words_of(asked), word);
    html_put(html, "%s</p></div>",
             is_done ? model_text(asked, "outcome") : "Waiting for the sender.");
    if (is_done) {
        html_raw(html, "<a href=\"?\">Close</a>");
    }
    else {
        html_put(html, "<a href=\"?asked=%s\">Look again</a>", request->asked);
    }
    html_raw(html, "</section>\n");
}
