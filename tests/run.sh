#!/bin/sh
# Runs tests and counts them: every unit test, fuzz corpus and script, or the
# programs and scripts named as arguments. Environment: B the build folder, SAN
# its sanitizers, VALGRIND=1.
#
# Unit tests report through check(3). Both they and the scripts say in lines of
# their own what else happened: "pass NAME", "FAIL NAME: why", "skip NAME: why".
# A unit test that skips prints its line and returns; it is counted as skipped,
# not as passed. A script without such lines counts as one test by its status;
# status 77 is a skip.
cd "$(dirname "$0")/.." || exit 2
B=${B:-build} SAN=${SAN:-}
export B SAN
LEENET=$B/leenet
ASAN_OPTIONS=${ASAN_OPTIONS:-allocator_may_return_null=1}
LSAN_OPTIONS=${LSAN_OPTIONS:-suppressions=$PWD/tests/lsan.supp:print_suppressions=0}
UBSAN_OPTIONS=${UBSAN_OPTIONS:-print_stacktrace=1}
TSAN_OPTIONS=${TSAN_OPTIONS:-suppressions=$PWD/tests/tsan.supp ignore_noninstrumented_modules=1 exitcode=66}
# Sanitizers slow kernels down by a factor of ten and more.
CK_DEFAULT_TIMEOUT=${CK_DEFAULT_TIMEOUT:-$([ -n "$SAN" ] && echo 900 || echo 120)}
# Threads that spin while they wait cost a busy machine, and valgrind, most of the time.
OMP_WAIT_POLICY=${OMP_WAIT_POLICY:-passive}
export OMP_WAIT_POLICY LEENET ASAN_OPTIONS LSAN_OPTIONS UBSAN_OPTIONS TSAN_OPTIONS CK_DEFAULT_TIMEOUT
summary=$B/check-summary
log=$B/test.log
passed=0 failed=0 skipped=0

limit=$([ -n "$SAN" ] && echo 1800 || echo 600)
launch=
if [ -n "${VALGRIND:-}" ]; then
    launch="valgrind --quiet --error-exitcode=9 --leak-check=full --errors-for-leak-kinds=definite --suppressions=tests/valgrind.supp"
    limit=3600
    CK_FORK=no
    # oneDNN's matrix product for AVX uses work memory as the stack, so memcheck takes what lies
    # below the stack pointer there for gone and reports the kernel thousands of times.
    ONEDNN_MAX_CPU_ISA=${ONEDNN_MAX_CPU_ISA:-SSE41}
    export CK_FORK ONEDNN_MAX_CPU_ISA
fi

write_summary() {
    echo "$passed passed, $failed failed, $skipped skipped" > "$summary"
}

count() {   # count NAME STATUS: adds what $log says of one program or script
    p=$(grep -c '^pass ' "$log"); f=$(grep -c '^FAIL ' "$log"); s=$(grep -c '^skip ' "$log")
    checks=$(sed -n 's/^[0-9]*%: Checks: \([0-9]*\), Failures: \([0-9]*\), Errors: \([0-9]*\)$/\1 \2 \3/p' "$log")
    if [ -n "$checks" ]; then
        bad=$(echo "$checks" | awk '{ b += $2 + $3 } END { print b }')
        f=$((f + bad))
        p=$((p + $(echo "$checks" | awk '{ c += $1 } END { print c }') - bad - s))
    elif [ $((p + f + s)) = 0 ]; then
        case $2 in 0) p=1 ;; 77) s=1 ;; esac
    fi
    case $2 in
        0 | 77) ;;
        *) [ $f -gt 0 ] || f=1 ;;
    esac
    passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
    word=ok
    [ $s = 0 ] || word="ok, $s skipped"
    [ $f = 0 ] || word="FAILED $f (status $2)"
    printf '%-36s %4d passed  %5.1f s  %s\n' "$1" "$p" "$seconds" "$word"
    if [ $f = 0 ]; then grep '^skip ' "$log" | sed 's/^/    /'; else sed 's/^/    /' "$log"; fi
    write_summary
}

run() {     # run NAME COMMAND...
    name=$1; shift
    before=$(date +%s.%N)
    timeout -k 10 $limit "$@" > "$log" 2>&1
    status=$?
    seconds=$(awk "BEGIN { print $(date +%s.%N) - $before }")
    [ $status != 124 ] || echo "FAIL $name: still running after $limit s" >> "$log"
    count "$name" $status
}

run_one() {
    case $1 in
        *.sh) run "$(basename "$1")" sh "$1" ;;
        */fuzz_*)
            corpus=tests/fuzz/corpus/$(basename "$1" | sed 's/^fuzz_//')
            run "$(basename "$1") (corpus)" $launch "$1" "$corpus" ;;
        *) run "$(basename "$1")" $launch "$1" ;;
    esac
}

mkdir -p "$B"
write_summary
if [ $# -gt 0 ]; then
    for t in "$@"; do run_one "$t"; done
else
    for t in tests/test_*.c; do run_one "$B/tests/$(basename "$t" .c)"; done
    for t in tests/fuzz/fuzz_*.c; do
        [ ! -e "$t" ] || run_one "$B/tests/$(basename "$t" .c)"
    done
    for t in tests/*.sh; do
        case $t in tests/run.sh | tests/lib_*.sh) ;; *) run_one "$t" ;; esac
    done
fi
cat "$summary"
[ $failed = 0 ]
