#!/bin/sh
# Every stored ONNX case, in a process of its own each.
. tests/lib_say.sh
cases=${CONFORMANCE_CASES:-../shared/conformance}
if [ ! -d "$cases" ]; then
    skip "ONNX conformance cases" "no folder $cases"
    finish
fi
"$B/conformance" "$cases" > "$work/cases"
status=$?
tail -n 1 "$work/cases"
if [ $status = 0 ]; then pass "ONNX conformance cases"
else fail "ONNX conformance cases" "$(grep -E '^(wrong|crash|hang|refused .*: \(gap\))' "$work/cases" | head -n 40)"; fi
finish
