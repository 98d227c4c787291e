#!/bin/sh
# Installs into a folder of its own, builds the examples against what is there
# (pkg-config shared and static, CMake shared and static), runs them, uninstalls.
. tests/lib_say.sh
if [ -n "${SAN:-}" ]; then
    skip "installed tree" "tested without sanitizers"
    finish
fi

tree=$work/tree
src=$PWD
install() { make --no-print-directory -s B="$B" CC="$CC" CXX="$CXX" "$@"; }
expect "install" install install PREFIX="$tree" DESTDIR=
for file in include/leenet/leenet.h include/leenet/leenet.hpp lib/libleenet.so lib/libleenet.a bin/leenet \
        lib/pkgconfig/leenet.pc lib/cmake/leenet/leenet-config.cmake share/man/man1/leenet.1 \
        share/doc/leenet/README.md share/doc/leenet/docs/tradeoff.svg share/doc/leenet/docs/symbols.txt \
        share/doc/leenet/examples/classify.c; do
    [ -e "$tree/$file" ] || echo "$file"
done > "$work/absent"
judge "everything is installed" "$work/absent"

(umask 077; install install PREFIX=/usr DESTDIR="$work/strict" > /dev/null)
find "$work/strict/usr" -type f ! -perm -o=r > "$work/unreadable"
judge "everybody can read what root installed" "$work/unreadable"
grep -oE '\]\((docs|examples)/[^)#]*' "$tree/share/doc/leenet/README.md" | cut -c3- | while read -r page; do
    [ -e "$tree/share/doc/leenet/$page" ] || echo "$page"
done > "$work/absent"
judge "the installed README's links lead somewhere" "$work/absent"

PKG_CONFIG_PATH=$tree/lib/pkgconfig
export PKG_CONFIG_PATH
version=$(awk '$2 ~ /^LN_VERSION_(MAJOR|MINOR|PATCH)$/ { v = v s $3; s = "." } END { print v }' include/leenet/leenet.h)
expect "pkg-config knows version $version" test "$($PKG_CONFIG --modversion leenet)" = "$version"

# Debian has no static oneDNN, so only ours is linked statically: from a tree
# without our shared library.
mkdir -p "$work/static/lib/pkgconfig"
cp "$tree/lib/libleenet.a" "$work/static/lib"
cp -R "$tree/include" "$work/static"
sed "s|$tree|$work/static|" "$tree/lib/pkgconfig/leenet.pc" > "$work/static/lib/pkgconfig/leenet.pc"

mkdir "$work/shared-bin" "$work/static-bin"
for example in examples/*.c examples/*.cpp; do
    name=$(basename "$example" | sed 's/\..*//')
    compiler=$CC; case $example in *.cpp) compiler="$CXX -std=c++17" ;; esac
    # shellcheck disable=SC2046,SC2086
    expect "$name with pkg-config" $compiler -Wall -Wextra -Werror -o "$work/shared-bin/$name" "$example" \
        $($PKG_CONFIG --cflags --libs leenet) -Wl,-rpath,"$tree/lib"
    # shellcheck disable=SC2046,SC2086
    expect "$name with pkg-config --static" $compiler -Wall -Wextra -Werror -o "$work/static-bin/$name" "$example" \
        $(PKG_CONFIG_PATH=$work/static/lib/pkgconfig $PKG_CONFIG --static --cflags --libs leenet)
    ldd "$work/static-bin/$name" 2>&1 | grep libleenet > "$work/linked"
    judge "$name needs no libleenet.so then" "$work/linked"
done
ldd "$work/shared-bin/classify" 2>&1 | grep -q "libleenet.so.*=> $tree/lib/" \
    && pass "the shared library is asked for by its soname" \
    || fail "the shared library is asked for by its soname" "$(ldd "$work/shared-bin/classify")"

