"""Private database servers: a data directory of their own, no network, thrown away afterwards."""

import contextlib
import os
import pathlib
import pwd
import shutil
import signal
import subprocess
import tempfile

import pytest

from waiting import wait_for

def newest(pattern):
    found = sorted(pathlib.Path("/").glob(pattern))
    return str(found[-1]) if found else None


class Server:
    """`name`: what the driver is called; `params`: what PinterestCapiStore says after it."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.data, self.socket_dir = self.folder / "data", self.folder / "socket"
        self.socket_dir.mkdir()
        # Neither server runs as root.
        self.owner = pwd.getpwnam("nobody") if os.getuid() == 0 else None
        if self.owner:
            for path in [self.folder, self.socket_dir]:
                os.chown(path, self.owner.pw_uid, self.owner.pw_gid)
            self.folder.chmod(0o755)
        self.process = None
        self.install()
        self.start()

    def run(self, *command, **options):
        return subprocess.run(list(map(str, command)), stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True, cwd="/", **options)

    def as_user(self):
        return {"user": self.owner.pw_uid, "group": self.owner.pw_gid, "extra_groups": []} \
            if self.owner else {}

    def start(self):
        with open(self.folder / "log", "ab") as log:
            self.process = subprocess.Popen(self.command(), stdout=log, stderr=log, cwd="/",
                                            **self.as_user())
        wait_for(self.is_up, f"{self.command()[0]}", 60)

    def is_up(self):
        assert self.process.poll() is None, (self.folder / "log").read_text()[-2000:]
        return self.client("SELECT 1").returncode == 0

    def sql(self, text):
        done = self.client(text)
        assert done.returncode == 0, done.stderr
        return [tuple(line.split("\t")) for line in done.stdout.splitlines()]

    def look(self, text):
        """The same; nothing while the tables are not there yet."""
        done = self.client(text)
        return [tuple(line.split("\t")) for line in done.stdout.splitlines()]

    def kill(self):
        self.process.kill()
        self.process.wait()

    def close(self):
        self.process.send_signal(self.stop)
        self.process.wait()


class Postgres(Server):
    name, schema = "pgsql", ""
    stop = signal.SIGINT  # it would wait for its clients
    home = newest("usr/lib/postgresql/*/bin")

    @classmethod
    def what_is_missing(cls):
        if not cls.home:
            return "postgresql is not installed"
        return None if newest("usr/lib/*/apr-util-1/apr_dbd_pgsql.so") else \
            "libaprutil1-dbd-pgsql is not installed"

    def install(self):
        done = self.run(f"{self.home}/initdb", "-D", self.data, "-U", "capi", "--auth=trust",
                        "-E", "UTF8", "--no-locale", "--no-sync", **self.as_user())
        assert done.returncode == 0, done.stderr
        self.params = f"host={self.socket_dir} dbname=postgres user=capi connect_timeout=5"

    def command(self):
        return [f"{self.home}/postgres", "-D", str(self.data), "-k", str(self.socket_dir), "-c",
                "listen_addresses=", "-c", "fsync=off", "-c", "shared_buffers=16MB"]

    def client(self, text):
        return self.run(f"{self.home}/psql", "-h", self.socket_dir, "-U", "capi", "-d", "postgres",
                        "-AtqF", "\t", "-c", text)

    def cut_connections(self):
        self.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <>"
                 " pg_backend_pid() AND datname = 'postgres'")

    def forget_all(self):
        self.sql("DROP SCHEMA public CASCADE; CREATE SCHEMA public")


class MariaDb(Server):
    name, schema = "mysql", "capi."
    stop = signal.SIGTERM

    @classmethod
    def what_is_missing(cls):
        if not shutil.which("mariadbd", path="/usr/sbin:/usr/bin"):
            return "mariadb-server-core is not installed"
        return None if newest("usr/lib/*/apr-util-1/apr_dbd_mysql.so") else \
            "libaprutil1-dbd-mysql is not installed"

    def install(self):
        done = self.run("mariadb-install-db", "--no-defaults", f"--datadir={self.data}",
                        "--auth-root-authentication-method=normal", "--skip-test-db",
                        **self.as_user())
        assert done.returncode == 0, done.stderr + done.stdout
        self.params = f"sock={self.socket_dir}/my,user=root,dbname=capi"

    def command(self):
        return ["/usr/sbin/mariadbd", "--no-defaults", f"--datadir={self.data}",
                f"--socket={self.socket_dir}/my", "--skip-networking",
                f"--pid-file={self.folder}/pid", "--innodb-flush-log-at-trx-commit=2",
                "--innodb-buffer-pool-size=32M"]

    def client(self, text):
        return self.run("mariadb", "--no-defaults", f"--socket={self.socket_dir}/my", "-uroot",
                        "-NBe", text)

    def is_up(self):
        return super().is_up() and self.client("CREATE DATABASE IF NOT EXISTS capi;"
                                               " USE capi").returncode == 0

    def cut_connections(self):
        for (number,) in self.sql("SELECT id FROM information_schema.processlist WHERE db = 'capi'"):
            self.sql(f"KILL {number}")

    def forget_all(self):
        self.sql("DROP DATABASE IF EXISTS capi; CREATE DATABASE capi")


@contextlib.contextmanager
def running(kind):
    """One server of a kind, for a fixture; the test is skipped where it is not installed."""
    missing = kind.what_is_missing()
    if missing:
        pytest.skip(missing)
    # Not pytest's own place, which is closed to the server's user.
    folder = tempfile.mkdtemp(prefix="capi-database-")
    server = kind(folder)
    try:
        yield server
    finally:
        server.close()
        shutil.rmtree(folder)
