#!/bin/sh
# The public headers stand alone, in every language and compiler at hand.
. tests/lib_say.sh

echo '#include <leenet/leenet.h>' > "$work/alone.c"
echo 'int nothing(void); int nothing(void) { return LN_OK; }' >> "$work/alone.c"
cp "$work/alone.c" "$work/alone.cpp"
strict="-Wall -Wextra -pedantic -Werror -Iinclude -fsyntax-only"
for compiler in $(printf '%s\n' "$CC" gcc clang | sort -u); do
    command -v "${compiler%% *}" > /dev/null || continue
    for std in c99 c11 c17; do
        # shellcheck disable=SC2086
        expect "leenet.h alone, $compiler $std" $compiler -std=$std $strict -Wstrict-prototypes "$work/alone.c"
    done
done
echo '#include <leenet/leenet.hpp>' > "$work/owners.cpp"
for compiler in $(printf '%s\n' "$CXX" g++ clang++ | sort -u); do
    command -v "${compiler%% *}" > /dev/null || continue
    for std in c++11 c++17 c++20; do
        # shellcheck disable=SC2086
        expect "leenet.h alone, $compiler $std" $compiler -std=$std $strict "$work/alone.cpp"
    done
    # shellcheck disable=SC2086
    expect "leenet.hpp alone, $compiler c++17" $compiler -std=c++17 $strict -Wshadow "$work/owners.cpp"
done

sed -n 's/^#include //p' include/leenet/leenet.h | grep -v -E '^<std(def|int)\.h>$' > "$work/includes"
judge "leenet.h includes stddef.h and stdint.h only" "$work/includes"

# A field added behind padding would not change a struct's size, by which the library knows whether its caller has it.
"$CC" -std=c11 -Iinclude -fsyntax-only -Wpadded "$work/alone.c" 2>&1 | grep 'padding struct size' > "$work/padded"
judge "no public struct ends in padding" "$work/padded"

# Sizes that cross the ABI in arrays or in the caller's memory never change.
cat > "$work/frozen.c" <<'C'
#include <leenet/leenet.h>
_Static_assert(sizeof(ln_error) == 512, "ln_error");
_Static_assert(sizeof(ln_result) == 32, "ln_result");
_Static_assert(sizeof(ln_status) == 4, "ln_status");
_Static_assert(sizeof(ln_stage_time) == 32, "ln_stage_time");
_Static_assert(sizeof(ln_exit_share) == 24, "ln_exit_share");
_Static_assert(sizeof(ln_exit_candidate) == 56, "ln_exit_candidate");
_Static_assert(sizeof(ln_place) == 56, "ln_place");
_Static_assert(sizeof(ln_allocator) == 24, "ln_allocator");
C
expect "frozen sizes" "$CC" -std=c11 -Iinclude -fsyntax-only "$work/frozen.c"
finish
