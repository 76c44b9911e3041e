"""Starts and stops the demo: a private httpd with the module and a small shop, a stand-in for Pinterest's API and
a payment provider; then one paid journey, and what the API received of it.

    demo/run.py start [--wire guide]      demo/run.py stop

DEMO_PORT, DEMO_API_PORT: where shop and stand-in listen. DEMO_STATE: where everything of the demo lives.
DEMO_PHP: fpm or mod. DEMO_WIRE: v5 or guide. PINTEREST_AD_ACCOUNT and PINTEREST_TOKEN_FILE: talk to the real API,
in test mode."""

import argparse
import contextlib
import glob
import json
import os
import pathlib
import pwd
import re
import secrets
import shutil
import signal
import socket
import stat
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request

from journey import Trouble, fresh_click_id, shortfall, walk

HERE = pathlib.Path(__file__).resolve().parent
BUILD = HERE.parent / "build"
BUILT = ("mod_pinterest_capi.so", "pinterest-capi-sender", "pinterest-capi.cgi")
MARK = "this-is-the-pinterest-capi-demo"
DELIVERY_SECONDS = 60


def say(text=""):
    print(text, flush=True)


# --- where and as whom ---

def state_directory():
    if os.environ.get("DEMO_STATE"):
        return pathlib.Path(os.environ["DEMO_STATE"]).resolve()
    # Root's runtime directory is closed to the workers, who run as somebody else.
    home = os.environ.get("XDG_RUNTIME_DIR") if os.getuid() else None
    return pathlib.Path(home) / "pinterest-capi-demo" if home else \
        pathlib.Path(f"/tmp/pinterest-capi-demo-{os.getuid()}")


def worker_user():
    """Who the workers run as: None where httpd is not started by root."""
    if os.getuid() != 0:
        return None
    names = {entry.pw_name for entry in pwd.getpwall()}
    return next((name for name in ("www-data", "apache", "httpd", "nobody") if name in names),
                "nobody")


def is_free(port):
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return True
    return False


def pick_port(variable, usual, taken=()):
    text = os.environ.get(variable) or str(usual)
    if not text.isdigit() or not 0 < int(text) < 65536:
        raise Trouble(f"{variable} is '{text}': write a port number, for example {usual}")
    if int(text) not in taken and is_free(int(text)):
        return int(text)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    say(f"Port {text} is taken, so {port} it is ({variable} chooses).")
    return port


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def find_program(*names):
    for name in names:
        path = shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin")
        if path:
            return path
    return None


