"""What the module costs a request: throughput and p99 as ratios to httpd without it, next to an
access log line for scale. The variants take turns, so that a noisy machine hits all of them."""

import re
import shutil
import statistics
import subprocess
import sys

from server import BROWSER, BUILD, MODULES, TOP, Httpd

PHP = "<?php usleep(0); echo str_repeat('<p>A page of the shop.</p>', 80);"
RULE = "PinterestCapiEvent page_visit\n"
NO_RULE = "<Location /elsewhere>\nPinterestCapiEvent page_visit\n</Location>\n"
LOG = (f"LoadModule log_config_module {MODULES}/mod_log_config.so\n"
       if (MODULES / "mod_log_config.so").exists() else "") + \
    'CustomLog {root}/access.log "%h %l %u %t \\"%r\\" %>s %b \\"%{{Referer}}i\\" \\"%{{User-Agent}}i\\""\n'


class Variant:
    def __init__(self, name, api, **options):
        self.name = name
        log = options.pop("log", False)
        self.httpd = Httpd(mpm="event", php=options.pop("php", None), api=api, **options)
        if log:
            self.httpd.conf += LOG.format(root=self.httpd.root)
        self.httpd.write("page.html", "<!doctype html><title>x</title>" + "x" * 2000)
        self.httpd.write("page.php", PHP)
        self.httpd.start()
        self.rate, self.p99 = [], []

    def measure(self, path, seconds):
        out = subprocess.check_output(
            ["wrk", "-t1", "-c16", f"-d{seconds}s", "--latency", "-H", f"User-Agent: {BROWSER}",
             "-H", "Accept: text/html", "-H", "X-Forwarded-For: 203.0.113.42",
             "-H", "Cookie: PHPSESSID=0123456789abcdef0123456789",
             f"http://127.0.0.1:{self.httpd.port}{path}"], text=True)
        if "Non-2xx" in out:
            raise SystemExit(f"{self.name}: errors under load\n{out}")
        self.rate.append(float(re.search(r"Requests/sec:\s+([\d.]+)", out)[1]))
        value, unit = re.search(r"99%\s+([\d.]+)(us|ms|s)", out).groups()
        self.p99.append(float(value) * {"us": 1e-3, "ms": 1, "s": 1e3}[unit])


def ratios(variant, base, field):
    pairs = [a / b for a, b in zip(getattr(variant, field), getattr(base, field))]
    return statistics.median(pairs), min(pairs), max(pairs)


def compare(api, path, php, pairs, seconds):
    variants = [Variant("module off", api, module=False, php=php),
                Variant("on, no rule here", api, conf=NO_RULE, php=php),
                Variant("on, an event on every request", api, conf=RULE, php=php),
                Variant("off, an access log line instead", api, module=False, log=True, php=php)]
    try:
        for variant in variants:
            variant.measure(path, 1)
            variant.rate.clear()
            variant.p99.clear()
        for turn in range(pairs):
            for variant in variants if turn % 2 else reversed(variants):
                variant.measure(path, seconds)
        base = variants[0]
        for variant in variants:
            rate, low, high = ratios(variant, base, "rate")
            late, late_low, late_high = ratios(variant, base, "p99")
            yield (variant.name, statistics.median(variant.rate), rate, low, high, late, late_low,
                   late_high)
    finally:
        for variant in variants:
            variant.httpd.close()


def main(api, pairs=8, seconds=3):
    if not shutil.which("wrk"):
        print("wrk is not installed: request overhead is left out", file=sys.stderr)
        return
    for title, path, php in (("static 2 KB file", "/page.html", None),
                             ("PHP page (php-fpm)", "/page.php", "fpm")):
        print(f"\n{title}: {pairs} pairs of {seconds} s, 16 connections, event MPM\n")
        print(f"| {'variant':32} | req/s | throughput (min–max) | p99 (min–max) |")
        print("| --- | ---: | ---: | ---: |")
        base = None
        for name, rate, ratio, low, high, late, late_low, late_high in \
                compare(api, path, php, pairs, seconds):
            base = base or rate
            print(f"| {name:32} | {rate:.0f} | {ratio:.3f} ({low:.3f}–{high:.3f}) "
                  f"| {late:.2f} ({late_low:.2f}–{late_high:.2f}) |", flush=True)
        spent = float(subprocess.check_output([str(BUILD / "tests" / "consent_bench"),
                                               str(TOP / "conf" / "cmp")], text=True))
        print(f"\nReading consent with `auto` from 2 KB of cookies: {spent:.1f} µs, "
              f"{spent * base / 1e4 / 2:.1f} % of such a request's two processors")
