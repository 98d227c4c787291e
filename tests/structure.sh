#!/bin/sh
# The walls of lib/: which room may include what, words that have no place
# there, no global state, no file name twice, statuses as documented.
. tests/lib_say.sh

# From the lowest room up (docs/INTERNALS.md). A room includes those before it.
rooms="base image data graph onnx engine heads policy model session train api"

# check_arrows FOLDER: lists includes of rooms that are not below.
check_arrows() {
    for file in "$1"/*/*.[ch]; do
        room=$(basename "$(dirname "$file")")
        case " $rooms " in *" $room "*) ;; *) echo "$file: room '$room' is not known" ;; esac
        below=" ${rooms%%"$room"*} "
        sed -n 's/^[[:space:]]*#[[:space:]]*include[[:space:]]*"\([^"]*\)".*/\1/p' "$file" | while read -r header; do
            case $header in
                leenet/leenet.h | "$room"/*) continue ;;
                */*) other=${header%%/*} ;;
                *) [ -e "$(dirname "$file")/$header" ] || echo "$file: includes \"$header\""; continue ;;
            esac
            case $below in *" $other "*) ;; *) echo "$file: includes $header, which is not below $room" ;; esac
            [ "$header" = "$other/$other.h" ] || echo "$file: includes $header, which is private to $other"
        done
        sed -n 's/^[[:space:]]*#[[:space:]]*include[[:space:]]*<\([^>]*\)>.*/\1/p' "$file" | while read -r header; do
            case $header:$room in
                oneapi/*:engine | dnnl*:engine | omp.h:engine | png.h:image | jpeglib.h:image | jerror.h:image) ;;
                zlib.h:data) ;;
                oneapi/* | dnnl* | omp.h* | png.h* | jpeglib.h* | jerror.h* | zlib.h*)
                    echo "$file: <$header> has no place in $room" ;;
            esac
        done
    done
}

mkdir -p "$work/lib/base" "$work/lib/graph"
printf '#include "graph/graph.h"\n' > "$work/lib/base/a.c"
printf '#include "base/secret.h"\n#include <png.h>\n#include "base/base.h"\n' > "$work/lib/graph/b.c"
check_arrows "$work/lib" > "$work/caught"
if [ "$(wc -l < "$work/caught")" = 3 ]; then pass "arrow check sees what is wrong"
else fail "arrow check sees what is wrong" "$(cat "$work/caught")"; fi
check_arrows lib > "$work/arrows"
judge "rooms include only rooms below them" "$work/arrows"

sed -n 's/^[[:space:]]*#[[:space:]]*include[[:space:]]*[<"]\([^>"]*\)[>"].*/\1/p' src/*.[ch] examples/*.c examples/*.cpp 2>/dev/null \
    | grep -E '^(base|image|data|graph|onnx|engine|heads|policy|model|session|train|api)/|dnnl|lib/' > "$work/clients"
judge "the tool and the examples know the public header only" "$work/clients"

# Comments and strings may say these words, code may not. base/ owns the default
# allocator and the numbers' text form.
code() {
    awk '{ line = $0; gsub(/\\"/, "", line); gsub(/"[^"]*"/, "\"\"", line); out = ""
           while (line != "") {
               if (inside) { at = index(line, "*/"); if (!at) break; line = substr(line, at + 2); inside = 0; continue }
               at = index(line, "/*"); slash = index(line, "//")
               if (slash && (!at || slash < at)) { out = out substr(line, 1, slash - 1); break }
               if (!at) { out = out line; break }
               out = out substr(line, 1, at - 1); line = substr(line, at + 2); inside = 1 }
           print FILENAME ":" FNR ":" out }' "$1"
}
everywhere='printf|vprintf|fprintf|vfprintf|puts|fputs|putchar|putc|perror|sprintf|vsprintf|strcpy|strcat|gets|scanf|exit|_exit|_Exit|abort|getenv|secure_getenv|setenv|putenv|setlocale|signal|sigaction|raise|system|popen|strtok|rand|srand|random|atoi|atol|atof|alloca|reallocarray|atexit'
outside='malloc|calloc|realloc|free|posix_memalign|aligned_alloc|strdup|strndup|strtod|strtof|strtol|strtoul|strtoull|strerror'
banned() {  # banned WORDS FILES...
    words=$1; shift
    for file in "$@"; do
        code "$file" | grep -E "(^|[^A-Za-z0-9_.>])($words)[[:space:]]*\(" | sed 's/^\([^:]*:[0-9]*\):[[:space:]]*/\1: /'
    done
}
printf 'void f(void) { /* malloc( */ x = "exit("; ln__free(p);\n  free (p); }\n' > "$work/words.c"
[ "$(banned "$everywhere|$outside" "$work/words.c" | wc -l)" = 1 ] && pass "word check sees what is wrong" \
    || fail "word check sees what is wrong" "$(banned "$everywhere|$outside" "$work/words.c")"
{
    banned "$everywhere" lib/*/*.[ch]
    for file in lib/*/*.[ch]; do
        case $file in lib/base/*) ;; *) banned "$outside" "$file" ;; esac
    done
} > "$work/words"
judge "no banned word in lib/" "$work/words"
grep -nE '_Thread_local|__thread|thread_local' lib/*/*.[ch] > "$work/words"
judge "no state of a thread's own in lib/" "$work/words"
grep -rnE 'TO''DO|FIX''ME|XX''X( |:)' lib src include examples tests bench docs Makefile README.md 2>/dev/null > "$work/words"
judge "nothing left to be done in the sources" "$work/words"

# Constants with addresses in them are in .data.rel.ro, which nobody can write.
find "$B/obj/lib" -name '*.o' | while read -r object; do
    [ -e "$(echo "$object" | sed "s|^$B/obj/||; s|\.o$|.c|")" ] || continue
    objdump -t "$object" | awk -v o="$object" '$0 ~ / O (\.data|\.bss|\.tdata|\.tbss|\*COM\*)/ && $0 !~ /\.data\.rel\.ro/ && $NF !~ /^__?(a|t|ub)san|^\.L|__odr_asan/ { print o ": " $NF }'
done > "$work/state"
if [ -n "${SAN:-}" ]; then skip "no global state" "sanitizers add their own"
else judge "no global state" "$work/state"; fi

find lib src include examples tests bench -type f \( -name '*.[ch]' -o -name '*.cpp' -o -name '*.hpp' -o -name '*.sh' \) \
    | sed 's|.*/||' | sort | uniq -d > "$work/names"
judge "no file name twice" "$work/names"

find lib src include examples bench -type f -name '*.[ch]*' -exec wc -l {} + \
    | awk '$2 != "total" && $1 > ($2 == "include/leenet/leenet.h" ? 1100 : $2 == "include/leenet/leenet.hpp" ? 700 : 650) { print $2 ": " $1 " lines" }' > "$work/long"
judge "files can be read in one sitting" "$work/long"

grep -ohE '`(lib|src|tests|bench|include|examples)/[A-Za-z0-9_/]+\.[a-z]+`' README.md docs/*.md | tr -d '`' | sort -u | while read -r file; do
    [ -e "$file" ] || echo "$file"
done > "$work/missing"
judge "files that the pages name are there" "$work/missing"

find bench -type f | sed 's|.*/||' | while read -r file; do
    grep -q "^| \`$file\`" docs/INTERNALS.md || echo "$file"
done > "$work/unnamed"
judge "docs/INTERNALS.md names what is in bench/" "$work/unnamed"

cat > "$work/table.c" <<'C'
#include <stdio.h>
#include "leenet/leenet.h"
int main(void)
{
#define ROW(name, value, text) printf("| `LN_%s` | %d | %s |\n", #name, value, text);
    LN_STATUS_MAP(ROW)
    return 0;
}
C
if $CC -Iinclude -o "$work/table" "$work/table.c" 2> "$work/output"; then
    "$work/table" > "$work/table.txt"
    grep -E '^\| `LN_[A-Z_]*` \| -?[0-9]' docs/status.md | diff - "$work/table.txt" > "$work/difference"
    judge "docs/status.md has every status of the header" "$work/difference"
else
    fail "docs/status.md has every status of the header" "$(cat "$work/output")"
fi
finish
