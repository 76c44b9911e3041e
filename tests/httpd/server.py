"""A private httpd on loopback, with mod_php or php-fpm, event or prefork, and what a test needs to
talk to it and to look behind it. Everything lives in one directory and is stopped by pid."""

import contextlib
import http.client
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import sqlite3
import ssl
import subprocess
import sys
import tempfile
import time

TOP = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(TOP / "tests"))

from waiting import is_alive, wait_for  # noqa: E402

BUILD = TOP / os.environ.get("CAPI_BUILD", "build")
SANITIZED = TOP / "build-address-undefined"
IS_SANITIZED = BUILD == SANITIZED
HTTPD = shutil.which("apache2") or shutil.which("httpd") or "/usr/sbin/apache2"
BROWSER = ("Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 "
           "(KHTML, like Gecko) Version/17.4 Safari/605.1.15")
EPIK = ("dj0yJnU9b2JDcFFHekV4SHJNcmVrbFBkUEdqakh0akdUT1VjVVUmcD0yJm49cnNBQ3F2Q2dOVDBXWWhkWklr"
        "UGxBUSZ0PUFBQUFBR1BaY3Bv")
SHOPPER = "203.0.113.42"
ACCOUNT = "549755885175"
TOKEN = "pina_TESTTOKEN"


def modules_dir():
    return pathlib.Path(subprocess.check_output(["apxs", "-q", "LIBEXECDIR"], text=True).strip())


MODULES = modules_dir()
HAS_PHP_MODULE = sorted(MODULES.glob("libphp*.so"))
PHP_FPM = sorted(pathlib.Path("/usr/sbin").glob("php-fpm*"))


def has_log(store):
    """Whether a SQLite file is in WAL mode: a reader before that keeps the sender from opening it."""
    with contextlib.suppress(OSError), open(store, "rb") as file:
        return file.read(20)[18:] == b"\2\2"
    return False


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def descendants(pid):
    """Living pids below pid, by /proc."""
    children = {}
    for entry in pathlib.Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError, IndexError):
                ppid = int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1])
                children.setdefault(ppid, []).append(int(entry.name))
    found, todo = [], [pid]
    while todo:
        for child in children.get(todo.pop(), []):
            found.append(child)
            todo.append(child)
    return found

# What Httpd.recorded() asks for, and events that wait for nobody.
SENTINEL = """
PinterestCapiApiUrl http://127.0.0.1:9/v5
PinterestCapiMergeWindow 3600
PinterestCapiEventName sentinel sentinel
<If "%{QUERY_STRING} =~ /^sentinel=/">
  PinterestCapiEvent none
  PinterestCapiEvent sentinel event_id=%{query:sentinel}
</If>
"""


def library(name):
    return subprocess.check_output(["gcc", f"-print-file-name={name}"], text=True).strip()


class Answer:
    def __init__(self, response, body):
        self.status = response.status
        self.headers = response.getheaders()
        self.body = body

    def header(self, name):
        values = self.header_all(name)
        return values[0] if values else None

    def header_all(self, name):
        return [v for k, v in self.headers if k.lower() == name.lower()]

    @property
    def text(self):
        return self.body.decode()

    def json(self):
        return json.loads(self.body)


