"""Events a CPU second from queue to settled, against a local TLS sink, next to syslog-ng's http()
destination with a reliable disk buffer sending the same payload to the same sink."""

import json
import os
import pathlib
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

from server import BROWSER, EPIK, SHOPPER, free_port, wait_for

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "sender"))
from conftest import Site  # noqa: E402

EVENT = {"event_name": "checkout", "action_source": "web", "event_time": 0, "event_id": "",
         "event_source_url": "https://shop.example/checkout/order-received/10492/",
         "user_data": {"em": ["836f82db99121b3481011f16b49dfa5fbc714a0d1b1b9f784a1ebbbf5b39577f"],
                       "click_id": EPIK, "client_ip_address": SHOPPER,
                       "client_user_agent": BROWSER},
         "custom_data": {"value": "129.95", "currency": "EUR", "content_ids": ["SKU-481"]}}
NGINX = """
daemon off; worker_processes 1; user root; pid {root}/nginx.pid; error_log {root}/nginx.log warn;
events {{ worker_connections 256; }}
http {{
  access_log {root}/access.log; client_body_buffer_size 4m; client_max_body_size 8m;
  client_body_temp_path {root}/body; proxy_temp_path {root}/proxy; fastcgi_temp_path {root}/f;
  uwsgi_temp_path {root}/u; scgi_temp_path {root}/s; default_type application/json;
  keepalive_requests 1000000;
  upstream inner {{ server 127.0.0.1:{inner}; keepalive 8; }}
  server {{ listen 127.0.0.1:{inner}; access_log off; root {root};
    location / {{ error_page 405 =200 /resp.json; try_files /resp.json =404; }} }}
  server {{ listen 127.0.0.1:{outer} ssl http2; server_name localhost;
    ssl_certificate {root}/cert.pem; ssl_certificate_key {root}/key.pem;
    location / {{ proxy_pass http://inner; proxy_http_version 1.1;
      proxy_set_header Connection ""; }} }}
}}
"""
SYSLOG = """@version: 3.38
options {{ stats-freq(0); log-msg-size(65536); }};
source s {{ network(ip("127.0.0.1") port({port}) transport("tcp") flags(no-parse)
  log-iw-size(200000) max-connections(4)); }};
destination d {{ http(url("https://localhost:{outer}/") method("POST")
  headers("Content-Type: application/json") body-prefix("{{\\"data\\":[") delimiter(",")
  body-suffix("]}}") body("${{MESSAGE}}") batch-lines(1000) batch-bytes(4194304)
  batch-timeout(1000) workers(1) tls(peer-verify(no))
  disk-buffer(reliable(yes) mem-buf-size(67108864) disk-buf-size(2147483648)
  dir("{root}"))); }};
log {{ source(s); destination(d); flags(flow-control); }};
"""


