# Sourced by the test scripts: how they report, and a folder that goes away.
# shellcheck shell=sh
B=${B:-build}
CC=${CC:-gcc} CXX=${CXX:-g++} PKG_CONFIG=${PKG_CONFIG:-pkg-config}
failures=0
work=$(mktemp -d "${TMPDIR:-/tmp}/leenet-test.XXXXXX") || exit 1
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM

pass() { echo "pass $1"; }
skip() { echo "skip $1: $2"; }
fail() { echo "FAIL $1: $2"; failures=$((failures + 1)); }
# judge NAME FILE: passes when the file, which lists what is wrong, is empty.
judge() {
    if [ -s "$2" ]; then fail "$1" "$(head -n 40 "$2")"; else pass "$1"; fi
}
# expect NAME COMMAND...: passes when the command succeeds; shows its output if not.
expect() {
    what=$1; shift
    if "$@" > "$work/output" 2>&1; then pass "$what"; else fail "$what" "$(head -n 40 "$work/output")"; fi
}
finish() { [ $failures = 0 ]; exit; }
