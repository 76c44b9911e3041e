"""Every test of the project, one closing line: N passed, N failed, N skipped.

Unit tests (plain, sanitized, under valgrind), the contract, the sender, the page, httpd and the
browser. Names of failed and skipped tests are printed."""

import concurrent.futures
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ElementTree

TOP = pathlib.Path(__file__).resolve().parents[1]
MAKE = ["make", "-s", "-f", "Makefile.apxs"]
PYTEST = ["/usr/bin/python3", "-m", "pytest", "-q", "-p", "no:cacheprovider", "-x" if "-x" in
          sys.argv else "--tb=short"]
CHECKS = re.compile(r"^\d+%: Checks: (\d+), Failures: (\d+), Errors: (\d+)", re.M)
SANITIZED = "build-address-undefined"


class Tally:
    def __init__(self):
        self.passed, self.failed, self.skipped = 0, 0, 0

    def add(self, passed, failed, skipped=0):
        self.passed += passed
        self.failed += failed
        self.skipped += skipped


def run(command, **options):
    return subprocess.run(command, cwd=TOP, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, errors="replace", **options)


def step(title):
    print(f"== {title}", flush=True)


def build(*arguments):
    done = run(MAKE + [f"-j{os.cpu_count()}", *arguments])
    if done.returncode != 0:
        print(done.stdout)
        print("0 passed, 1 failed, 0 skipped")
        sys.exit(1)


def unit(tally, title, folder, prefix=(), environment=None):
    """Each program of Check's, one after the other."""
    step(title)
    for program in sorted((TOP / folder / "unit").glob("test_*")):
        if program.suffix:
            continue
        done = run([*prefix, str(program)], env={**os.environ, **(environment or {})},
                   timeout=900)
        counts = CHECKS.search(done.stdout)
        total, bad = (int(counts[1]), int(counts[2]) + int(counts[3])) if counts else (1, 1)
        if done.returncode != 0 and bad == 0:
            bad = 1
        tally.add(total - bad if total >= bad else 0, bad)
        if bad:
            print(f"FAILED {program.name} ({title})\n{done.stdout[-6000:]}", flush=True)


# With `make sanitize` the whole suite; these pass through every room of the module.
UNDER_SANITIZERS = "tests/httpd/test_endpoints.py tests/httpd/test_rules.py"


def pytest(folder, scratch):
    """Output, and (passed, failed, skipped) from the report."""
    report = pathlib.Path(scratch) / (re.sub(r"[/ ]", "-", folder) + ".xml")
    build = SANITIZED if folder == UNDER_SANITIZERS else "build"
    began = time.monotonic()
    done = run(PYTEST + [f"--junitxml={report}", "-rsfE", *folder.split()], timeout=3000,
               env={**os.environ, "CAPI_BUILD": build})
    took = f"{time.monotonic() - began:.0f} s"
    if done.returncode == 5 or not report.exists():
        return folder, done.stdout, (0, 0 if done.returncode == 5 else 1, 0), took
    suite = ElementTree.parse(report).getroot().find("testsuite")
    tests, failures, errors, skipped = (int(suite.get(k)) for k in
                                        ("tests", "failures", "errors", "skipped"))
    bad = max(failures + errors, 1 if done.returncode else 0)
    return folder, done.stdout, (tests - failures - errors - skipped, bad, skipped), took


def is_public():
    """Whether httpd's workers and the sender, who are nobody special, can come here."""
    return all(place.stat().st_mode & 0o005 == 0o005 for place in [TOP, *TOP.parents])


def run_elsewhere():
    """A clone in a private directory is copied to where everybody may look."""
    with tempfile.TemporaryDirectory(prefix="pinterest-capi-check-", dir="/tmp") as place:
        os.chmod(place, 0o755)
        project = pathlib.Path(place, "project")
        shutil.copytree(TOP, project, symlinks=True)
        subprocess.run(["chmod", "-R", "a+rX", str(project)], check=True)
        if (TOP.parent / "shared").is_dir():
            (project.parent / "shared").symlink_to(TOP.parent / "shared")
        print(f"== {TOP} is closed to other users: checking a copy", flush=True)
        return subprocess.call([sys.executable, str(project / "tests" / "run.py"), *sys.argv[1:]])


def main():
    if not is_public():
        sys.exit(run_elsewhere())
    tally = Tally()
    step("build")
    build("all", "unit-build", "tests-build")
    build("SANITIZE=address,undefined", "unit-build", "all", "tests-build")
    lint = run(MAKE + ["lint"])
    tally.add(int(lint.returncode == 0), int(lint.returncode != 0))
    if lint.returncode != 0:
        print("FAILED lint\n" + lint.stdout)
    unit(tally, "unit tests", "build")
    unit(tally, "unit tests under ASan and UBSan", SANITIZED)
    unit(tally, "unit tests under valgrind", "build",
         ["valgrind", "-q", "--fair-sched=yes", "--error-exitcode=9", "--leak-check=full",
          "--errors-for-leak-kinds=definite"],
         {"CK_FORK": "no", "CAPI_SLOW": "1"})
    with tempfile.TemporaryDirectory() as scratch, \
            concurrent.futures.ThreadPoolExecutor(2) as pool:
        folders = [f"tests/{name}" for name in
                   ("httpd", "browser", "faults", "fuzz", "sender", "contract", "cgi", "demo", "phone")
                   if any((TOP / "tests" / name).glob("test_*.py"))] + [UNDER_SANITIZERS]
        for folder, output, counts, took in pool.map(lambda f: pytest(f, scratch), folders):
            step(f"{folder} ({took})")
            print(output[-12000:], flush=True)
            tally.add(*counts)
    print(f"{tally.passed} passed, {tally.failed} failed, {tally.skipped} skipped")
    sys.exit(1 if tally.failed else 0)


main()
