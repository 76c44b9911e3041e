"""The httpds that are compared: without the module, with it, and with an access log line for scale."""

from server import BROWSER, MODULES, Httpd

PHP = "<?php usleep(0); echo str_repeat('<p>A page of the shop.</p>', 80);"
RULE = "PinterestCapiEvent page_visit\n"
NO_RULE = "<Location /elsewhere>\nPinterestCapiEvent page_visit\n</Location>\n"
AUTO = "PinterestCapiConsentSignal auto\n"
LOG = (f"LoadModule log_config_module {MODULES}/mod_log_config.so\n"
       if (MODULES / "mod_log_config.so").exists() else "") + \
    'CustomLog {root}/access.log "%h %l %u %t \\"%r\\" %>s %b \\"%{{Referer}}i\\" \\"%{{User-Agent}}i\\""\n'
HEADERS = {"User-Agent": BROWSER, "Accept": "text/html", "X-Forwarded-For": "203.0.113.42",
           "Cookie": "PHPSESSID=0123456789abcdef0123456789"}

STATUS = "<Location /server-status>\nSetHandler server-status\n</Location>\n"

OFF = "module off"
NAMES = {OFF: {"module": False},
         "on, no rule here": {"conf": NO_RULE},
         "on, an event on every request": {"conf": RULE},
         "off, an access log line instead": {"module": False, "log": True}}


def make(name, api, php=None):
    options = dict(NAMES[name])
    has_log = options.pop("log", False)
    httpd = Httpd(mpm="event", php=php, api=api, **options)
    httpd.conf += STATUS
    if has_log:
        httpd.conf += LOG.format(root=httpd.root)
    httpd.write("page.html", "<!doctype html><title>x</title>" + "x" * 2000)
    httpd.write("page.php", PHP)
    return httpd
