#!/bin/sh
# Checks the model of the queue: it must hold, and each of its faults must be found.
# Needs spin (Debian: spin) and gcc; `skipped` where spin is missing.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
faults='1 2 3 4 5 6 7 8 9 10'
if ! command -v spin >/dev/null; then
    echo "queue model: skipped, spin is not installed"
    exit 77
fi
room=$(mktemp -d)
trap 'rm -rf "$room"' EXIT
cd "$room"

# Prints what a whole search of `FAULT` finds: "holds", "broken", or nothing where it was not whole.
# One producer writes rounds over the ring; two compete for the lock, the room and the wake-up.
check() {
    for sizes in '-DPRODUCERS=1 -DRECORDS=3 -DSLOTS=2 -DKILLS=2' \
                 '-DPRODUCERS=2 -DRECORDS=1 -DSLOTS=1 -DKILLS=1'; do
        # shellcheck disable=SC2086
        spin -a -DFAULT="$1" $sizes "$here/queue.pml" >spin.log 2>&1
        gcc -O2 -w -DSAFETY -DCOLLAPSE -DNOREDUCE -o pan pan.c
        ./pan -m100000 >pan.log 2>&1 || true
        if grep -q 'errors: 1$' pan.log; then
            echo broken
            return
        fi
        if ! grep -q 'errors: 0$' pan.log ||
           grep -q 'max search depth too small\|Search not completed' pan.log; then
            return
        fi
    done
    echo holds
}

if [ "$(check 0)" != holds ]; then
    cat spin.log pan.log
    echo "queue model: failed"
    exit 1
fi
for fault in $faults; do
    if [ "$(check "$fault")" != broken ]; then
        cat spin.log pan.log
        echo "queue model: failed, fault $fault was not found"
        exit 1
    fi
done
echo "queue model: passed, and each of its $(echo "$faults" | wc -w) faults was found"
