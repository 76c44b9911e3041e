"""The long round: so many random kills and restarts under load, over so many accepted events, in legs
that each compare the three ledgers. `make -f Makefile.apxs soak`.

SOAK_KILLS, SOAK_RESTARTS and SOAK_EVENTS say how much, SOAK_MINUTES how long at most (it goes on until
all are reached or the time is over), CAPI_SEED which."""

import os
import pathlib
import random
import shutil
import sys
import tempfile
import time

TESTS = pathlib.Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TESTS / name) for name in ("faults", "httpd", "sender")]

from chaos import Chaos  # noqa: E402
from harness import HOLDING_MODULE, MODULE, Shop  # noqa: E402
from ledger import Total  # noqa: E402

# The last two hold the queue's mutex for milliseconds, so that workers often die with it.
KINDS = (({"mpm": "event", "php": "fpm"}, MODULE), ({"mpm": "prefork", "php": "mod"}, MODULE),
         ({"mpm": "event", "php": "fpm"}, HOLDING_MODULE),
         ({"mpm": "prefork", "php": "mod"}, HOLDING_MODULE))
LEG = {"kills": 50, "restarts": 10, "events": 15000}


def wanted(name, default):
    return int(os.environ.get(f"SOAK_{name}", default))


def run_leg(folder, kind, rng, total, until):
    shop = Shop(folder, **kind[0], size=20, pause=0.01)
    shop.httpd.module_file = kind[1]
    shop.delay = 0.03  # a sender that dies while it waits for an answer repeats the request
    chaos = Chaos(shop, rng)
    try:
        shop.open(each=2)
        while not chaos.is_done(LEG["kills"], LEG["restarts"]) and time.monotonic() < until:
            chaos.step(LEG["kills"], LEG["restarts"])
        chaos.end_troubles()
        while shop.ledger.count_said() < LEG["events"] and time.monotonic() < until:
            time.sleep(0.1)
        shop.wait_said(100, timeout=120)
        verdict = shop.settle(300)
        shop.check_incidents()
    except BaseException:
        print(f"this leg's files are kept in {shop.httpd.root}; so far: {' '.join(chaos.done)}")
        os.environ["CAPI_KEEP"] = "1"
        raise
    finally:
        chaos.end_troubles()
        shop.close()
    total.add(verdict, chaos)


def main():
    seed = int(os.environ.get("CAPI_SEED", str(random.randrange(1 << 30))))
    rng, total = random.Random(seed), Total()
    goal = wanted("KILLS", 1000), wanted("RESTARTS", 200), wanted("EVENTS", 300000)
    until = time.monotonic() + 60 * wanted("MINUTES", 30)
    print(f"soak: {goal[0]} kills, {goal[1]} restarts, {goal[2]} events, at most "
          f"{wanted('MINUTES', 30)} minutes; CAPI_SEED={seed}", flush=True)
    folder = tempfile.mkdtemp(prefix="capi-soak-")
    pathlib.Path(folder).chmod(0o755)
    try:
        while not total.has(*goal) and time.monotonic() < until:
            run_leg(folder, KINDS[total.legs % len(KINDS)], rng, total, until)
            print(f"\nafter leg {total.legs}: {total.kills} kills, {total.restarts} restarts, "
                  f"{total.accepted} accepted\n", flush=True)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(f"soak, CAPI_SEED={seed}\n{total}")
    if not total.has(*goal):
        print("the time was over before all was reached: SOAK_MINUTES gives more")


main()
