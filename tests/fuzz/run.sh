#!/bin/sh
# Fuzzes every target in turn: run.sh SECONDS-EACH [TARGET...]. New inputs go to the corpus, findings
# to build-fuzz/. `make -f Makefile.apxs fuzz` calls it.
set -eu
export ASAN_OPTIONS=detect_leaks=0
cd "$(dirname "$0")/../.."
seconds=$1
shift
[ $# -gt 0 ] || set -- $(ls tests/fuzz/fuzz_*.c | sed 's#.*/fuzz_##; s#\.c$##')
flags="-std=gnu11 -g -O1 -Isrc/core -Itests/fuzz $(apr-1-config --cppflags --includes)"
sources=$(find src/core -name '*.c' ! -name 'store*' ! -name 'report*')
mkdir -p build-fuzz
for target; do
    [ -x "build-fuzz/$target" ] && [ -z "$(find src/core tests/fuzz -newer "build-fuzz/$target" -name '*.[ch]')" ] ||
        clang -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all $flags -o "build-fuzz/$target" \
            "tests/fuzz/fuzz_$target.c" $sources -ljansson -lcrypto -lpcre2-8 -lexpat \
            $(apu-1-config --link-ld) $(apr-1-config --link-ld)
done
for target; do
    echo "== $target, $seconds s"
    mkdir -p "build-fuzz/corpus-$target" "tests/fuzz/corpus/$target"
    "build-fuzz/$target" -max_total_time="$seconds" -max_len=20000 -timeout=10 -rss_limit_mb=1024 \
        -print_final_stats=1 -detect_leaks=0 -artifact_prefix="build-fuzz/$target-" \
        "build-fuzz/corpus-$target" "tests/fuzz/corpus/$target" 2>"build-fuzz/$target.log" ||
        { tail -40 "build-fuzz/$target.log"; exit 1; }
    grep -E 'stat::number_of_executed_units|cov:' "build-fuzz/$target.log" | tail -2
done
