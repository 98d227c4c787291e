#!/bin/sh
# What leaves the libraries: the shared library, its map, the header and
# docs/symbols.txt tell of the same functions, and nothing else is to be seen.
. tests/lib_say.sh
LC_ALL=C
export LC_ALL

awk '/LN_API/ && !/#/ { text = ""; on = 1 }
     on { text = text " " $0 }
     on && /;/ { if (match(text, /ln_[a-z0-9_]+[ ]*\(/)) print substr(text, RSTART, RLENGTH - 1); on = 0 }' \
    include/leenet/leenet.h | sort > "$work/header"
sed -n 's/^ *\(ln_[a-z0-9_]*\);$/\1/p' lib/leenet.map | sort > "$work/map"
sed -n 's/^\(ln_[a-z0-9_]*\) .*/\1/p' docs/symbols.txt | sort > "$work/documented"
nm -D --defined-only "$B/libleenet.so" | awk '$2 != "A" { print $3 }' | grep -v -E '^(__(a|t|ub)san|__odr_asan|__start_|__stop_)' \
    | sed 's/@.*//' | sort > "$work/exported"

[ -s "$work/header" ] || fail "header" "no function was found in it"
for list in map documented exported; do
    diff "$work/header" "$work/$list" > "$work/difference"
    judge "functions of the header and $list" "$work/difference"
done
nm -D --defined-only "$B/libleenet.so" | awk '$2 != "A" && $3 !~ /@@LEENET_0\.[0-9]+$/ { print $3 }' \
    | grep -v -E '^(__(a|t|ub)san|__odr_asan|__start_|__stop_)' > "$work/unversioned"
judge "every symbol has its version" "$work/unversioned"
grep -v -E '^#|^ln_[a-z0-9_]+ [0-9]+\.[0-9]+\.[0-9]+ (-|[0-9]+\.[0-9]+\.[0-9]+)$' docs/symbols.txt > "$work/lines"
judge "docs/symbols.txt is well formed" "$work/lines"

nm -g --defined-only "$B/libleenet.a" | awk 'NF == 3 { print $3 }' | grep -v -E '^(__(a|t|ub)san|__odr_asan|__start_|__stop_)' | sort > "$work/static"
diff "$work/header" "$work/static" > "$work/difference"
judge "libleenet.a shows the same functions" "$work/difference"

major=$(awk '$2 == "LN_VERSION_MAJOR" { print $3 }' include/leenet/leenet.h)
minor=$(awk '$2 == "LN_VERSION_MINOR" { print $3 }' include/leenet/leenet.h)
want=libleenet.so.$major
[ "$major" != 0 ] || want=libleenet.so.0.$minor
expect "soname is $want" sh -c "objdump -p '$B/libleenet.so' | grep -q 'SONAME *$want\$'"
expect "the library needs no executable stack" sh -c "! readelf -lW '$B/libleenet.so' | grep 'GNU_STACK' | grep -q 'RWE'"

# A program may have functions of all our internal names.
if [ -n "${SAN:-}" ]; then
    skip "libleenet.a beside a program with our internal names" "tested without sanitizers"
else
    nm -g --defined-only "$B/libleenet-internal.a" | awk 'NF == 3 { print $3 }' | sort -u \
        | comm -23 - "$work/header" > "$work/internal"
    {
        echo '#include <stdio.h>'
        echo '#include <stdlib.h>'
        echo '#include "leenet/leenet.h"'
        sed 's/.*/void &(void); void &(void) { puts("&"); abort(); }/' "$work/internal"
        cat <<'C'
int main(void)
{
    ln_model *model;
    ln_data *data;
    ln_error err;

    if (ln_model_load(&model, "/no/such/file.onnx", NULL, &err) != LN_E_IO || model != NULL)
        return 1;
    if (ln_data_open(&data, "/no/such/folder", NULL, &err) != LN_E_IO || data != NULL)
        return 2;
    return ln_lib_version_number() != LN_VERSION_NUMBER;
}
C
    } > "$work/beside.c"
    if grep -q '^ln__alloc$' "$work/internal"; then
        expect "libleenet.a links beside a program with our $(wc -l < "$work/internal") internal names" \
            "$CC" -w -fno-builtin -Iinclude -o "$work/beside" "$work/beside.c" "$B/libleenet.a" \
            -ldnnl -lpng -ljpeg -lz -lgomp -lm -lpthread
        expect "and works there" "$work/beside"
    else
        fail "internal names" "ln__alloc is not among them"
    fi
fi
finish
