"""Every input that fuzzing found worth keeping, under ASan and UBSan."""

import pathlib
import subprocess

import pytest

HERE = pathlib.Path(__file__).resolve().parent
TOP = HERE.parents[1]
TARGETS = sorted(p.stem for p in HERE.glob("fuzz_*.c"))


@pytest.mark.parametrize("target", TARGETS)
def test_corpus_is_read_without_a_finding(target):
    files = sorted((HERE / "corpus" / target.removeprefix("fuzz_")).iterdir())
    assert files
    done = subprocess.run([str(TOP / "build-address-undefined" / "tests" / target),
                           *map(str, files)], cwd=TOP, text=True, capture_output=True,
                          env={"ASAN_OPTIONS": "detect_leaks=0"}, timeout=300)
    assert done.returncode == 0, done.stderr[-4000:]
    assert done.stdout == f"{len(files)} replayed\n"
