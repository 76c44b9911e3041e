"""Stand-ins that misbehave: an API, a proxy and a resolver that are faulty for a while and then work.

Each Api listens on a port of its own. While it is faulty, every connection is given to its fault, a
function (api, connection); the fault ends after `times` connections."""

import json
import pathlib
import socket
import ssl
import struct
import subprocess
import threading
import time
import warnings

import h2.config
import h2.connection
import h2.errors
import h2.events

from sink import results


class Certificates:
    """A CA that the sender trusts, and what it signed: good, expired, for another host. `stranger` is
    of a CA that nobody trusts."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder) / "certificates"
        self.folder.mkdir()
        self.make_ca("ca")
        self.make_ca("other")
        self.ca_file = self.folder / "ca.pem"
        good = "IP:127.0.0.1,DNS:*.api.test"
        self.contexts = {
            "good": self.server("good", "ca", good, 2),
            "expired": self.server("expired", "ca", good, -1),
            "elsewhere": self.server("elsewhere", "ca", "DNS:shop.example", 2),
            "stranger": self.server("stranger", "other", good, 2)}
        self.contexts["h2"] = self.server("good", "ca", good, 2)
        self.contexts["h2"].set_alpn_protocols(["h2"])
        self.contexts["old"] = self.server("good", "ca", good, 2)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            self.contexts["old"].minimum_version = ssl.TLSVersion.TLSv1
            self.contexts["old"].maximum_version = ssl.TLSVersion.TLSv1_1
        self.contexts["old"].set_ciphers("ALL:@SECLEVEL=0")

    def openssl(self, *words):
        subprocess.run(["openssl", *map(str, words)], check=True, cwd=self.folder,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def new_key(self, name):
        return ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout",
                f"{name}.key")

    def make_ca(self, name):
        self.openssl("req", "-x509", *self.new_key(name), "-days", 2, "-subj", f"/CN={name}",
                     "-out", f"{name}.pem")

    def server(self, name, ca, names, days):
        if not (self.folder / f"{name}.pem").exists():
            self.openssl("req", "-new", *self.new_key(name), "-subj", f"/CN={name}", "-addext",
                         f"subjectAltName={names}", "-out", f"{name}.csr")
            self.openssl("x509", "-req", "-in", f"{name}.csr", "-CA", f"{ca}.pem", "-CAkey",
                         f"{ca}.key", "-CAcreateserial", "-days", days, "-copy_extensions", "copy",
                         "-out", f"{name}.pem")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.folder / f"{name}.pem", self.folder / f"{name}.key")
        return context


class Listener:
    """A port on loopback, and a thread for each connection to it."""

    def __init__(self, serve):
        self.serve, self.stopping = serve, threading.Event()
        self.socket = socket.socket()
        self.socket.bind(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]

    def listen(self):
        self.socket.listen(64)
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while not self.stopping.is_set():
            try:
                connection = self.socket.accept()[0]
            except OSError:
                return
            connection.settimeout(60)
            threading.Thread(target=self.guarded, args=(connection,), daemon=True).start()

    def guarded(self, connection):
        try:
            self.serve(connection)
        except (OSError, ValueError, h2.exceptions.ProtocolError):
            pass  # the other side may leave whenever it likes
        finally:
            connection.close()

    def close(self):
        self.stopping.set()
        try:
            self.socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.socket.close()


class Request:
    def __init__(self, head, body):
        self.head, self.body = head, body
        self.ids = [event["event_id"] for event in json.loads(body)["data"]]


def read_request(stream):
    """Of HTTP/1.1; None where the client closed instead."""
    head = b""
    while True:
        line = stream.readline()
        if not line:
            return None
        head += line
        if line == b"\r\n":
            break
    length = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
    return Request(head.decode(), stream.read(int(length[0].split(b":")[1])))


def reset(connection):
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def all_good(request):
    return json.dumps(results([None] * len(request.ids))).encode()


class Api:
    def __init__(self, certificates, fault, times=2, speaks="good"):
        self.certificates, self.fault, self.times, self.speaks = certificates, fault, times, speaks
        self.lock, self.requests, self.accepted, self.met = threading.Lock(), [], [], 0
        self.trap = ""  # where a client that followed a redirect would come to
        self.ended_at = self.well_at = None
        self.listener = Listener(self.serve)
        self.stopping = self.listener.stopping
        self.url = f"https://127.0.0.1:{self.listener.port}/v5"

    def serve(self, connection):
        with self.lock:
            is_faulty = self.met < self.times
            self.met += is_faulty
        if not is_faulty:
            self.serve_well(connection)
            return
        try:
            self.fault(self, connection)
        finally:
            self.ended_at = time.monotonic()

    def tls(self, connection, context=None):
        return self.certificates.contexts[context or self.speaks].wrap_socket(connection,
                                                                             server_side=True)

    def keep(self, request):
        with self.lock:
            self.requests.append(request)

    def accept(self, request):
        with self.lock:
            self.accepted += request.ids

    def accept_well(self, request):
        self.well_at = self.well_at or time.monotonic()
        self.accept(request)

    def requests_of(self, tls):
        with tls.makefile("rb") as stream:
            while True:
                request = read_request(stream)
                if not request:
                    return
                self.keep(request)
                yield request

    def serve_well(self, connection):
        tls = self.tls(connection)
        if tls.selected_alpn_protocol() == "h2":
            Http2(self, tls).serve(Http2.answer)
            return
        for request in self.requests_of(tls):
            self.accept_well(request)
            tls.sendall(answer(200, all_good(request)))

    def close(self):
        self.listener.close()


def answer(status, body=b'{"code": 7, "message": "sink says no"}', *headers, length=None):
    lines = [f"HTTP/1.1 {status} Whatever", "x-pinterest-rid: rid-1", *headers]
    if length is not False:
        lines.append(f"Content-Length: {len(body) if length is None else length}")
    return "\r\n".join([*lines, "", ""]).encode() + body


class Http2:
    """One connection of h2's; `act(self, stream, request)` once a request is complete."""

    def __init__(self, api, tls):
        self.api, self.tls, self.bodies = api, tls, {}
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))
        self.h2.initiate_connection()

    def serve(self, act):
        self.flush()
        while True:
            piece = self.tls.recv(65536)
            if not piece:
                return
            for event in self.h2.receive_data(piece):
                if isinstance(event, h2.events.RequestReceived):
                    self.bodies[event.stream_id] = b""
                elif isinstance(event, h2.events.DataReceived):
                    self.bodies[event.stream_id] += event.data
                    self.h2.acknowledge_received_data(event.flow_controlled_length,
                                                      event.stream_id)
                elif isinstance(event, h2.events.StreamEnded):
                    request = Request("", self.bodies.pop(event.stream_id))
                    self.api.keep(request)
                    act(self, event.stream_id, request)
                    self.flush()
            self.flush()

    def flush(self):
        self.tls.sendall(self.h2.data_to_send())

    def send(self, stream, body, ends=True):
        self.h2.send_headers(stream, [(":status", "200"), ("content-length", str(len(body)))])
        self.h2.send_data(stream, body if ends else body[:10], end_stream=ends)

    def answer(self, stream, request):
        self.api.accept_well(request)
        self.send(stream, all_good(request))


