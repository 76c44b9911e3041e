"""A stand-in for the API that the sender's tests command answer by answer: each request is given to a
function, which says what comes back. Keeps every request it got, and when."""

import http.server
import json
import pathlib
import socket
import ssl
import struct
import subprocess
import threading
import time



def results(statuses):
    """Pinterest's answer; None is a success, a text the error of an event."""
    return {"num_events_received": len(statuses),
            "num_events_processed": sum(s is None for s in statuses),
            "events": [{"status": "failed" if s else "processed", "error_message": s or "",
                        "warning_message": ""} for s in statuses]}


class Answer:
    """What a request is answered with. `reset`: "before" or "inside" the body, or "after" the
    request was taken in; `delay` seconds first."""

    def __init__(self, status=200, body=None, headers=(), delay=0, reset=None):
        self.status, self.body, self.headers = status, body, dict(headers)
        self.delay, self.reset = delay, reset


class Request:
    def __init__(self, path, headers, body):
        self.at, self.path, self.headers, self.size = time.monotonic(), path, headers, len(body)
        self.events = json.loads(body)["data"]
        self.ids = [e["event_id"] for e in self.events]
        self.status = None


def accept(request):
    return Answer(200, results([None] * len(request.ids)))


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 60

    def log_message(self, *_):
        pass

    def do_POST(self):
        sink = self.server.sink
        body = self.rfile.read(int(self.headers["Content-Length"]))
        request = Request(self.path, self.headers, body)
        with sink.lock:
            sink.in_flight += 1
            sink.most_in_flight = max(sink.most_in_flight, sink.in_flight)
            sink.requests.append(request)
        answer = sink.answer(request)
        if answer.delay:
            sink.stopping.wait(answer.delay)
        with sink.lock:
            sink.in_flight -= 1
        request.status = answer.status
        self.reply(answer, request)

    def reply(self, answer, request):
        if answer.reset in ("before", "after"):
            return self.reset()
        body = answer.body
        if not isinstance(body, bytes):
            body = json.dumps(body if body is not None else
                              {"code": 0, "message": "sink says no"}).encode()
        self.send_response(answer.status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("x-pinterest-rid", f"rid-{len(self.server.sink.requests)}")
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.end_headers()
        if answer.reset == "inside":
            self.wfile.write(body[:len(body) // 2])
            return self.reset()
        self.wfile.write(body)
        return None

    def reset(self):
        self.close_connection = True
        self.wfile.flush()
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, request, client_address):
        pass  # a client that went away, or a handshake that a test wants to fail


class Sink:
    def __init__(self, folder, port=0, tls=True):
        self.lock, self.stopping = threading.Lock(), threading.Event()
        self.requests, self.in_flight, self.most_in_flight = [], 0, 0
        self.answer = accept
        self.ca_file = pathlib.Path(folder) / "sink.pem"
        self.server = Server(("127.0.0.1", port), Handler)
        self.server.sink = self
        self.port = self.server.server_address[1]
        if tls:
            self.wrap(pathlib.Path(folder) / "sink.key")
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self.port}/v5"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True)
        self.thread.start()

    def wrap(self, key):
        if not self.ca_file.exists():
            subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                            "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj",
                            "/CN=sink", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout",
                            str(key), "-out", str(self.ca_file)], check=True,
                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.ca_file, key)
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True,
                                                 do_handshake_on_connect=False)

    def delivered(self):
        """Ids of events in requests that were answered with 200, each as often as it came."""
        with self.lock:
            return [i for r in self.requests if r.status == 200 for i in r.ids]

    def close(self):
        self.stopping.set()
        self.server.shutdown()
        self.server.server_close()
