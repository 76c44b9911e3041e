"""What a reader should never have to check by eye: formatting, rooms, message numbers, the
directive reference, what the built files export and link, static analysis."""

import pathlib
import platform
import re
import shutil
import subprocess
import sys

TOP = pathlib.Path(__file__).resolve().parents[1]
findings = []


def tool(*command):
    return subprocess.run(command, cwd=TOP, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, errors="replace")


def tracked(*patterns):
    out = tool("git", "ls-files", "-co", "--exclude-standard", "--", *patterns).stdout
    return [TOP / line for line in out.splitlines() if (TOP / line).exists()]


def complain(where, what):
    findings.append(f"{where}: {what}")


def formatting(sources):
    formatter = shutil.which("clang-format-14") or shutil.which("clang-format")
    if formatter:
        for path in sources:
            if tool(formatter, "--style=file", "--dry-run", "-Werror", str(path)).returncode:
                complain(path.relative_to(TOP), "not formatted: clang-format -i")


HTTPD_HEADERS = re.compile(r'#\s*include\s+[<"](httpd|http_\w+|ap_\w+|util_\w+|mod_\w+|scoreboard|'
                           r'mpm_common|unixd)\.h')


def rooms(sources):
    for path in sources:
        name, text = str(path.relative_to(TOP)), path.read_text()
        in_module = name.startswith(("src/module/", "mod_"))
        if HTTPD_HEADERS.search(text) and not in_module:
            complain(name, "includes an httpd header outside the module")
        if "<curl/" in text and not name.startswith("src/sender/"):
            complain(name, "includes libcurl outside the sender")
        if re.search(r"apr_dbd(_|\.h)", text) and not name.startswith(("src/core/store", "src/core/report",
                                                      "tests/")):
            complain(name, "speaks to a database outside the store")


def functions(sources):
    for path in sources:
        if path.suffix != ".c" or path.name.endswith(("_table.c", "_data.c")):
            continue
        start, lines = 0, path.read_text().splitlines()
        for number, line in enumerate(lines, 1):
            if line == "{":
                start = number
            elif line.startswith("}") and start:
                if number - start > 80:
                    complain(f"{path.relative_to(TOP)}:{start}", f"{number - start} lines in one function")
                start = 0
        if len(lines) > 600 and "tests/" not in str(path):
            complain(path.relative_to(TOP), f"{len(lines)} lines: look for the second subject")


def message_numbers(sources):
    seen = {}
    for path in sources:
        if "tests/" in str(path.relative_to(TOP)):
            continue
        for number in re.findall(r'"[^"\n]*?(PCAPI\d{3}): ', path.read_text()):
            if number in seen:
                complain(path.relative_to(TOP), f"{number} is used in {seen[number]} too")
            seen.setdefault(number, path.relative_to(TOP))


def directives():
    """One row, one name, one place in the reference, one in the sample."""
    header = (TOP / "src/module/module.h").read_text()
    names = dict(re.findall(r'#define\s+(CAPI_DIR_\w+)\s+"(\w+)"', header))
    table = "".join(p.read_text() for p in (TOP / "src/module").glob("config*.c"))
    reference = (TOP / "docs/directives.md").read_text()
    for constant, name in names.items():
        rows = re.findall(r'AP_INIT_\w+\(\s*' + constant + r', \w+, NULL, (\w)\b', table)
        scope = re.search(rf"^\| `{name}[ `].*?(?<!\\)\| ([VDS ]+) \|", reference, re.M)
        if scope and rows and scope[1][-1] != rows[0]:
            complain("docs/directives.md", f"{name}: scope is {scope[1]} there and {rows[0]} in the table")
        if len(rows) > 1:
            complain(name, f"{len(rows)} rows in the table")
        documented = f"`{name}" in reference
        if rows and not documented:
            complain("docs/directives.md", f"does not know {name}")
        if documented and not rows and re.search(rf"^\| `{name}[ `]", reference, re.M):
            complain("docs/directives.md", f"describes {name}, which is not registered")


def default_goal():
    """The README's first command builds."""
    first = re.search(r"^\.DEFAULT_GOAL := (\w*)", tool("make", "-np", "-f", "Makefile.apxs",
                                                       "help").stdout, re.M)
    if not first or first[1] != "all":
        complain("Makefile.apxs", "a bare make does not build everything")