class Proxy:
    """CONNECT, and a fault for the first `times` connections."""

    def __init__(self, fault, times=2):
        self.fault, self.times, self.lock, self.heads = fault, times, threading.Lock(), []
        self.ended_at = None
        self.listener = Listener(self.serve)
        self.stopping = self.listener.stopping
        self.url = f"http://127.0.0.1:{self.listener.port}"

    def serve(self, connection):
        with connection.makefile("rb", 0) as stream:
            head = list(iter(stream.readline, b"\r\n"))
        with self.lock:
            is_faulty = self.times > 0
            self.times -= is_faulty
            self.heads.append(b"".join(head).decode())
        if is_faulty:
            try:
                self.fault(self, connection)
            finally:
                self.ended_at = time.monotonic()
            return
        host, port = head[0].split()[1].decode().rsplit(":", 1)
        self.tunnel(connection, host, int(port))

    def tunnel(self, connection, host, port, up_to=1 << 30):
        with socket.create_connection((host, port)) as far:
            connection.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            threading.Thread(target=copy, args=(far, connection, up_to), daemon=True).start()
            copy(connection, far, up_to)

    def close(self):
        self.listener.close()


def copy(source, target, up_to):
    """At most `up_to` bytes, then both ends are cut."""
    try:
        while up_to > 0:
            piece = source.recv(65536)
            if not piece:
                break
            target.sendall(piece)
            up_to -= len(piece)
    except OSError:
        pass
    for end in (source, target):
        try:
            end.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass


class Resolver:
    """A name server for *.api.test on `address`: a name resolves to 127.0.0.1 once it is in `known`;
    before, the answer is what its first label says (servfail, nxdomain), or none (silent)."""

    CODES = {"servfail": 2, "nxdomain": 3}

    def __init__(self, address):
        self.known = set()
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((address, 53))
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            try:
                question, client = self.socket.recvfrom(4096)
            except OSError:
                return
            reply = self.reply(question)
            if reply:
                self.socket.sendto(reply, client)

    def reply(self, question):
        label = question[13:13 + question[12]].decode().lower()
        end = question.index(b"\0", 12) + 5
        wants_a = question[end - 4:end - 2] == b"\0\1"
        if label not in self.known:
            code = self.CODES.get(label)
            if code is None:
                return None
            return question[:2] + bytes([0x84, 0x80 | code]) + b"\0\1\0\0\0\0\0\0" + question[12:end]
        found = b"\xc0\x0c\0\1\0\1\0\0\0\0\0\4\x7f\0\0\1" if wants_a else b""
        return (question[:2] + b"\x84\x80\0\1\0" + bytes([wants_a]) + b"\0\0\0\0" +
                question[12:end] + found)

    def close(self):
        self.socket.close()