def cpu_seconds(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Sink:
    """nginx that answers every POST with 1000 processed results, over TLS and HTTP/2."""

    def __init__(self):
        self.root = pathlib.Path(tempfile.mkdtemp(prefix="pinterest-capi-bench-"))
        self.inner, self.outer = free_port(), free_port()
        result = {"status": "processed", "error_message": "", "warning_message": ""}
        (self.root / "resp.json").write_text(json.dumps(
            {"num_events_received": 1000, "num_events_processed": 1000,
             "events": [result] * 1000}))
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
                        "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost",
                        "-keyout", str(self.root / "key.pem"), "-out",
                        str(self.root / "cert.pem")], check=True, stderr=subprocess.DEVNULL)
        conf = self.root / "nginx.conf"
        conf.write_text(NGINX.format(root=self.root, inner=self.inner, outer=self.outer))
        self.process = subprocess.Popen(["nginx", "-c", str(conf), "-p", str(self.root)],
                                        stderr=subprocess.DEVNULL)
        wait_for(lambda: listening(self.outer), "the sink")
        self.url = f"https://localhost:{self.outer}/v5"
        self.ca_file = self.root / "cert.pem"

    def requests(self):
        with open(self.root / "access.log", "rb") as log:
            return sum(block.count(b"\n") for block in iter(lambda: log.read(1 << 20), b""))

    def close(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait()
        shutil.rmtree(self.root, ignore_errors=True)


def listening(port):
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
        return True
    except OSError:
        return False


def events(count, run):
    now = int(time.time())
    for number in range(count):
        event = dict(EVENT, event_time=now, event_id=f"r{run}_ord_{number}_purchase")
        yield json.dumps(event, separators=(",", ":"))


def peer(sink, count, run):
    """Events a CPU second of syslog-ng."""
    root = pathlib.Path(tempfile.mkdtemp(prefix="pinterest-capi-peer-"))
    port = free_port()
    conf = root / "syslog-ng.conf"
    conf.write_text(SYSLOG.format(port=port, outer=sink.outer, root=root))
    process = subprocess.Popen(
        ["syslog-ng", "-F", "-f", str(conf), "-R", str(root / "persist"), "-p", str(root / "pid"),
         "-c", str(root / "ctl"), "--no-caps"], stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL)
    try:
        wait_for(lambda: listening(port), "syslog-ng")
        before, cpu = sink.requests(), cpu_seconds(process.pid)
        with socket.create_connection(("127.0.0.1", port)) as feed:
            for text in events(count, run):
                feed.sendall(text.encode() + b"\n")
            wait_for(lambda: sink.requests() - before >= count // 1000, "the peer's delivery", 300)
        return count / (cpu_seconds(process.pid) - cpu)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()
        shutil.rmtree(root, ignore_errors=True)


class Ours:
    """Our sender, started as httpd starts it, with a queue that is filled from outside."""

    PAD = 250  # an event of about the peer's size

    def __init__(self, sink, prepare=lambda site: None):
        self.root = tempfile.mkdtemp(prefix="pinterest-capi-bench-")
        self.site = Site(self.root, sink.url, sink.ca_file)
        self.site.queue_size = 64 << 20
        self.site.settings["log_level"] = 4
        prepare(self.site)
        self.feed, self.pid = self.site.start()
        self.settled = 0

    def measure(self, count, run):
        """(events a CPU second, resident kB)."""
        cpu = cpu_seconds(self.pid)
        for group in range(count // 1000):
            while self.feed.used() > 48 << 20:
                time.sleep(0.01)
            self.feed.push(1000, f"r{run}g{group}", pad=self.PAD)
        self.settled += count
        self.site.wait_settled(self.settled, 300)
        spent = cpu_seconds(self.pid) - cpu
        status = pathlib.Path(f"/proc/{self.pid}/status").read_text()
        return count / spent, int(status.split("RssAnon:")[1].split()[0])

    def close(self):
        self.site.close()
        shutil.rmtree(self.root, ignore_errors=True)


def main(count=300_000, turns=3):
    missing = [name for name in ("nginx", "syslog-ng") if not shutil.which(name)]
    if missing:
        print(f"{' and '.join(missing)} not installed: delivery is left out", file=sys.stderr)
        return
    sink = Sink()
    ours = Ours(sink)
    pairs = []
    try:
        print(f"\nDelivery over TLS, batches of 1000, {turns} turns of {count:,} events\n")
        print("| turn | ours, events a CPU second | syslog-ng http() | ratio | our private memory |")
        print("| ---: | ---: | ---: | ---: | ---: |")
        for turn in range(turns):
            mine, resident = ours.measure(count, turn)
            theirs = peer(sink, count, turn)
            pairs.append(mine / theirs)
            print(f"| {turn + 1} | {mine:,.0f} | {theirs:,.0f} | {mine / theirs:.2f} "
                  f"| {resident / 1024:.1f} MB |", flush=True)
        print(f"\nMedian ratio {statistics.median(pairs):.2f}")
    finally:
        ours.close()
        sink.close()