mkdir "$work/cmake"
cat > "$work/cmake/CMakeLists.txt" <<C
cmake_minimum_required(VERSION 3.13)
project(examples C CXX)
set(CMAKE_CXX_STANDARD 17)
find_package(leenet 0.1 REQUIRED)
foreach(name classify train deadline)
  add_executable(\${name} "$src/examples/\${name}.c")
  target_link_libraries(\${name} leenet::leenet)
  add_executable(\${name}-static "$src/examples/\${name}.c")
  target_link_libraries(\${name}-static leenet::static)
endforeach()
add_executable(early "$src/examples/early.cpp")
target_link_libraries(early leenet::leenet)
find_package(leenet 99.0 QUIET)
if(leenet_FOUND)
  message(FATAL_ERROR "version 99 is not here")
endif()
C
if command -v cmake > /dev/null; then
    expect "CMake finds the package" cmake -S "$work/cmake" -B "$work/cmake/build" -DCMAKE_PREFIX_PATH="$tree" \
        -DCMAKE_C_COMPILER="$CC" -DCMAKE_CXX_COMPILER="$CXX"
    expect "CMake builds the examples" cmake --build "$work/cmake/build"
    # A tree that was moved after it was installed.
    mv "$tree" "$work/moved"
    expect "CMake finds the package in a moved tree" cmake -S "$work/cmake" -B "$work/cmake/build2" \
        -DCMAKE_PREFIX_PATH="$work/moved" -DCMAKE_C_COMPILER="$CC" -DCMAKE_CXX_COMPILER="$CXX"
    expect "and builds with it" cmake --build "$work/cmake/build2"
    mv "$work/moved" "$tree"
else
    skip "CMake package" "cmake is not installed"
fi

# run NAME STATUS PATTERN COMMAND...
run() {
    what=$1 want=$2 pattern=$3; shift 3
    "$@" > "$work/output" 2>&1
    got=$?
    if [ $got = "$want" ] && grep -q -- "$pattern" "$work/output"; then pass "$what"
    else fail "$what" "status $got instead of $want, or no '$pattern' in: $(cat "$work/output")"; fi
}
for kind in shared-bin static-bin cmake/build; do
    [ -d "$work/$kind" ] || continue
    for name in classify train early; do
        run "$kind/$name says how it is used" 2 usage "$work/$kind/$name"
    done
    run "$kind/classify names a model that is not there" 1 'none.onnx' "$work/$kind/classify" /none.onnx x.png
    run "$kind/early names a model that is not there" 1 'none.onnx' "$work/$kind/early" /none.onnx /none
done
[ ! -d "$work/cmake/build" ] || run "cmake/build/train-static says how it is used" 2 usage "$work/cmake/build/train-static"
[ ! -e "$tree/bin/leenet" ] || run "installed tool" 0 train "$tree/bin/leenet" --help

model=tests/data/shapes.onnx data=tests/data/shapes.tar.gz
picture=disc/002.png
tar -xzf $data -C "$work" $picture
run "train makes an early-exit network" 0 'alpha 0.8' "$work/shared-bin/train" $model $data "$work/early.onnx"
run "classify answers with it" 0 '2 disc.*exit' "$work/static-bin/classify" "$work/early.onnx" "$work/$picture"
run "early judges it" 0 'rows per exit: [0-9 ]* [0-9]' "$work/static-bin/early" "$work/early.onnx" $data
[ "$(grep -c 'rows per exit' "$work/output")" = 4 ] && pass "at each of its four points" \
    || fail "at each of its four points" "$(cat "$work/output")"

staged=$work/staged
expect "install under DESTDIR" install install PREFIX=/opt/leenet DESTDIR="$staged"
grep -q '^prefix=/opt/leenet$' "$staged/opt/leenet/lib/pkgconfig/leenet.pc" && ! grep -rq "$staged" "$staged/opt/leenet/lib/pkgconfig" \
    "$staged/opt/leenet/lib/cmake" && pass "DESTDIR is not written down" || fail "DESTDIR is not written down" "it is in a package file"
expect "uninstall" install uninstall PREFIX=/opt/leenet DESTDIR="$staged"
find "$staged" ! -type d > "$work/left"
judge "nothing is left behind" "$work/left"
finish
