"""The way to the API: HTTP/2, plain http on loopback, proxies, servers that close early."""

import collections
import os
import pathlib
import shutil
import socket
import socketserver
import subprocess
import threading

import pytest

from conftest import VALGRIND, wait_for
from sink import Answer, Sink, results

NGINX = shutil.which("nginx") or "/usr/sbin/nginx"


def ids(prefix, count):
    return [f"{prefix}-{n}" for n in range(count)]


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture
def plain(folder):
    """A sink without TLS."""
    running = Sink(folder, tls=False)
    yield running
    running.close()


@pytest.fixture
def front(folder, sink, plain):
    """front(extra lines): nginx speaks HTTP/2 over TLS before the plain sink; gives its address."""
    if not pathlib.Path(NGINX).exists():
        pytest.skip("nginx is not installed")
    started = []

    def start(extra=""):
        port, root = free_port(), pathlib.Path(folder) / "nginx"
        root.mkdir()
        (root / "nginx.conf").write_text(f"""
{"user root;" if os.getuid() == 0 else ""} daemon off; pid {root}/pid; error_log {root}/error.log;
events {{ worker_connections 64; }}
http {{
  log_format line "$server_protocol $status";
  access_log {root}/access.log line;
  client_body_temp_path {root}/body; proxy_temp_path {root}/proxy;
  fastcgi_temp_path {root}/f; uwsgi_temp_path {root}/u; scgi_temp_path {root}/s;
  client_max_body_size 4m;
  server {{
    listen 127.0.0.1:{port} ssl http2;
    ssl_certificate {sink.ca_file}; ssl_certificate_key {folder}/sink.key;
    {extra}
    location / {{ proxy_pass http://127.0.0.1:{plain.port}; }}
  }}
}}
""")
        started.append(subprocess.Popen([NGINX, "-p", str(root), "-c", str(root / "nginx.conf"),
                                         "-e", str(root / "error.log")]))
        wait_for(lambda: socket.socket().connect_ex(("127.0.0.1", port)) == 0, "nginx")
        return f"https://127.0.0.1:{port}/v5", root / "access.log"

    yield start
    for process in started:
        process.terminate()
        process.wait()


def test_http2_carries_all_requests_of_an_account(site, plain, front):
    site.url, log = front("keepalive_timeout 60;")
    plain.answer = lambda r: Answer(200, results([None] * len(r.ids)), delay=0.2)
    feed, _ = site.start()
    feed.push(8000, "a")
    site.wait_settled(8000)
    assert collections.Counter(plain.delivered()) == collections.Counter(ids("a", 8000))
    wait_for(lambda: len(log.read_text().splitlines()) == len(plain.requests), "nginx's log")
    assert set(log.read_text().splitlines()) == {"HTTP/2.0 200"}
    assert VALGRIND or plain.most_in_flight == 4


def test_server_that_closes_kept_connections_costs_nothing(site, plain, front):
    site.url, _ = front("keepalive_timeout 60; keepalive_requests 2;")
    feed, _ = site.start()
    for turn in range(10):
        feed.push(100, f"t{turn}")
        site.wait_settled(100 * (turn + 1))
    assert max(collections.Counter(plain.delivered()).values()) == 1
    assert "PCAPI140" not in site.log()


def test_413_of_a_server_that_does_not_read_on_halves_the_batch(site, plain, front):
    site.url, log = front("client_max_body_size 60k;")
    feed, _ = site.start()
    feed.push(1000, "a", pad=100)
    site.wait_settled(1000)
    assert collections.Counter(plain.delivered()) == collections.Counter(ids("a", 1000))
    assert "HTTP/2.0 413" in log.read_text()
    assert not site.errors()


def test_plain_http_goes_to_loopback_only(site, plain):
    site.url = plain.url
    feed, _ = site.start()
    feed.push(3, "a")
    site.wait_settled(3)
    assert sorted(plain.delivered()) == ids("a", 3)
    feed.kill()


@pytest.mark.parametrize("host", ["127.example.invalid", "localhost.example.invalid"])
def test_plain_http_to_another_host_is_not_spoken(site, plain, host):
    """The name would go to the proxy if libcurl were let; it must not even ask."""
    site.account_settings = {"proxy": f"http://127.0.0.1:{plain.port}"}
    site.url = f"http://{host}/v5"
    feed, _ = site.start()
    feed.push(3, "a")
    site.wait_log("PCAPI140")
    assert plain.requests == [] and "not supported" in site.log().lower()


class Tunnel(socketserver.StreamRequestHandler):
    """CONNECT and nothing else."""

    def handle(self):
        line = self.rfile.readline().decode().split()
        while header := self.rfile.readline().strip():
            self.server.heard.append(header.decode())
        self.server.asked.append(line[:2])
        host, port = line[1].rsplit(":", 1)
        with socket.create_connection((host, int(port))) as far:
            self.wfile.write(b"HTTP/1.1 200 Connection established\r\nRetry-After: 900\r\n\r\n")
            back = threading.Thread(target=self.copy, args=(far, self.connection), daemon=True)
            back.start()
            self.copy(self.connection, far)

    @staticmethod
    def copy(source, target):
        try:
            while True:
                piece = source.recv(65536)
                if not piece:
                    break
                target.sendall(piece)
        except OSError:
            pass
        finally:
            for end in (source, target):
                try:
                    end.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass


class TunnelServer(socketserver.ThreadingTCPServer):
    daemon_threads, allow_reuse_address = True, True


def test_proxy_is_used_and_its_headers_are_not_the_apis(site, sink):
    server = TunnelServer(("127.0.0.1", 0), Tunnel)
    server.asked, server.heard = [], []
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    site.account_settings = {"proxy": f"http://127.0.0.1:{server.server_address[1]}"}
    sink.answer = lambda r: Answer(503) if len(sink.requests) == 1 else \
        Answer(200, results([None] * len(r.ids)))
    try:
        feed, _ = site.start()
        feed.push(3, "a")
        site.wait_settled(3)
    finally:
        server.shutdown()
        server.server_close()
    assert ["CONNECT", f"127.0.0.1:{sink.port}"] in server.asked
    assert server.heard and not [header for header in server.heard if "uthorization" in header]
    assert sorted(sink.delivered()) == ids("a", 3)
