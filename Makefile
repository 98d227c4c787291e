# libleenet. `make` builds everything under build/ and installs nothing;
# `make check` and `make demo` first bring what is missing (DEPS=0: never).
#
#   SAN=address,undefined   build with those sanitizers, in a folder of its own
#   V=1                     show the commands

PREFIX  ?= /usr/local
DESTDIR ?=
DEPS    ?= 1
V       ?= 0

CC      = gcc
CXX     = g++
AR      = ar
OBJCOPY = objcopy
PKG_CONFIG ?= pkg-config

comma := ,
SANDIR := $(subst $(comma),-,$(subst thread,tsan,$(subst undefined,ubsan,$(subst address,asan,$(SAN)))))
B := build$(if $(SAN),/$(SANDIR))

CFLAGS ?= -O3 -g
OPENMP ?= -fopenmp
STD    := -std=c11 -D_POSIX_C_SOURCE=200809L
WARN   := -Wall -Wextra
SANFLAGS := $(if $(SAN),-fsanitize=$(SAN) -fno-sanitize-recover=all -fno-omit-frame-pointer)
COMPILE = $(CC) $(STD) $(WARN) $(CFLAGS) $(SANFLAGS) $(OPENMP) -fvisibility=hidden -fPIC -MMD -MP
LIBS   := -ldnnl -lpng -ljpeg -lz -lm -lpthread
LINK    = $(CC) $(SANFLAGS) $(OPENMP) $(LDFLAGS)

Q := $(if $(filter 1,$(V)),,@)
say = $(if $(filter 1,$(V)),,@printf '  %-5s %s\n' $(1) $@;)

LIB_SRC  := $(sort $(wildcard lib/*/*.c))
LIB_OBJ  := $(LIB_SRC:%.c=$(B)/obj/%.o)
TEST_SRC := $(sort $(wildcard tests/test_*.c))
TESTS    := $(TEST_SRC:tests/%.c=$(B)/tests/%)

.PHONY: all check-quick clean
all: $(B)/libleenet-internal.a

# ---- Library -------------------------------------------------------------------

$(B)/obj/lib/%.o: lib/%.c
	$(Q)mkdir -p $(@D)
	$(call say,CC)$(COMPILE) -Ilib -Iinclude -c -o $@ $<

# Every object with its internal names, for the tests only.
$(B)/libleenet-internal.a: $(LIB_OBJ)
	$(call say,AR)rm -f $@ && $(AR) rcs $@ $(LIB_OBJ)

# ---- Tests ---------------------------------------------------------------------

$(B)/obj/tests/%.o: tests/%.c
	$(Q)mkdir -p $(@D)
	$(call say,CC)$(COMPILE) -Ilib -Iinclude -Itests $(shell $(PKG_CONFIG) --cflags check) -c -o $@ $<

$(B)/tests/%: $(B)/obj/tests/%.o $(B)/libleenet-internal.a
	$(Q)mkdir -p $(@D)
	$(call say,LD)$(LINK) -o $@ $^ $(shell $(PKG_CONFIG) --libs check) $(LIBS)

# The unit tests only: no scripts, nothing installed.
check-quick: $(TESTS)
	$(Q)for t in $(TESTS); do echo "$$t"; $$t || exit 1; done

clean:
	rm -rf build

.SECONDARY:
-include $(LIB_OBJ:.o=.d) $(TESTS:$(B)/tests/%=$(B)/obj/tests/%.d)
