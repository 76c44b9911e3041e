/* User agents that are no shopper. */

#include "text.h"

#include <pthread.h>
#include <stdint.h>
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
#define PAIRS       (1u << 2 * LETTER_BITS)
#define THREES      (1u << 3 * LETTER_BITS)

/* A bit for each three letters that a word begins with: hardly any place of a browser's agent has
 * them, and no word is shorter. Then the words that begin with two letters, as chains of places in
 * bot_words plus one. */
static uint64_t beginnings[THREES / 64];
static unsigned char first_of[PAIRS];
static unsigned char next_of[sizeof(bot_words) / sizeof(bot_words[0]) + 1];

_Static_assert(sizeof(bot_words) / sizeof(bot_words[0]) < 256, "places of words are bytes");

static void note_words(void)
{
    for (apr_size_t i = sizeof(bot_words) / sizeof(bot_words[0]); i > 0; i--) {
        const char *word = bot_words[i - 1];
        unsigned int pair = PAIR(word[0], word[1]);
        unsigned int three = pair << LETTER_BITS | LETTER(word[2]);

        next_of[i] = first_of[pair];
        first_of[pair] = (unsigned char)i;
        beginnings[three / 64] |= UINT64_C(1) << three % 64;
    }
}

/* `bot` is part of a maker of telephones. */
static bool is_bot_word(const char *agent, const char *at, const char *word)
{
    return strncasecmp(at, word, strlen(word)) == 0 &&
           !(strcmp(word, "bot") == 0 && at - agent >= 2 && strncasecmp(at - 2, "cubot", 5) == 0);
}

static bool has_word_at(const char *agent, const char *at)
{
    for (unsigned int i = first_of[PAIR(at[0], at[1])]; i > 0; i = next_of[i]) {
        if (is_bot_word(agent, at, bot_words[i - 1])) {
            return true;
        }
    }
    return false;
}

static bool has_bot_word(const char *agent)
{
    unsigned int three = 0;

    for (int at = 0; at < AGENT_LOOKED_AT && agent[at]; at++) {
        three = (three << LETTER_BITS | LETTER(agent[at])) % THREES;
        if (at >= 2 && (beginnings[three / 64] >> three % 64 & 1) &&
            has_word_at(agent, agent + at - 2)) {
            return true;
        }
    }
    return false;
}

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

    pthread_once(&once, note_words);
    return !user_agent || user_agent[strspn(user_agent, " \t-")] == '\0' ||
           begins_like_bot(user_agent) || has_bot_word(user_agent);
}