class PhpFpm:
    """One php-fpm pool on a Unix socket, as the workers' user."""

    def __init__(self, root, user):
        self.socket = root / "fpm.sock"
        self.log = root / "fpm.log"
        conf = root / "fpm.conf"
        conf.write_text(
            f"[global]\nerror_log = {self.log}\ndaemonize = no\n"
            f"[www]\nuser = {user}\ngroup = {user}\nlisten = {self.socket}\nlisten.owner = {user}\n"
            "pm = static\npm.max_children = 4\ncatch_workers_output = yes\n"
            "php_admin_value[session.save_path] = " + str(root / "sessions") + "\n")
        self.process = subprocess.Popen([str(PHP_FPM[-1]), "-F", "-y", str(conf), "-c", str(root)],
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_for(self.socket.exists, "php-fpm's socket")

    def stop(self):
        self.process.send_signal(signal.SIGQUIT)
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class Httpd:
    """`conf` goes inside the server; `vhost=False` leaves the module's main settings out."""

    USER = "www-data"

    def __init__(self, mpm="event", php=None, conf="", api=None, module=True, settings=True,
                 top="", extra_modules=(), queue_size=None, env=None, build=BUILD):
        self.root = pathlib.Path(tempfile.mkdtemp(prefix="pinterest-capi-"))
        os.chmod(self.root, 0o755)
        self.docs = self.root / "htdocs"
        self.state = self.root / "state"
        self.run = self.root / "run"
        for directory in (self.docs, self.run, self.root / "sessions", self.root / "cgi"):
            directory.mkdir()
        shutil.chown(self.root / "sessions", self.USER)
        self.port = free_port()
        self.mpm, self.php, self.api = mpm, php, api
        self.module, self.settings = module, settings
        self.module_file = build / "mod_pinterest_capi.so"
        self.conf, self.top, self.extra_modules = conf, top, list(extra_modules)
        self.queue_size, self.env, self.build = queue_size, env or {}, build
        self.reports = self.root / "reports"
        if build.name == SANITIZED.name:
            self.listen_to_sanitizers()
        self.error_log = self.root / "error.log"
        self.error_log.touch()
        self.token_file = self.root / "token"
        self.token_file.write_text(TOKEN + "\n")
        self.token_file.chmod(0o600)
        self.conf_file = self.root / "httpd.conf"
        self.expected = []
        self.fpm = None
        self.log_seen = 0
        self.process = None
        if php == "fpm":
            self.fpm = PhpFpm(self.root, self.USER)
        self.write("index.html", "<!doctype html><title>Shop</title><p>Hello")

    def listen_to_sanitizers(self):
        """httpd is not built with them, so it has to load what the module needs."""
        self.reports.mkdir()
        self.reports.chmod(0o777)
        self.env = {
            "LD_PRELOAD": library("libasan.so"),
            "ASAN_OPTIONS": f"detect_leaks=0:quarantine_size_mb=4:log_path={self.reports}/asan",
            "UBSAN_OPTIONS": f"print_stacktrace=1:log_path={self.reports}/ubsan",
            # PHP loads its extensions in a way that the sanitizers do not bear
            "PHP_INI_SCAN_DIR": "", **self.env}

    # --- configuration ---

    def write(self, name, text):
        """A document; its folders are made."""
        path = self.docs / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    def config_text(self):
        loads = ["mpm_" + self.mpm, "authz_core", "authz_host", "dir", "mime", "alias", "rewrite",
                 "headers", "setenvif", "env", "remoteip", "status", "expires", "actions"]
        loads += [m for m in self.extra_modules if m not in loads]
        lines = [f"ServerRoot {self.root}", f"Listen 127.0.0.1:{self.port}",
                 "ServerName localhost", f"PidFile {self.run}/httpd.pid",
                 f"DefaultRuntimeDir {self.run}", f"User {self.USER}", f"Group {self.USER}",
                 f"ErrorLog {self.error_log}", "LogLevel warn",
                 "GracefulShutdownTimeout 10", "Timeout 20", "KeepAliveTimeout 2"]
        for name in loads:
            if (MODULES / f"mod_{name}.so").exists():
                lines.append(f"LoadModule {name}_module {MODULES}/mod_{name}.so")
        if self.mpm == "event":
            lines += ["StartServers 2", "ServerLimit 4", "ThreadsPerChild 8", "MaxRequestWorkers 32",
                      "MinSpareThreads 8", "MaxSpareThreads 32"]
        else:
            lines += ["StartServers 4", "MinSpareServers 2", "MaxSpareServers 8",
                      "MaxRequestWorkers 16"]
        if self.php == "mod":
            lines += [f"LoadModule php_module {HAS_PHP_MODULE[-1]}",
                      "<FilesMatch \\.php$>", "SetHandler application/x-httpd-php", "</FilesMatch>",
                      f"php_admin_value session.save_path {self.root}/sessions"]
        if self.php == "fpm":
            lines += [f"LoadModule proxy_module {MODULES}/mod_proxy.so",
                      f"LoadModule proxy_fcgi_module {MODULES}/mod_proxy_fcgi.so",
                      "<FilesMatch \\.php$>",
                      f'SetHandler "proxy:unix:{self.fpm.socket}|fcgi://localhost"',
                      "</FilesMatch>"]
        lines += ["TypesConfig /etc/mime.types" if os.path.exists("/etc/mime.types")
                  else "AddType text/html .html", "AddType text/html .html",
                  "RemoteIPHeader X-Forwarded-For", "RemoteIPInternalProxy 127.0.0.1",
                  f"DocumentRoot {self.docs}", "DirectoryIndex index.html index.php",
                  f"<Directory {self.docs}>", "AllowOverride All", "Require all granted",
                  "</Directory>"]
        if self.module:
            lines.append(f"LoadModule pinterest_capi_module {self.module_file}")
            lines.append("LogLevel warn pinterest_capi:info")
            lines.append(f"PinterestCapiSender {self.build}/pinterest-capi-sender")
            lines.append(f"PinterestCapiStateDir {self.state}")
            if self.queue_size:
                lines.append(f"PinterestCapiQueueSize {self.queue_size}")
            if self.settings:
                lines += ["PinterestCapi On", f"PinterestCapiAdAccount {ACCOUNT}",
                          f"PinterestCapiTokenFile {self.token_file}",
                          "PinterestCapiConsentDefault granted"]
            if self.api:
                lines.append(f"PinterestCapiApiUrl {self.api.url}")
                if self.api.ca_file:
                    lines.append(f"PinterestCapiApiCAFile {self.api.ca_file}")
        if self.top:
            lines.append(self.top)
        lines.append(self.conf)
        return "\n".join(lines) + "\n"

    def configure(self, conf=None):
        if conf is not None:
            self.conf = conf
        self.conf_file.write_text(self.config_text())

    def httpd(self, *args, check=True):
        environment = {"PATH": os.environ["PATH"], "TZ": "UTC", **self.env}
        done = subprocess.run([HTTPD, "-d", str(self.root), "-f", str(self.conf_file), *args],
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              env=environment, timeout=120)
        if check and done.returncode != 0:
            raise AssertionError(f"httpd {' '.join(args)}: {done.stdout}\n{self.log_text()}")
        return done

    def configtest(self):
        """(ok, text) of `apachectl configtest`."""
        self.configure()
        done = self.httpd("-t", check=False)
        return done.returncode == 0, done.stdout

    # --- life ---

    def start(self):
        self.configure()
        self.httpd("-k", "start")
        wait_for(self.is_listening, "httpd to listen")
        return self

    def is_listening(self):
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", self.port), 1).close()
            return True
        return False

    @property
    def pid(self):
        try:
            return int((self.run / "httpd.pid").read_text())
        except (FileNotFoundError, ValueError):
            return None

    def graceful(self):
        self._restart("graceful")

    def restart(self):
        self._restart("restart")

    def _restart(self, how):
        before = self.log_text().count("resuming normal operations")
        self.configure()
        self.httpd("-k", how)
        wait_for(lambda: self.log_text().count("resuming normal operations") > before, how)
        wait_for(self.is_listening, "httpd to listen again")

    def stop(self, how="stop"):
        pid = self.pid
        if pid is None or not is_alive(pid):
            return
        family = [pid] + descendants(pid)
        self.httpd("-k", how)
        wait_for(lambda: not any(is_alive(p) for p in family), "httpd and its children to end", 60)

    def kill(self, pid, sig=signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, sig)

    def family(self):
        """Every process of this server: orphans of a killed parent too, and what a parent forked
        in the moment it died."""
        found = self.senders()
        for entry in pathlib.Path("/proc").iterdir():
            with contextlib.suppress(OSError):
                if entry.name.isdigit() and is_alive(int(entry.name)) and \
                        os.fsencode(self.conf_file) in (entry / "cmdline").read_bytes():
                    found.append(int(entry.name))
        return found

    def kill_everything(self):
        def kill_who_is_left():
            left = self.family()
            for member in left:
                self.kill(member)
            return not left

        wait_for(kill_who_is_left, "all processes to be gone")

    def senders(self):
        """Pids of living senders of this server: those that hold its state directory's lock file
        or queue open."""
        found = []
        for entry in pathlib.Path("/proc").iterdir():
            if not entry.name.isdigit():
                continue
            with contextlib.suppress(OSError):
                if b"pinterest-capi-sender" not in (entry / "cmdline").read_bytes():
                    continue
                held = [os.readlink(fd) for fd in (entry / "fd").iterdir()]
                if any(name.startswith(str(self.root)) for name in held) and \
                        is_alive(int(entry.name)):
                    found.append(int(entry.name))
        return found

    def workers(self):
        return [p for p in descendants(self.pid) if p not in self.senders()]

    def close(self):
        with contextlib.suppress(Exception):
            self.stop()
        with contextlib.suppress(Exception):
            if self.pid and is_alive(self.pid):
                self.kill_everything()
        for pid in self.senders():
            self.kill(pid)
        if self.fpm:
            self.fpm.stop()
        if os.environ.get("CAPI_KEEP"):
            print("kept:", self.root)
        else:
            shutil.rmtree(self.root, ignore_errors=True)

    # --- error_log ---

    def log_text(self):
        return self.error_log.read_text(errors="replace")

    def expect(self, *patterns):
        """Lines of error_log that this test provokes."""
        self.expected += patterns

    def wait_log(self, pattern, timeout=20.0):
        return wait_for(lambda: re.search(pattern, self.log_text()), f"{pattern!r} in error_log",
                        timeout)

    ORDINARY = (r"resuming normal operations", r"AH00094: Command line", r"caught SIGTERM",
                r"Graceful restart requested", r"SIGUSR1 received", r"SIGHUP received", r"caught SIGWINCH",
                r"AH00112", r"AH00558", r"\[pinterest_capi:(info|notice)\]")

    def unexpected_lines(self):
        """Of error_log, and all that the sanitizers had to say."""
        lines = [line for report in sorted(self.reports.glob("*"))
                 for line in report.read_text(errors="replace").splitlines()]
        for line in self.log_text().splitlines():
            if not line.strip():
                continue
            if any(re.search(p, line) for p in self.ORDINARY + tuple(self.expected)):
                continue
            lines.append(line)
        return lines

    # --- talking to it ---

    def request(self, method="GET", path="/", headers=None, body=None, agent=BROWSER,
                address=SHOPPER, timeout=20):
        """A request as a shopper's browser would send it. `headers` may be a list of pairs."""
        pairs = list(headers.items()) if isinstance(headers, dict) else list(headers or [])
        names = {k.lower() for k, _ in pairs}
        if agent and "user-agent" not in names:
            pairs.append(("User-Agent", agent))
        if address and "x-forwarded-for" not in names:
            pairs.append(("X-Forwarded-For", address))
        if isinstance(body, (dict, list)):
            body = json.dumps(body)
            if "content-type" not in names:
                pairs.append(("Content-Type", "application/json"))
        if isinstance(body, str):
            body = body.encode()
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        try:
            connection.putrequest(method, path, skip_host="host" in names,
                                  skip_accept_encoding=True)
            for name, value in pairs:
                connection.putheader(name, value)
            if body is not None and "content-length" not in names \
                    and "transfer-encoding" not in names:
                connection.putheader("Content-Length", str(len(body)))
            connection.endheaders(body)
            response = connection.getresponse()
            return Answer(response, response.read())
        finally:
            connection.close()

    def get(self, path="/", headers=None, **options):
        pairs = dict(headers or {})
        pairs.setdefault("Accept", "text/html,application/xhtml+xml")
        return self.request("GET", path, pairs, **options)

    def post(self, path, body, headers=None, **options):
        return self.request("POST", path, headers, body, **options)

    # --- looking behind it ---

    def recorded(self, method="GET", path="/", headers=None, body=None, agent=BROWSER,
                 address=SHOPPER):
        """(response, rows of the store) of one request to a server whose configuration has SENTINEL
        and whose events stay where they are. A second request on the same connection marks the end:
        what the first one made is in the store before it."""
        mark = f"s{time.monotonic_ns()}"
        (before,) = self.sql("SELECT coalesce(max(id), 0) AS id FROM events") or [{"id": 0}]
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            sent = {"Accept": "text/html", "X-Forwarded-For": address, "User-Agent": agent,
                    **(headers or {})}
            connection.request(method, path, body, {k: v for k, v in sent.items() if v is not None})
            response = connection.getresponse()
            response.text = response.read().decode()
            connection.request("GET", f"/index.html?sentinel={mark}",
                               headers={"X-Forwarded-For": SHOPPER, "User-Agent": BROWSER})
            connection.getresponse().read()
        finally:
            connection.close()
        wait_for(lambda: self.sql("SELECT 1 FROM events WHERE event_id = ?", mark), "the sentinel")
        rows = self.sql("SELECT e.*, o.payload, o.wants_key FROM events e LEFT JOIN outbox o "
                        "ON o.event = e.id WHERE e.id > ? AND e.name != 'sentinel' ORDER BY e.id",
                        before["id"])
        for row in rows:
            row["body"] = json.loads(row["payload"]) if row["payload"] else None
        return response, rows

    def sql(self, statement, *values):
        """Rows of the store as dictionaries; empty where it is not there yet."""
        path = self.state / "store.db"
        if not has_log(path):
            return []
        with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True,
                                                timeout=10)) as db:
            db.row_factory = sqlite3.Row
            try:
                return [dict(row) for row in db.execute(statement, values)]
            except sqlite3.OperationalError as error:
                if "no such table" in str(error):
                    return []
                raise

    def status_auto(self):
        text = self.get("/server-status?auto", address=None).text
        return dict(line.split(": ", 1) for line in text.splitlines() if ": " in line)


class Browser:
    """Cookies kept between requests, as a visitor's browser does."""

    def __init__(self, server, address=SHOPPER, agent=BROWSER):
        self.server, self.address, self.agent, self.cookies = server, address, agent, {}

    def request(self, method, path, headers=None, body=None):
        pairs = dict(headers or {})
        if self.cookies:
            pairs["Cookie"] = "; ".join(f"{k}={v}" for k, v in self.cookies.items())
        pairs.setdefault("Accept", "text/html,application/xhtml+xml")
        answer = self.server.request(method, path, pairs, body, agent=self.agent,
                                     address=self.address)
        for value in answer.header_all("Set-Cookie"):
            name, _, rest = value.partition("=")
            self.cookies[name.strip()] = rest.split(";", 1)[0]
        return answer

    def get(self, path, headers=None):
        return self.request("GET", path, headers)

    def post(self, path, body, headers=None):
        return self.request("POST", path, headers, body)
