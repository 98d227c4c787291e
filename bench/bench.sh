#!/bin/sh
# bench.sh [MODEL...]: times networks without exits, every run in a process of
# its own, in interleaved rounds. Environment:
#   B        the build folder (build)
#   ROWS     rows of one call (1 8)          THREADS  (1 2)
#   ROUNDS   rounds (5)                      ARGS     more arguments for `leenet bench`
#   PEER     command of another engine, run in turn with ours; {model} {rows} {threads}
#            in it are filled in; its last line of output is JSON with "ms_median"
# Prints the median over the rounds in milliseconds a call; with PEER also the
# median, least and largest of its time over ours within a round (above 1: we
# are faster).
set -u
B=${B:-build} ROWS=${ROWS:-1 8} THREADS=${THREADS:-1 2} ROUNDS=${ROUNDS:-5} PEER=${PEER:-}
[ $# -gt 0 ] || set -- examples/demo/fashion_resnet.onnx
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT

on_processors() {   # on_processors THREADS COMMAND...: the first so many
    last=$(($1 - 1)); shift
    if command -v taskset > /dev/null; then taskset -c "0-$last" "$@"; else "$@"; fi
}
milliseconds() { tail -n 1 | sed -n 's/.*"ms_median"[: ]*\([0-9.e+-]*\).*/\1/p'; }
middle() { sort -g | awk '{ v[NR] = $1 } END { if (NR) print NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2 }'; }

ours() {
    # shellcheck disable=SC2086
    on_processors "$3" "$B/leenet" bench "$1" --plain --rows "$2" --threads "$3" ${ARGS:-} | milliseconds
}
theirs() {
    filled=$(printf '%s' "$PEER" | sed -e "s|{model}|$1|g" -e "s|{rows}|$2|g" -e "s|{threads}|$3|g")
    OMP_NUM_THREADS=$3 on_processors "$3" sh -c "$filled" | milliseconds
}

measure() {         # measure MODEL ROWS THREADS
    : > "$work/ours"; : > "$work/theirs"; : > "$work/ratios"
    for round in $(seq "$ROUNDS"); do
        # Every second round the other way, so that drift falls on both alike.
        [ -z "$PEER" ] || [ $((round % 2)) = 1 ] || theirs "$@" > "$work/b"
        ours "$@" > "$work/a"
        [ -z "$PEER" ] || [ $((round % 2)) = 0 ] || theirs "$@" > "$work/b"
        [ -s "$work/a" ] || return 1
        cat "$work/a" >> "$work/ours"
        [ -n "$PEER" ] || continue
        [ -s "$work/b" ] || return 1
        cat "$work/b" >> "$work/theirs"
        echo "$(cat "$work/a") $(cat "$work/b")" | awk '{ print $2 / $1 }' >> "$work/ratios"
    done
    printf '%-28s %5d %8d %10.3f' "$(basename "$1" .onnx)" "$2" "$3" "$(middle < "$work/ours")"
    if [ -n "$PEER" ]; then
        printf ' %10.3f %8.2f  (%.2f to %.2f)' "$(middle < "$work/theirs")" "$(middle < "$work/ratios")" \
            "$(sort -g "$work/ratios" | head -n 1)" "$(sort -g "$work/ratios" | tail -n 1)"
    fi
    echo
}

"$B/leenet" --version 2> /dev/null
printf '%-28s %5s %8s %10s%s\n' network rows threads 'ms' "${PEER:+    peer ms    ratio}"
for model in "$@"; do
    for threads in $THREADS; do
        for rows in $ROWS; do
            measure "$model" "$rows" "$threads" || { echo "$model: rows $rows, threads $threads: not measured" >&2; exit 1; }
        done
    done
done
