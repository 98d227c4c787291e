#!/bin/sh
# The library against the description of the last release (docs/abi.md).
. tests/lib_say.sh
if [ -n "${SAN:-}" ]; then
    skip "ABI of the last release" "tested without sanitizers"
elif ! command -v abidiff > /dev/null; then
    skip "ABI of the last release" "abigail-tools is not installed"
elif ! ls abi/*.abi > /dev/null 2>&1; then
    skip "ABI of the last release" "there is no release yet"
else
    expect "ABI of the last release" make --no-print-directory B="$B" abi-check
fi
finish
