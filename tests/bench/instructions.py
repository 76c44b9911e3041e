"""Instructions that a request and a delivery take, counted by callgrind: the same on a busy machine and
on an idle one, to a few in a thousand. Code of ours, httpd's and all libraries'; what the kernel does
is not in it, and SHA-256 counts more than it costs, for valgrind hides the processor's own."""

import os
import pathlib
import re
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile

from delivery import Ours
from server import HTTPD, wait_for
from variants import HEADERS, NAMES, OFF, make

REQUESTS = (100, 1100)  # two runs, so that the start of httpd drops out
EVENTS = (2000, 12000)


def counted(command, out, **options):
    """A started program, whose count is in the file `out` once it has ended."""
    return subprocess.Popen(["valgrind", "-q", "--tool=callgrind", f"--callgrind-out-file={out}",
                             *command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                            **options)


def total(out):
    """The file lies in a directory that the server's user may write to."""
    return int(re.search(r"^totals: (\d+)", out.read_text(), re.M)[1])


def ask(connection, request):
    connection.sendall(request)
    answer = b""
    while b"\r\n\r\n" not in answer:
        answer += connection.recv(65536)
    head, body = answer.split(b"\r\n\r\n", 1)
    length = int(re.search(rb"Content-Length: (\d+)", head)[1])
    while len(body) < length:
        body += connection.recv(65536)


def run_requests(name, api, count):
    httpd = make(name, api)
    httpd.top += "\nMaxKeepAliveRequests 0\n"
    httpd.configure()
    httpd.run.chmod(0o777)
    out = httpd.run / "callgrind"
    request = "\r\n".join(["GET /page.html HTTP/1.1", "Host: localhost",
                           *map(": ".join, HEADERS.items()), "\r\n"]).encode()
    process = counted([HTTPD, "-X", "-d", str(httpd.root), "-f", str(httpd.conf_file)], out,
                      env={"PATH": os.environ["PATH"], "TZ": "UTC"})
    try:
        wait_for(httpd.is_listening, "httpd under valgrind", 120)
        out.unlink(missing_ok=True)  # root's: it is written anew by the server's user
        with socket.create_connection(("127.0.0.1", httpd.port)) as connection:
            for _ in range(count):
                ask(connection, request)
        process.terminate()
        process.wait()
        return total(out)
    finally:
        process.kill()
        process.wait()
        httpd.close()


def run_delivery(sink, count):
    """Our sender under valgrind: the site's program is a script that starts it so."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="pinterest-capi-bench-"))
    out, script = folder / "callgrind", folder / "sender"

    def wrap(site):
        script.write_text("#!/bin/sh\nexec /usr/bin/valgrind -q --tool=callgrind "
                          f"--callgrind-out-file={out} {site.program}\n")
        script.chmod(script.stat().st_mode | stat.S_IXUSR)
        site.program = script

    ours = Ours(sink, wrap)
    try:
        ours.measure(count, 0)
        os.kill(ours.pid, signal.SIGTERM)
        ours.feed.wait(ours.pid)
        return total(out)
    finally:
        ours.close()
        shutil.rmtree(folder, ignore_errors=True)


def rate(run, counts):
    few, many = (run(count) for count in counts)
    return (many - few) / (counts[1] - counts[0])


def main(sink):
    if not shutil.which("valgrind"):
        print("valgrind is not installed: instructions are left out", file=sys.stderr)
        return
    print("\nInstructions (callgrind), static 2 KB file, one connection\n")
    print(f"| {'variant':32} | a request | more than without the module |")
    print("| --- | ---: | ---: |")
    found = {}
    for name in NAMES:
        found[name] = rate(lambda count: run_requests(name, sink, count), REQUESTS)
        print(f"| {name:32} | {found[name]:,.0f} | {found[name] - found[OFF]:,.0f} |", flush=True)
    print(f"\nThe sender, an event from queue to settled: "
          f"{rate(lambda count: run_delivery(sink, count), EVENTS):,.0f} instructions")
