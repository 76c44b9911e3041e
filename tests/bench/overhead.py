"""What the module costs a request: throughput and p99 as ratios to httpd without it, and the CPU time
of workers and sender, next to an access log line for scale. The variants take turns, so that a noisy
machine hits all of them; the CPU time hardly depends on who else is running."""

import re
import shutil
import statistics
import subprocess
import sys

from delivery import cpu_seconds
from server import BUILD, TOP, wait_for
from variants import HEADERS, NAMES, make


class Variant:
    def __init__(self, name, api, php):
        self.name = name
        self.httpd = make(name, api, php)
        self.httpd.start()
        self.has_module = self.httpd.module
        self.rate, self.p99, self.workers, self.sender = [], [], [], []

    def spent(self):
        """CPU seconds so far: (workers, sender)."""
        return (sum(map(cpu_seconds, self.httpd.workers())),
                sum(map(cpu_seconds, self.httpd.senders())))

    def is_drained(self):
        return not self.has_module or \
            int(self.httpd.status_auto()["PinterestCapiQueueUsed"]) == 0

    def measure(self, path, seconds):
        before = self.spent()
        headers = [part for pair in HEADERS.items() for part in ("-H", ": ".join(pair))]
        out = subprocess.check_output(
            ["wrk", "-t1", "-c16", f"-d{seconds}s", "--latency", *headers,
             f"http://127.0.0.1:{self.httpd.port}{path}"], text=True)
        if "Non-2xx" in out:
            raise SystemExit(f"{self.name}: errors under load\n{out}")
        self.rate.append(float(re.search(r"Requests/sec:\s+([\d.]+)", out)[1]))
        value, unit = re.search(r"99%\s+([\d.]+)(us|ms|s)", out).groups()
        self.p99.append(float(value) * {"us": 1e-3, "ms": 1, "s": 1e3}[unit])
        count = int(re.search(r"(\d+) requests in", out)[1])
        self.workers.append((self.spent()[0] - before[0]) / count * 1e6)
        # what waits in the queue is this variant's, not the next one's
        wait_for(self.is_drained, "the queue to be empty", 120)
        self.sender.append((self.spent()[1] - before[1]) / count * 1e6)

    def forget(self):
        for figures in (self.rate, self.p99, self.workers, self.sender):
            figures.clear()


def ratios(variant, base, field):
    pairs = [a / b for a, b in zip(getattr(variant, field), getattr(base, field))]
    return f"{statistics.median(pairs):.3f} ({min(pairs):.3f}–{max(pairs):.3f})"


def compare(api, path, php, pairs, seconds):
    variants = [Variant(name, api, php) for name in NAMES]
    try:
        for variant in variants:
            variant.measure(path, 1)
            variant.forget()
        for turn in range(pairs):
            for variant in variants if turn % 2 else reversed(variants):
                variant.measure(path, seconds)
    finally:
        for variant in variants:
            variant.httpd.close()
    return variants


def main(api, pairs=8, seconds=2):
    if not shutil.which("wrk"):
        print("wrk is not installed: request overhead is left out", file=sys.stderr)
        return
    for title, path, php in (("static 2 KB file", "/page.html", None),
                             ("PHP page (php-fpm)", "/page.php", "fpm")):
        print(f"\n{title}: {pairs} pairs of {seconds} s, 16 connections, event MPM\n")
        print(f"| {'variant':32} | req/s | throughput (min–max) | p99 (min–max) "
              "| CPU µs a request: workers | sender |")
        print("| --- | ---: | ---: | ---: | ---: | ---: |")
        variants = compare(api, path, php, pairs, seconds)
        base = variants[0]
        for variant in variants:
            print(f"| {variant.name:32} | {statistics.median(variant.rate):.0f} "
                  f"| {ratios(variant, base, 'rate')} | {ratios(variant, base, 'p99')} "
                  f"| {statistics.median(variant.workers):.1f} "
                  f"| {statistics.median(variant.sender):.1f} |", flush=True)
        spent = float(subprocess.check_output([str(BUILD / "tests" / "consent_bench"),
                                               str(TOP / "conf" / "cmp")], text=True))
        print(f"\nReading consent with `auto` from 2 KB of cookies: {spent:.1f} µs of CPU")
