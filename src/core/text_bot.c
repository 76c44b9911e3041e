/* User agents that are no shopper. */

#include "text.h"

#include <pthread.h>
#include <string.h>
#include <strings.h>

#define AGENT_LOOKED_AT 512 /* crawlers and libraries say so early */

/* Anywhere in the agent, lower case. The commonest come first. */
static const char *const bot_words[] = {"bot",
                                        "crawl",
                                        "spider",
                                        "headless",
                                        "slurp",
                                        "archiver",
                                        "scrape",
                                        "fetcher",
                                        "preview",
                                        "lighthouse",
                                        "pagespeed",
                                        "gtmetrix",
                                        "ptst/",
                                        "phantomjs",
                                        "puppeteer",
                                        "playwright",
                                        "selenium",
                                        "facebookexternalhit",
                                        "meta-external",
                                        "mediapartners-google",
                                        "apis-google",
                                        "googleother",
                                        "google-inspectiontool",
                                        "google-read-aloud",
                                        "google favicon",
                                        "google-safety",
                                        "googleweblight",
                                        "yandex.com/",
                                        "sogou",
                                        "bingpreview",
                                        "chatgpt-user",
                                        "anthropic-ai",
                                        "claude-user",
                                        "claude-web",
                                        "perplexity-user",
                                        "cohere-ai",
                                        "ahrefs",
                                        "semrush",
                                        "screaming frog",
                                        "censysinspect",
                                        "internet-measurement",
                                        "zgrab",
                                        "nuclei",
                                        "nikto",
                                        "sqlmap",
                                        "masscan",
                                        "nmap",
                                        "httrack",
                                        "validator",
                                        "pingdom",
                                        "statuscake",
                                        "site24x7",
                                        "uptime",
                                        "datadog",
                                        "newrelicpinger",
                                        "zabbix",
                                        "nagios",
                                        "check_http",
                                        "catchpoint",
                                        "dareboost",
                                        "synthetic",
                                        "thousandeyes",
                                        "nodeping",
                                        "updown.io",
                                        "monitor",
                                        "healthcheck",
                                        "health-check",
                                        "healthchecker",
                                        "kube-probe",
                                        "googlehc",
                                        "jetpack",
                                        "wp rocket",
                                        "wp-rocket",
                                        "feedburner",
                                        "feedly",
                                        "inoreader",
                                        "libwww-perl",
                                        "www-mechanize",
                                        "python-requests",
                                        "python-urllib",
                                        "python-httpx",
                                        "go-http-client",
                                        "apache-httpclient",
                                        "okhttp",
                                        "axios/",
                                        "node-fetch",
                                        "guzzlehttp",
                                        "postmanruntime",
                                        "insomnia/",
                                        "httpie/",
                                        "winhttp",
                                        "reactornetty",
                                        "httpunit",
                                        "jakarta",
                                        "symfony httpclient",
                                        "http_request2",
                                        "libcurl",
                                        "http client",
                                        "httpclient"};

/* At the start only: short words that also turn up inside the agents of browsers and apps. */
static const char *const bot_starts[] = {
    "curl/",
    "wget/",
    "java/",
    "php/",
    "php-",
    "perl/",
    "ruby",
    "python/",
    "node",
    "undici",
    "got/",
    "got (",
    "got ",
    "dart/",
    "deno/",
    "bun/",
    "rest-client/",
    "faraday",
    "typhoeus",
    "aiohttp/",
    "httpx/",
    "scrapy/",
    "lua-resty",
    "wordpress/",
    "woocommerce",
    "shopware",
    "magento",
    "opencart",
    "prestashop",
    "drupal",
    "typo3",
    "joomla",
    "whatsapp/",
    "skype",
    "apachebench",
    "ab/",
    "wrk",
    "siege/",
    "k6/",
    "locust",
    "jmeter",
    "hey/",
    "vegeta",
    "restsharp/",
    "fasthttp",
    "reqwest/",
    "hyper/",
    "ureq/",
    "varnish",
    "prometheus",
    "blackbox",
    "monit/",
    "checkly",
    "freshping",
    "nginx",
    "haproxy",
    "elb-",
    "amazon cloudfront",
    "amazon-route53",
    "cloudflare-",
    "apache/",
    "w3c_",
    "lynx/",
    "netcraft",
    "expanse",
    "paloalto",
};

/* Five bits tell the letters apart, of either case; what else falls together with one costs a
 * comparison. */
#define LETTER_BITS 5
#define LETTER(c)   ((unsigned int)(c) & ((1u << LETTER_BITS) - 1))
#define PAIR(a, b)  (LETTER(a) << LETTER_BITS | LETTER(b))

/* The words that begin with two letters, as chains of places in bot_words plus one: hardly any place
 * of a browser's agent begins one. */
static unsigned char first_of[1u << 2 * LETTER_BITS];
static unsigned char next_of[sizeof(bot_words) / sizeof(bot_words[0]) + 1];

static void chain_words(void)
{
    for (apr_size_t i = sizeof(bot_words) / sizeof(bot_words[0]); i > 0; i--) {
        unsigned char *first = &first_of[PAIR(bot_words[i - 1][0], bot_words[i - 1][1])];

        next_of[i] = *first;
        *first = (unsigned char)i;
    }
}

/* `bot` is part of a maker of telephones. */
static bool is_bot_word(const char *agent, const char *at, const char *word)
{
    return strncasecmp(at, word, strlen(word)) == 0 &&
           !(strcmp(word, "bot") == 0 && at - agent >= 2 && strncasecmp(at - 2, "cubot", 5) == 0);
}

/* The third letter is asked first: no word is shorter. */
static bool has_bot_word(const char *agent)
{
    for (const char *at = agent; at[0] && at[1] && at - agent < AGENT_LOOKED_AT; at++) {
        for (unsigned int i = first_of[PAIR(at[0], at[1])]; i > 0; i = next_of[i]) {
            const char *word = bot_words[i - 1];

            if (LETTER(word[2]) == LETTER(at[2]) && is_bot_word(agent, at, word)) {
                return true;
            }
        }
    }
    return false;
}

_Static_assert(sizeof(bot_words) / sizeof(bot_words[0]) < 256, "places of words are bytes");

static bool begins_like_bot(const char *agent)
{
    for (apr_size_t i = 0; i < sizeof(bot_starts) / sizeof(bot_starts[0]); i++) {
        if (LETTER(bot_starts[i][0]) == LETTER(agent[0]) &&
            strncasecmp(agent, bot_starts[i], strlen(bot_starts[i])) == 0) {
            return true;
        }
    }
    return false;
}

bool capi_is_bot(const char *user_agent)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    pthread_once(&once, chain_words);
    return !user_agent || user_agent[strspn(user_agent, " \t-")] == '\0' ||
           begins_like_bot(user_agent) || has_bot_word(user_agent);
}
