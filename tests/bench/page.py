"""CPU milliseconds of the admin page in front of so many deliveries, each of its views. The store
is filled in bulk with the schema's own statements; its counters are those of 60 busy days."""

import os
import pathlib
import resource
import statistics
import subprocess
import sys
import tempfile

from server import BUILD

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "cgi"))
from store import KEYS, Store  # noqa: E402

NAMES = {"page_visit": 75, "view_category": 8, "add_to_cart": 8, "search": 4,
         "initiate_checkout": 3, "checkout": 2}
PROGRAM = BUILD / "pinterest-capi.cgi"
VIEWS = {"the page": ("/", ""), "30 days": ("/", "period=30d"),
         "a search that finds nothing": ("/", "q=nowhere"), "rejected": ("/", "state=rejected"),
         "status.json": ("/status.json", ""), "metrics": ("/metrics", "")}
HOURS = 60 * 24
TURNS = 7


def add_events(store, shop, count):
    """Ids grow with time as UUIDv7 does; one in ten thousand was rejected."""
    attempt = store.attempt(shop)
    first = int((store.now - 30 * 86400) * 1e6)
    step = max(1, int(30 * 86400e6 / count))
    cases = " ".join(f"WHEN n % 100 < {end} THEN '{name}'" for name, end in zip(
        NAMES, [sum(list(NAMES.values())[:i + 1]) for i in range(len(NAMES))]))
    store.db.execute("BEGIN")
    store.db.execute(
        "WITH RECURSIVE numbers (n) AS (VALUES (1) UNION ALL SELECT n + 1 FROM numbers LIMIT ?)"
        " INSERT INTO events (destination, sent_as, event_id, name, event_time, received_at,"
        " settled_at, source, state, consent, consent_signal, match_keys, is_named, attempt, error)"
        f" SELECT ?1 * 0 + ?2, CASE {cases} END, printf('%012x-7%03x-8000-%012x', n, n % 4096, n),"
        f" CASE {cases} END, (?3 + n * ?4) / 1000000, ?3 + n * ?4, ?3 + n * ?4 + 2000000, 2,"
        " CASE WHEN n % 10000 = 0 THEN 11 ELSE 10 END, 1, 'cmp klaro', 28673, n % 20 = 0, ?5,"
        " CASE WHEN n % 10000 = 0 THEN 'Invalid currency' END FROM numbers",
        (count, shop, first, step, attempt))
    store.db.execute("COMMIT")


def add_counters(store, shop):
    """Every hour saw every name with every key and outcome."""
    kinds = ["received", "delivered", "rejected", "suppressed", "duplicate", "merged", "retried",
             "unconfirmed", "latency_seconds", "latency:1", "latency:2", "latency:5", "latency:30",
             "latency:60", "consent:granted:cmp klaro:sent", "consent:denied:cmp klaro:suppressed",
             "consent:denied:gpc:suppressed", *(f"key:{key}" for key in KEYS)]
    now = int(store.now // 3600)
    store.db.execute("BEGIN")
    for hour in [0, *range(now - HOURS, now + 1), *range(-(now // 24), -(now // 24) + HOURS // 24)]:
        store.db.executemany("INSERT INTO counters VALUES (?, ?, ?, ?, ?)",
                             [(hour, shop, name, kind, share * 7) for name, share in NAMES.items()
                              for kind in kinds])
    store.db.execute("COMMIT")


def milliseconds(store, path, query):
    environment = {"REQUEST_METHOD": "GET", "PATH_INFO": path, "QUERY_STRING": query,
                   "SCRIPT_NAME": "/pinterest-capi", "GATEWAY_INTERFACE": "CGI/1.1",
                   "PINTEREST_CAPI_STORE": f"sqlite3 {store.path}", "PINTEREST_CAPI_ADMIN": "On",
                   "PINTEREST_CAPI_RETENTION": "30"}
    turns = []
    for _ in range(TURNS):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = subprocess.run([PROGRAM], env=environment, capture_output=True, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        assert b"\nStatus: 200 " in done.stdout or b"\nStatus: 503 " in done.stdout
        turns.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return 1000 * statistics.median(turns)


def main():
    counts = [int(word) for word in os.environ.get("PAGE_DELIVERIES", "100 1000000").split()]
    print(f"\nAdmin page, CPU ms, median of {TURNS} (PAGE_DELIVERIES=\"100 10000000\" for other"
          " numbers)\n")
    print("| deliveries | " + " | ".join(VIEWS) + " |")
    print("| ---: |" + " ---: |" * len(VIEWS))
    for count in counts:
        with tempfile.TemporaryDirectory(prefix="capi-page-") as folder:
            store = Store(pathlib.Path(folder) / "store.db")
            shop = store.destination()
            add_events(store, shop, count)
            add_counters(store, shop)
            store.db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            figures = [milliseconds(store, *view) for view in VIEWS.values()]
            store.close()
        print(f"| {count:,} | " + " | ".join(f"{figure:.0f}" for figure in figures) + " |",
              flush=True)


if __name__ == "__main__":
    main()
