"""Three ledgers of numbered events: what callers were told, what the store says, what the API got."""

import collections
import threading
import time

DELIVERED, SUPPRESSED = 10, 12  # states in the store


class Said:
    """One numbered event as its caller knows it."""

    def __init__(self, source, began, event_id=None, is_denied=False):
        self.source, self.began = source, began
        self.event_id, self.is_denied = event_id, is_denied


class Ledger:
    """Serial numbers travel in custom_data.content_name, so that an event is known by its number
    whatever id it has by then."""

    def __init__(self):
        self.lock = threading.Lock()
        self.said = {}       # serial: Said; its caller was told that it is taken
        self.arrivals = {}   # serial: [(moment, event_id)]
        self.deaths = []     # moments at which a sender was killed
        self.hits = 0        # what may keep an answered page's event from the queue
        self.minds = []      # (event_id of a grant, event_id of the denial after it)

    def tell(self, serials, source, began, ids=None, is_denied=False):
        with self.lock:
            for place, serial in enumerate(serials):
                self.said[serial] = Said(source, began, ids and ids[place], is_denied)

    def arrive(self, events):
        """What the API takes in, before it answers."""
        moment = time.monotonic()
        with self.lock:
            for event in events:
                serial = event["custom_data"]["content_name"]
                self.arrivals.setdefault(serial, []).append((moment, event["event_id"]))

    def count_said(self, source=None):
        with self.lock:
            return sum(source in (None, said.source) for said in self.said.values())

    def awaited(self):
        """Serials that were promised and have not arrived. A page's event is promised by nobody."""
        with self.lock:
            return [s for s, said in self.said.items() if s not in self.arrivals
                    and not said.is_denied and said.source != "php"]

    def verdict(self, store):
        return Verdict(self, store)


class Verdict:
    """`store` is a function that answers SQL with rows."""

    def __init__(self, ledger, store):
        with ledger.lock:
            said, arrivals = dict(ledger.said), dict(ledger.arrivals)
        rows = store("SELECT event_id, state FROM events")
        by_id = collections.Counter(row["event_id"] for row in rows)
        delivered = {row["event_id"] for row in rows if row["state"] == DELIVERED}
        arrived = {i for moments in arrivals.values() for _, i in moments}
        self.accepted = collections.Counter(s.source for s in said.values() if not s.is_denied)
        self.denied = sum(s.is_denied for s in said.values())
        self.delivered = len(arrivals)
        self.lost = ledger.awaited()
        self.unheard = [s for s, one in said.items() if one.source == "php"
                        and not one.is_denied and s not in arrivals]
        self.most_unheard = ledger.hits
        self.second_ids = [s for s, moments in arrivals.items()
                           if len({i for _, i in moments}) > 1 or
                           (s in said and said[s].event_id not in (None, moments[0][1]))]
        self.second_ids += [i for i, count in by_id.items() if count > 1]
        self.after_denial = [s for s in arrivals if s in said and said[s].is_denied]
        self.after_denial += [a for a, b in ledger.minds if sent_after(store, a, b)]
        self.repeats = {s: moments for s, moments in arrivals.items() if len(moments) > 1}
        self.unexplained = [s for s, moments in self.repeats.items() if not any(
            s not in said or said[s].began <= death <= moments[-1][0] for death in ledger.deaths)]
        self.extra = sum(len(moments) - 1 for moments in self.repeats.values())
        self.interrupted = store("SELECT COALESCE(SUM(events), 0) AS n FROM attempts"
                                 " WHERE error = 'interrupted'")[0]["n"]
        # Sent by a sender that died before it could put that down, then withdrawn by the denial.
        withdrawn = {granted for granted, _ in ledger.minds}
        self.contradictions = sorted(delivered - arrived | arrived - delivered - withdrawn)

    def __str__(self):
        accepted = ", ".join(f"{n} {source}" for source, n in sorted(self.accepted.items()))
        lines = [f"accepted            {sum(self.accepted.values())} ({accepted}), and "
                 f"{self.denied} denied",
                 f"delivered           {self.delivered}"]
        for name, found in (("lost", self.lost), ("sent under two ids", self.second_ids),
                            ("sent after a denial", self.after_denial),
                            ("store against API", self.contradictions),
                            ("repeats, no death", self.unexplained)):
            lines.append(f"{name:<20}{len(found)}{'  ' if found else ''}{', '.join(found[:5])}")
        lines += [f"repeats, same id    {self.extra}, at most {self.interrupted}: what dead senders had "
                  "sent and not yet put down",
                  f"never in the queue  {len(self.unheard)} of PHP's pages, at most "
                  f"{self.most_unheard}: their workers were killed after the answer, or the queue "
                  "was busy"]
        return "\n".join(lines)

    def check(self, is_store_whole=True):
        """`is_store_whole` is false where part of what was settled is in a store that was lost."""
        assert not (self.lost or self.second_ids or self.after_denial or self.unexplained), \
            f"\n{self}"
        assert not (is_store_whole and self.contradictions), f"\n{self}"
        assert self.extra <= self.interrupted, f"\n{self}"
        assert len(self.unheard) <= self.most_unheard, f"\n{self}"
        return self


class Total:
    """Verdicts that were all in order, added up."""

    def __init__(self):
        self.legs = self.kills = self.restarts = 0
        self.accepted = self.denied = self.delivered = self.repeats = self.unheard = 0

    def add(self, verdict, chaos):
        self.legs += 1
        self.kills += chaos.kills
        self.restarts += chaos.restarts
        self.accepted += sum(verdict.accepted.values())
        self.denied += verdict.denied
        self.delivered += verdict.delivered
        self.repeats += verdict.extra
        self.unheard += len(verdict.unheard)

    def has(self, kills, restarts, events):
        return self.kills >= kills and self.restarts >= restarts and self.accepted >= events

    def __str__(self):
        return (f"{self.kills} kills and {self.restarts} restarts in {self.legs} legs\n"
                f"accepted            {self.accepted}, and {self.denied} denied\n"
                f"delivered           {self.delivered}\n"
                "lost                0\nsent under two ids  0\nsent after a denial 0\n"
                f"repeats, same id    {self.repeats}: what dead senders had sent and not yet put down\n"
                f"never in the queue  {self.unheard} of PHP's pages, whose workers were killed "
                "after the answer, or the queue was busy")


def sent_after(store, granted, denial):
    """True where a request with the granted event began after the denial had been taken in: a denied
    event is settled by its intake."""
    return bool(store(
        "SELECT 1 FROM events a JOIN attempts t ON t.id = a.attempt JOIN events b ON"
        " b.event_id = ? WHERE a.event_id = ? AND a.state = 10 AND t.started_at > b.settled_at",
        denial, granted))
