#!/bin/sh
# What is said and done when something is missing, without installing anything.
. tests/lib_say.sh

# A machine on which no compiler works and apt-get has no network.
mkdir "$work/bin"
for tool in apt-get sudo; do
    printf '#!/bin/sh\necho "%s $*" >> %s/called\nexit 100\n' "$tool" "$work" > "$work/bin/$tool"
    chmod +x "$work/bin/$tool"
done
PATH="$work/bin:$PATH" CC=/none/cc .ci/deps look build > "$work/said" 2>&1
status=$?
[ $status = 2 ] && grep -q 'libdnnl-dev' "$work/said" && [ ! -e "$work/called" ] \
    && pass "look names what is missing and installs nothing" \
    || fail "look names what is missing and installs nothing" "status $status: $(cat "$work/said")"
PATH="$work/bin:$PATH" CC=/none/cc .ci/deps get check > "$work/said" 2>&1
status=$?
[ $status = 2 ] && grep -q 'apt-get install.* libpng-dev' "$work/said" && grep -q 'install' "$work/called" \
    && pass "get without a network says what to install" \
    || fail "get without a network says what to install" "status $status: $(cat "$work/said")"
rm -f "$work/called"
PATH="$work/bin:$PATH" make --no-print-directory DEPS=0 CC=/none/cc check > "$work/said" 2>&1
status=$?
[ $status = 2 ] && grep -q 'libdnnl-dev' "$work/said" && [ ! -e "$work/called" ] \
    && pass "make DEPS=0 check says what to install" \
    || fail "make DEPS=0 check says what to install" "status $status: $(cat "$work/said")"
PATH="$work/bin:$PATH" make --no-print-directory B="$work/build" CC=/none/cc > "$work/said" 2>&1
status=$?
[ $status = 2 ] && grep -q 'libdnnl-dev' "$work/said" && [ ! -e "$work/called" ] \
    && pass "plain make says what is missing" \
    || fail "plain make says what is missing" "status $status: $(cat "$work/said")"
expect "nothing is missing here" .ci/deps look check

if make --no-print-directory -q B="$B" SAN="${SAN:-}" all; then pass "a second make does nothing"
else fail "a second make does nothing" "$(make --no-print-directory -n B="$B" SAN="${SAN:-}" all | head -5)"; fi
make --no-print-directory -n -W lib/base/base.h B="$B" SAN="${SAN:-}" V=1 all > "$work/said" 2>&1
grep -q 'lib/base/text\.c' "$work/said" && grep -q 'lib/image/image_png\.c' "$work/said" \
    && pass "a changed header builds what includes it" \
    || fail "a changed header builds what includes it" "$(head -5 "$work/said")"
make --no-print-directory -n -W lib/image/image_png.c B="$B" SAN="${SAN:-}" V=1 all > "$work/said" 2>&1
grep -q 'lib/image/image_png\.c' "$work/said" && ! grep -q 'lib/base/text\.c' "$work/said" \
    && pass "a changed file builds no others" || fail "a changed file builds no others" "$(head -5 "$work/said")"
finish
