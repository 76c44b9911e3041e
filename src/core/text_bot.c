/* User agents that are no shopper. */

#include "text.h"

#include <apr_lib.h>

#include <string.h>

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
    "node/",
    "node.js",
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

/* `bot` is part of a maker of telephones. */
static bool is_bot_word(const char *agent, const char *word)
{
    const char *at = strstr(agent, word);

    while (at && strcmp(word, "bot") == 0 && at - agent >= 2 && strncmp(at - 2, "cubot", 5) == 0) {
        at = strstr(at + 1, word);
    }
    return at != NULL;
}

bool capi_is_bot(const char *user_agent)
{
    char agent[AGENT_LOOKED_AT + 1];
    apr_size_t len = 0;

    for (; user_agent && user_agent[len] && len < AGENT_LOOKED_AT; len++) {
        agent[len] = (char)apr_tolower(user_agent[len]);
    }
    agent[len] = '\0';
    if (strspn(agent, " \t-") == len) {
        return true;
    }
    for (apr_size_t i = 0; i < sizeof(bot_starts) / sizeof(bot_starts[0]); i++) {
        if (strncmp(agent, bot_starts[i], strlen(bot_starts[i])) == 0) {
            return true;
        }
    }
    for (apr_size_t i = 0; i < sizeof(bot_words) / sizeof(bot_words[0]); i++) {
        if (is_bot_word(agent, bot_words[i])) {
            return true;
        }
    }
    return false;
}
