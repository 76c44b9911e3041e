"""A store as the sender leaves it, filled by hand. Its tables are read from the header that the
sender itself uses, so that both can never differ."""

import pathlib
import re
import sqlite3
import time

TOP = pathlib.Path(__file__).resolve().parents[2]
KEYS = ["em", "ph", "ge", "db", "fn", "ln", "ct", "st", "zp", "country", "external_id",
        "hashed_maids", "click_id", "client_ip_address", "client_user_agent", "partner_id"]
STATES = {"queued": 0, "retrying": 2, "delivered": 10, "rejected": 11, "suppressed": 12,
          "unconfirmed": 13, "expired": 14}
SOURCES = {"browser": 1, "rule": 2, "header": 3, "backend": 4}
CONSENT = {"unknown": 0, "granted": 1, "denied": 2}


def schema():
    """The statements of store_sql.h that make tables, in order."""
    text = (TOP / "src/core/store_sql.h").read_text().replace("\\\n", " ")
    for line in text.splitlines():
        macro = re.match(r"#define SQL_\w+\s+(\".*)", line)
        if macro:
            sql = "".join(re.findall(r'"((?:[^"\\]|\\.)*)"', macro[1]))
            if sql.startswith(("CREATE", "ALTER")):
                yield sql


def bits(keys):
    return sum(1 << KEYS.index(key) for key in keys)


class Store:
    def __init__(self, path, wal=True):
        self.path = pathlib.Path(path)
        self.db = sqlite3.connect(self.path, isolation_level=None)
        self.db.execute("PRAGMA synchronous=OFF")
        if wal:
            self.db.execute("PRAGMA journal_mode=WAL")
        for sql in schema():
            self.db.execute(sql)
        version = re.search(r"#define CAPI_SCHEMA_VERSION (\d+)",
                            (TOP / "src/core/store_int.h").read_text())[1]
        self.db.execute("INSERT INTO meta VALUES ('schema_version', ?)", (version,))
        self.db.execute("INSERT INTO meta VALUES ('page_secret', ?)", ("fedcba98" * 4,))
        self.now = time.time()

    def insert(self, table, **values):
        columns = ", ".join(values)
        marks = ", ".join("?" * len(values))
        return self.db.execute(f"INSERT INTO {table} ({columns}) VALUES ({marks})",
                               tuple(values.values())).lastrowid

    def destination(self, account="549755885175", api_url="https://api.pinterest.com/v5", test=0,
                    wire=1, held=None, held_since=None, waiting=0):
        since = int((held_since or self.now) * 1e6) if held else None
        return self.insert("destinations", account=account, api_url=api_url, test=test, wire=wire,
                           held_since=since, held_reason=held, waiting=waiting)

    def attempt(self, destination, http_status=200, request_id="7140332512305611", error=None,
                events=1, started=None, finished=True, place=((0, 0), (0, 0))):
        started = started or self.now
        return self.insert("attempts", destination=destination, started_at=int(started * 1e6),
                           finished_at=int((started + .21) * 1e6) if finished else None,
                           http_status=http_status if finished else None,
                           request_id=request_id if finished else None, error=error, events=events,
                           from_due=place[0][0], from_event=place[0][1], to_due=place[1][0],
                           to_event=place[1][1])

    def event(self, destination, event_id, sent_as="checkout", name=None, state="delivered",
              source="header", consent="granted", signal="default", keys=("em", "click_id"),
              received=None, happened=None, attempt=None, retries=0, error=None, warning=None,
              due=None, count=True, **columns):
        received = received or self.now
        settled = STATES[state] >= 10
        row = self.insert(
            "events", destination=destination, sent_as=sent_as, event_id=event_id,
            name=name or sent_as, event_time=int(happened or received),
            received_at=int(received * 1e6), settled_at=int(received * 1e6) if settled else None,
            source=SOURCES[source], state=STATES[state], consent=CONSENT[consent],
            consent_signal=signal, match_keys=bits(keys), is_named=1, attempt=attempt,
            retries=retries, error=error, warning=warning, **columns)
        if not settled:
            self.insert("outbox", event=row, destination=destination,
                        due=int((due or received) * 1e6), ready_at=int(received * 1e6),
                        expires_at=int(received + 604800), flags=0, source=SOURCES[source],
                        match_keys=bits(keys), payload="{}")
            self.db.execute("UPDATE destinations SET waiting = waiting + 1 WHERE id = ?",
                            (destination,))
        if count:
            self.count(destination, sent_as, "received", received)
            if settled:
                self.count(destination, sent_as, state, received)
            if state == "delivered":
                for key in keys:
                    self.count(destination, sent_as, f"key:{key}", received)
        return row

    def count(self, destination, sent_as, what, when=None, n=1):
        hour = int((when or self.now) // 3600)
        for place in {hour, -(hour // 24)}:
            self.db.execute(
                "INSERT INTO counters VALUES (?, ?, ?, ?, ?) ON CONFLICT (hour, destination,"
                " sent_as, what) DO UPDATE SET n = n + excluded.n", (place, destination, sent_as, what, n))

    def total(self, destination, sent_as, what, n):
        """The sum over all hours, which the sender keeps beside those of each hour."""
        self.count(destination, sent_as, what, 0.1, n)

    def note(self, **notes):
        for name, value in notes.items():
            self.db.execute("INSERT OR REPLACE INTO notes VALUES (?, ?)", (name, str(value)))

    def close(self):
        self.db.close()