def named_tests(document):
    """The rows of its tables; each names its tests, and these are there."""
    rows = [line for line in (TOP / document).read_text().splitlines()
            if line.startswith("| ") and not line.startswith(
                ("| promise", "| what they try", "| ---"))]
    for row in rows:
        named = re.findall(r"`([\w/]+\.(?:py|c))::(\w+)`", row)
        if not named:
            complain(document, f"no test: {row[:60]}")
        for place, name in named:
            path = TOP / "tests" / place
            text = path.read_text() if path.exists() else ""
            if not re.search(rf"^(def |START_TEST\(){name}\(?\)?", text, re.M):
                complain(document, f"there is no {place}::{name}")
    return rows


def contract():
    """Each directive has a row."""
    told = set(re.findall(r"`(PinterestCapi\w*)", (TOP / "docs/contract.md").read_text()))
    for name in re.findall(r"^\| `(PinterestCapi\w*)", (TOP / "docs/directives.md").read_text(), re.M):
        if name not in told:
            complain("docs/contract.md", f"has no row for {name}")


def built_files():
    module = TOP / "build/mod_pinterest_capi.so"
    if not module.exists():
        complain("build", "nothing built: run make -f Makefile.apxs first")
        return
    exported = [line.split()[-1] for line in
                tool("nm", "-D", "--defined-only", str(module)).stdout.splitlines()]
    if exported != ["pinterest_capi_module"]:
        complain(module.name, f"exports {exported}")
    needed = re.findall(r"NEEDED.*\[(.+)\]", tool("readelf", "-d", str(module)).stdout)
    for library in needed:
        if not library.startswith(("libjansson", "libcrypto", "libc.", "ld-linux", "libpcre2")):
            complain(module.name, f"links {library}")
    for name in ("mod_pinterest_capi.so", "pinterest-capi-sender", "pinterest-capi.cgi"):
        dynamic = tool("readelf", "-d", str(TOP / "build" / name)).stdout
        headers = tool("readelf", "-lh", str(TOP / "build" / name)).stdout
        if "NOW" not in dynamic or "GNU_RELRO" not in headers:
            complain(name, "is not linked with full RELRO")
        if "DYN (" not in headers:
            complain(name, "is not position independent")
        if re.search(r"GNU_STACK.*\n.*RWE", headers):
            complain(name, "has an executable stack")
        symbols = tool("readelf", "-W", "--dyn-syms", str(TOP / "build" / name)).stdout
        if "__stack_chk_fail" not in symbols:
            complain(name, "is built without stack protector")
        if "_chk@" not in symbols.replace("__stack_chk_fail", ""):
            complain(name, "is built without FORTIFY")
    # Debian's start files have no such mark, so the linker drops it: each object of ours has it
    objects = sorted(str(path) for folder in ("src", "cgi-admin")
                     for path in (TOP / "build" / folder).rglob("*.o"))
    marks = tool("readelf", "-n", *objects).stdout.count("x86 feature: IBT, SHSTK")
    if platform.machine() == "x86_64" and marks != len(objects):
        complain("build", f"{len(objects) - marks} objects are built without -fcf-protection")


def stray_words():
    for path in tracked():
        if path.suffix in (".png", ".ico", ".woff2") or path.name == "LICENSE":
            continue
        text = path.read_text(errors="replace")
        for number, line in enumerate(text.splitlines(), 1):
            if path.suffix in (".c", ".h", ".js", ".php", ".py") and \
                    re.search(r"\b(TODO|FIXME|XXX|HACK)\b", line) and path.name != "lint.py":
                complain(f"{path.relative_to(TOP)}:{number}", "left open")
            if line != line.rstrip() and path.suffix in (".c", ".h", ".py", ".js", ".css", ".php"):
                complain(f"{path.relative_to(TOP)}:{number}", "blanks at the end of the line")


def analysis():
    if shutil.which("cppcheck"):
        done = tool("cppcheck", "--quiet", "--std=c11", "--error-exitcode=3", "--inline-suppr",
                    "--enable=warning,portability", "--suppress=missingIncludeSystem",
                    "--suppress=unknownMacro", "-Isrc/core", "-Isrc/module", "-Isrc/sender",
                    "-Icgi-admin", "-j2", "src", "cgi-admin", "mod_pinterest_capi.c")
        if done.returncode:
            complain("cppcheck", done.stdout.strip())


def main():
    sources = tracked("*.c", "*.h")
    formatting(sources)
    rooms(sources)
    functions(sources)
    message_numbers(sources)
    directives()
    default_goal()
    named_tests("docs/contract.md")
    named_tests("docs/security.md")
    contract()
    built_files()
    stray_words()
    analysis()
    for finding in findings:
        print(finding)
    print(f"lint: {len(findings)} findings")
    sys.exit(1 if findings else 0)


main()
