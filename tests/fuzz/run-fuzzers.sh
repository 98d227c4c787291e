#!/bin/sh
# run-fuzzers.sh FOLDER: every libFuzzer program of the folder for FUZZ_SECONDS,
# started from its corpus. New inputs go to build/fuzz/found, crashing ones to
# build/fuzz/crashes.
folder=$1
found=build/fuzz/found crashes=build/fuzz/crashes
status=0
for program in "$folder"/fuzz_*; do
    [ -x "$program" ] || continue
    name=$(basename "$program" | sed 's/^fuzz_//')
    mkdir -p "$found/$name" "$crashes"
    echo "fuzz $name"
    ASAN_OPTIONS=allocator_may_return_null=1 LSAN_OPTIONS=suppressions=tests/lsan.supp:print_suppressions=0 \
        "$program" -max_total_time="${FUZZ_SECONDS:-60}" -timeout=20 -rss_limit_mb=3000 -max_len=200000 \
        -print_final_stats=1 -artifact_prefix="$crashes/$name-" \
        "$found/$name" "tests/fuzz/corpus/$name" > "build/fuzz/$name.log" 2>&1
    if [ $? = 0 ]; then
        grep -E 'number_of_executed_units|new_units_added' "build/fuzz/$name.log"
    else
        echo "FAIL fuzz $name: see build/fuzz/$name.log"
        status=1
    fi
done
exit $status