class Demo:
    def __init__(self, wire="v5"):
        self.state = state_directory()
        self.wire = wire
        self.user = worker_user()
        self.httpd = find_program("apache2", "httpd")
        self.conf = self.state / "httpd.conf"
        self.account = os.environ.get("PINTEREST_AD_ACCOUNT") or "549755885175"
        self.real_token = os.environ.get("PINTEREST_TOKEN_FILE")
        self.is_real = bool(os.environ.get("PINTEREST_AD_ACCOUNT") and self.real_token)
        self.control = None

    # --- preparing ---

    def prepare(self):
        missing = [name for name in BUILT if not (BUILD / name).exists()]
        if missing:
            raise Trouble(f"{missing[0]} is not built: run make -f Makefile.apxs first")
        if not self.httpd:
            raise Trouble("httpd is not installed: apache2 or httpd is nowhere in the path")
        if bool(os.environ.get("PINTEREST_AD_ACCOUNT")) != bool(self.real_token):
            raise Trouble("the real API needs both PINTEREST_AD_ACCOUNT and PINTEREST_TOKEN_FILE")
        if self.is_real and not os.access(self.real_token, os.R_OK):
            raise Trouble(f"PINTEREST_TOKEN_FILE: {self.real_token} cannot be read")
        self.make_state()
        # Workers and sender run as somebody who may not look into the folder of this project.
        for name in BUILT:
            shutil.copy(BUILD / name, self.state / "bin")
        shutil.copytree(HERE / "shop", self.state / "htdocs")
        key = self.state / "orders" / "payment.key"
        key.write_text(secrets.token_hex(32) + "\n")
        key.chmod(0o640)
        token = self.state / "pinterest.token"
        token.touch(mode=0o600)
        token.write_text("pina_" + secrets.token_hex(24) + "\n")
        if self.user:
            for path in (self.state / "orders", self.state / "sessions", key):
                shutil.chown(path, self.user, pwd.getpwnam(self.user).pw_gid)

    def make_state(self):
        try:
            self.state.mkdir(mode=0o755)
        except FileExistsError:
            status = self.state.lstat()
            if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid() or \
                    (any(self.state.iterdir()) and not (self.state / MARK).exists()):
                raise Trouble(f"{self.state} is there and not the demo's: set DEMO_STATE")
            clear(self.state)
            self.state.chmod(0o755)
        (self.state / MARK).touch()
        for name in ("bin", "run", "log", "orders", "sessions", "api"):
            (self.state / name).mkdir()

    def modules(self):
        apxs = find_program("apxs", "apxs2")
        folder = subprocess.check_output([apxs, "-q", "LIBEXECDIR"], text=True).strip() \
            if apxs else "/usr/lib/apache2/modules"
        return pathlib.Path(folder)

    def php(self):
        """(MPM, name of the way) to run PHP: php-fpm behind event, or mod_php in prefork."""
        wanted = os.environ.get("DEMO_PHP")
        fpm = find_program("php-fpm", *sorted((pathlib.Path(p).name for p in
                                               glob.glob("/usr/sbin/php-fpm*")), reverse=True))
        module = sorted(self.modules().glob("libphp*.so"))
        if fpm and wanted != "mod" and (self.modules() / "mod_proxy_fcgi.so").exists():
            return "event", fpm
        if module and wanted != "fpm":
            return "prefork", str(module[-1])
        raise Trouble("PHP is missing: install php-fpm or libapache2-mod-php")

    def configure(self):
        mpm, php = self.php()
        folder = self.modules()
        names = [f"mpm_{mpm}", "unixd", "authz_core", "authz_host", "dir", "mime", "alias", "env",
                 "headers", "remoteip", "setenvif", "status", "cgid" if mpm == "event" else "cgi"]
        names += ["proxy", "proxy_fcgi"] if mpm == "event" else []
        loads = [f"LoadModule {name}_module {folder}/mod_{name}.so" for name in names
                 if (folder / f"mod_{name}.so").exists()]
        if mpm == "event":
            loads += [f"ScriptSock {self.state}/run/cgid.sock"]
            handler = (f'<FilesMatch "\\.php$">\n    SetHandler "proxy:unix:{self.state}/run/'
                       'fpm.sock|fcgi://localhost"\n</FilesMatch>')
        else:
            loads += [f"LoadModule php_module {php}"]
            handler = ('<FilesMatch "\\.php$">\n    SetHandler application/x-httpd-php\n'
                       f"</FilesMatch>\nphp_admin_value session.save_path {self.state}/sessions")
        types = next((path for path in ("/etc/mime.types", "/etc/httpd/conf/mime.types")
                      if os.path.exists(path)), "/dev/null")
        api = "PinterestCapiTest On" if self.is_real else \
            (f"PinterestCapiApiUrl https://localhost:{self.api_port}/v5\n"
             f"PinterestCapiApiCAFile {self.state}/api/ca.pem")
        values = {
            "STATE": self.state, "PORT": self.port, "PAYMENTS_PORT": self.payments_port,
            "USER": f"User {self.user}\nGroup #{pwd.getpwnam(self.user).pw_gid}" if self.user
                    else "",
            "MODULES": "\n".join(loads), "PHP": handler, "TYPES": types, "WIRE": self.wire,
            "ACCOUNT": self.account, "API": api,
            "TOKEN_FILE": self.real_token if self.is_real else self.state / "pinterest.token"}
        self.conf.write_text(re.sub(r"@([A-Z_]+)@", lambda m: str(values[m[1]]),
                                    (HERE / "httpd.conf.in").read_text()))
        return mpm, php

    # --- processes: each with its pid and its start in a file, so that stop ends no stranger ---

    def spawn(self, name, *command):
        log = open(self.state / "log" / f"{name}.log", "ab")
        process = subprocess.Popen(list(map(str, command)), stdin=subprocess.DEVNULL, stdout=log,
                                   stderr=log, start_new_session=True, cwd="/")
        log.close()
        (self.state / "run" / f"{name}.pid").write_text(f"{process.pid} {start_of(process.pid)}")
        return process

    def wait_for(self, condition, what, process=None, seconds=20.0):
        deadline = time.monotonic() + seconds
        while True:
            value = condition()
            if value:
                return value
            if process and process.poll() is not None:
                raise Trouble(f"{what}: it ended with status {process.returncode}")
            if time.monotonic() > deadline:
                raise Trouble(f"waited {seconds:.0f} s for {what}")
            time.sleep(0.05)

    def start_api(self):
        process = self.spawn("standin", sys.executable, HERE / "standin.py", "serve",
                             self.state / "api", "--port", self.api_port, "--wire", self.wire,
                             "--token-file", self.state / "pinterest.token")
        log = self.state / "log" / "standin.log"
        line = self.wait_for(lambda: re.search(r"^\{.*\}$", log.read_text(), re.M),
                             "the stand-in API", process)
        self.control = json.loads(line[0])["control"]

    def start_payments(self):
        process = self.spawn("payments", sys.executable, HERE / "payments.py", "--port",
                             self.payments_port, "--key", self.state / "orders" / "payment.key",
                             "--webhook", f"http://127.0.0.1:{self.port}/webhook.php")
        self.wait_for(lambda: is_listening(self.payments_port), "the payment provider", process)

    def start_fpm(self, program):
        conf = self.state / "fpm.conf"
        owner = f"user = {self.user}\nlisten.owner = {self.user}\n" if self.user else ""
        conf.write_text(
            f"[global]\nerror_log = {self.state}/log/fpm.log\ndaemonize = no\n"
            f"[shop]\n{owner}listen = {self.state}/run/fpm.sock\n"
            "pm = static\npm.max_children = 4\ncatch_workers_output = yes\n"
            f"php_admin_value[session.save_path] = {self.state}/sessions\n")
        process = self.spawn("fpm", program, "-F", "-y", conf, *(["-R"] if not self.user and
                                                                os.getuid() == 0 else []))
        self.wait_for((self.state / "run" / "fpm.sock").exists, "php-fpm", process)

    def run_httpd(self, *arguments):
        return subprocess.run([self.httpd, "-d", str(self.state), "-f", str(self.conf),
                               *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              stdin=subprocess.DEVNULL, text=True, timeout=120)

    def start_httpd(self):
        for arguments in (("-t",), ("-k", "start")):
            done = self.run_httpd(*arguments)
            if done.returncode != 0:
                raise Trouble(f"httpd {' '.join(arguments)} says: {done.stdout.strip()}")
        self.wait_for(lambda: is_listening(self.port), "httpd")

    def start(self):
        self.prepare()
        self.port = pick_port("DEMO_PORT", 8080)
        self.api_port = 0 if self.is_real else pick_port("DEMO_API_PORT", 8443, (self.port,))
        self.payments_port = free_port()
        mpm, php = self.configure()
        if not self.is_real:
            self.start_api()
        self.start_payments()
        if mpm == "event":
            self.start_fpm(php)
        self.start_httpd()

    def stop(self):
        """Ends what start() began, and nothing else. True where something ran."""
        if not (self.state / MARK).exists():
            return False
        self.stop_httpd()
        for path in sorted((self.state / "run").glob("*.pid")):
            with contextlib.suppress(ValueError):
                pid, began = path.read_text().split()
                end_process(int(pid), began)
        for pid in strays(self.state):
            end_process(pid, start_of(pid))
        clear(self.state)
        self.state.rmdir()
        return True

    def stop_httpd(self):
        with contextlib.suppress(OSError, ValueError):
            pid = int((self.state / "run" / "httpd.pid").read_text())
            began = start_of(pid)
            if began and str(self.state) in command_of(pid):
                os.kill(pid, signal.SIGTERM)
                wait_end(pid, began, 40)
                end_process(pid, began)

    # --- looking behind it ---

    def processed(self, count=0, seconds=0):
        return fetch_json(f"{self.control}/processed?wait={count}&timeout={seconds}")

    def delivery(self, event_id):
        """The admin page's word on one event; None while it has none."""
        found = fetch_json(f"http://127.0.0.1:{self.port}/pinterest-capi/deliveries.json?"
                           + urllib.parse.urlencode({"q": event_id}))["deliveries"]
        return next((d for d in found if d["event_id"] == event_id), None)

    def error_log(self):
        with contextlib.suppress(OSError):
            return "".join((self.state / "log" / "error.log").read_text().splitlines(True)[-25:])
        return ""


def clear(directory):
    for path in directory.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


def start_of(pid):
    """When the process started, in the kernel's ticks; '' if there is none, or a dead one."""
    with contextlib.suppress(OSError):
        fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        return fields[19] if fields[0] != "Z" else ""
    return ""


def command_of(pid):
    with contextlib.suppress(OSError):
        return pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    return ""


def strays(state):
    """Processes that run a program of the demo's, or httpd with its configuration: what is left
    where httpd's parent was killed."""
    found = []
    for entry in pathlib.Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if entry.name.isdigit() and (os.readlink(entry / "exe").startswith(f"{state}/bin/") or
                                         f" -f {state}/httpd.conf " in command_of(entry.name)):
                found.append(int(entry.name))
    return found


def wait_end(pid, began, seconds):
    deadline = time.monotonic() + seconds
    while start_of(pid) == began and time.monotonic() < deadline:
        with contextlib.suppress(ChildProcessError):
            os.waitpid(pid, os.WNOHANG)
        time.sleep(0.05)
    return start_of(pid) != began


def end_process(pid, began):
    for number in (signal.SIGTERM, signal.SIGKILL):
        if not began or start_of(pid) != began:
            return
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
        if wait_end(pid, began, 10):
            return


def is_listening(port):
    with contextlib.suppress(OSError):
        socket.create_connection(("127.0.0.1", port), 1).close()
        return True
    return False


def fetch_json(url):
    with urllib.request.urlopen(url, timeout=DELIVERY_SECONDS + 10) as answer:
        return json.load(answer)


# --- what came of it ---

def purchase_of(demo, order):
    """The purchase as the API got it, and all other events, in order."""
    event_id = f"ord_{order}_purchase"
    deadline = time.monotonic() + DELIVERY_SECONDS
    events = []
    while time.monotonic() < deadline:
        events = demo.processed(len(events) + 1, 5)
        purchase = next((e for e in events if e["event_id"] == event_id), None)
        if purchase:
            return purchase, [e for e in events if e is not purchase]
    raise Trouble(f"{event_id} did not arrive within {DELIVERY_SECONDS} s; the API has "
                  f"{[e['event_id'] for e in events]}")


def show_stand_in(demo, order, click_id):
    purchase, others = purchase_of(demo, order)
    say("\nThe purchase, as the API received it:\n")
    say(json.dumps(purchase, indent=2, ensure_ascii=False))
    say("\nAnd before it:\n")
    for event in others:
        say(f"  {event['event_name']:<18} {event['event_id']:<44} "
            f"{event.get('event_source_url', '')}")
    lacks = shortfall(purchase, click_id, demo.wire)
    if lacks:
        raise Trouble("the purchase arrived incomplete: " + "; ".join(lacks))


def show_record(demo, order):
    """The admin page's line; with the real API it is all there is to see."""
    found, deadline = None, time.monotonic() + DELIVERY_SECONDS
    while found is None or found["state"] in ("queued", "sending", "retrying"):
        if time.monotonic() > deadline:
            raise Trouble(f"after {DELIVERY_SECONDS} s the admin page says of the purchase: "
                          f"{found and {k: found[k] for k in ('state', 'retries', 'error')}}")
        time.sleep(0.2)
        found = demo.delivery(f"ord_{order}_purchase")
    say(f"\nThe admin page says: {found['event_id']} is {found['state']}, HTTP "
        f"{found['http_status']}, request id {found['request_id']}, match keys "
        f"{', '.join(found['match_keys'])}.")
    if found["state"] != "delivered":
        raise Trouble(f"the purchase was {found['state']}: {found['error'] or 'no reason given'}")


def start(wire):
    demo = Demo(wire)
    if demo.stop():
        say("Stopped the demo that was running.")
    try:
        demo.start()
        click_id = fresh_click_id()
        base = f"http://localhost:{demo.port}"
        say(f"A shopper clicks an ad, puts two things into the bag and pays ({base}).")
        order = walk(base, click_id)
        say(f"Order {order} is placed; its payment webhook comes without cookies, from elsewhere.")
        if not demo.is_real:
            show_stand_in(demo, order, click_id)
        show_record(demo, order)
    except (Trouble, OSError, subprocess.SubprocessError) as trouble:
        say(f"\nThe demo failed: {trouble}")
        if demo.error_log():
            say(f"\nThe end of its error_log:\n{demo.error_log()}")
        if not os.environ.get("DEMO_KEEP"):
            demo.stop()
        return 1
    where = "Pinterest's API, in test mode" if demo.is_real else \
        f"https://localhost:{demo.api_port}/v5, the stand-in ({demo.control}/requests)"
    say(f"\n  shop        {base}/?epik={click_id}\n  admin page  {base}/pinterest-capi/\n"
        f"  API         {where}\n  files       {demo.state}\n\n"
        "It stays up until: make -f Makefile.apxs demo-stop")
    return 0


def main():
    os.umask(0o022)  # the workers, who are somebody else, have to read what is made here
    parser = argparse.ArgumentParser(description="The demo of mod_pinterest_capi.")
    parser.add_argument("command", choices=["start", "stop"])
    parser.add_argument("--wire", choices=["v5", "guide"],
                        default=os.environ.get("DEMO_WIRE") or "v5")
    options = parser.parse_args()
    if options.wire not in ("v5", "guide"):
        parser.error(f"DEMO_WIRE is '{options.wire}': write v5 or guide")
    if options.command == "start":
        return start(options.wire)
    say("The demo is stopped." if Demo().stop() else "No demo is running.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
