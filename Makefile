# libleenet. `make` builds everything under build/ and installs nothing;
# `make check` and `make demo` first bring what is missing (DEPS=0: never).
#
#   make [all]             build/leenet, build/libleenet.so, build/libleenet.a
#   make check             all tests             make check-quick   unit tests only
#   make demo              the main job on real pictures
#   make bench [MODELS=]   times networks (bench/bench.sh)
#   make conformance CASES=FOLDER                ONNX cases, laid out as ONNX stores them
#   make bound MODEL= DATA= whether max_drop holds as often as it says
#   make asan ubsan tsan valgrind                the tests under each of them
#   make docs              docs/operators.md from the operator table
#   make fuzz              FUZZ_SECONDS=60 for each fuzz target (needs clang)
#   make abi-check         compares with abi/leenet-*.abi; make abi-save writes it
#   make install uninstall PREFIX=/usr/local DESTDIR= LIBDIR=$(PREFIX)/lib
#   make deps              installs whatever any of these needs
#
#   SAN=address,undefined  build with those sanitizers, in a folder of its own
#   CC=clang CXX=clang++   another compiler (make clean first, or B=build/clang)
#   V=1                    show the commands

PREFIX  ?= /usr/local
LIBDIR  ?= $(PREFIX)/lib
DESTDIR ?=
DEPS    ?= 1
V       ?= 0
FUZZ_SECONDS ?= 60

CC      = gcc
CXX     = g++
AR      = ar
OBJCOPY = objcopy
PKG_CONFIG ?= pkg-config
INSTALL ?= install

HEADER  := include/leenet/leenet.h
number   = $(shell awk '$$2 == "LN_VERSION_$(1)" { print $$3 }' $(HEADER))
MAJOR   := $(call number,MAJOR)
MINOR   := $(call number,MINOR)
VERSION := $(MAJOR).$(MINOR).$(call number,PATCH)
SOVERSION := $(if $(filter 0,$(MAJOR)),0.$(MINOR),$(MAJOR))

comma := ,
SANDIR := $(subst $(comma),-,$(subst thread,tsan,$(subst undefined,ubsan,$(subst address,asan,$(SAN)))))
B ?= build$(if $(SAN),/$(SANDIR))

CFLAGS   ?= -O3 -g
CXXFLAGS ?= -O2 -g
FUSED    :=
WARN     := -Wall -Wextra
WARN_C   := -Wvla -Wstrict-prototypes
SANFLAGS := $(if $(SAN),-fsanitize=$(SAN) -fno-sanitize-recover=all -fno-omit-frame-pointer)
# oneDNN runs on libgomp, and two OpenMP libraries in one process fight for the
# processors: clang takes libgomp as well, and its omp.h (alone: the folder it is
# in has others of gcc's own; and clang knows no arguments of __malloc__).
CLANG   := $(findstring clang,$(CC))
ifneq (,$(CLANG))
OPENMP   ?= -fopenmp-simd -I$(B)/clang -Wno-unknown-pragmas
LINK_OMP ?= -lgomp
else
OPENMP   ?= -fopenmp
LINK_OMP ?= -fopenmp
endif
STD     := -std=c11 -D_POSIX_C_SOURCE=200809L
# A square root that may set errno keeps its loop from being vectorised; nobody here reads errno after one.
COMPILE  = $(CC) $(STD) $(WARN) $(WARN_C) -fno-math-errno $(CPPFLAGS) $(CFLAGS) $(FUSED) $(SANFLAGS) $(OPENMP) -fvisibility=hidden -fPIC -MMD -MP
COMPILEXX = $(CXX) -std=c++17 $(WARN) $(CPPFLAGS) $(CXXFLAGS) $(SANFLAGS) -MMD -MP
BACKEND := -ldnnl -lpng -ljpeg -lz
LIBS    := $(BACKEND) -lm -lpthread
LINK     = $(CC) $(SANFLAGS) $(LDFLAGS)

Q := $(if $(filter 1,$(V)),,@)
say = $(if $(filter 1,$(V)),,@printf '  %-5s %s\n' $(1) $@;)

LIB_SRC  := $(sort $(wildcard lib/*/*.c))
TOOL_SRC := $(sort $(wildcard src/*.c))
TEST_SRC := $(sort $(wildcard tests/test_*.c))
FUZZ_SRC := $(sort $(wildcard tests/fuzz/fuzz_*.c))
CONF_SRC := $(sort $(wildcard tests/conformance/*.c))
BENCH_SRC := $(sort $(wildcard bench/*.c))
EXAMPLE_SRC := $(sort $(wildcard examples/*.c examples/*.cpp))
DEMO_SRC := $(sort $(wildcard examples/demo/*.c))

object    = $(addsuffix .o,$(basename $(1:%=$(B)/obj/%)))
LIB_OBJ  := $(call object,$(LIB_SRC))
TOOL_OBJ := $(call object,$(TOOL_SRC))
CONF_OBJ := $(call object,$(CONF_SRC))
DEMO_OBJ := $(call object,$(DEMO_SRC))
TESTS    := $(TEST_SRC:tests/%.c=$(B)/tests/%)
REPLAYS  := $(FUZZ_SRC:tests/fuzz/%.c=$(B)/tests/%)
BENCHES  := $(BENCH_SRC:bench/%.c=$(B)/bench/%)
EXAMPLES := $(addprefix $(B)/,$(basename $(EXAMPLE_SRC)))
TOOL     := $(B)/leenet
CONFORMANCE := $(if $(CONF_SRC),$(B)/conformance)

SO_FILE  := libleenet.so.$(VERSION)
SO_NAME  := libleenet.so.$(SOVERSION)

.PHONY: all examples check check-quick check-run demo bench conformance asan ubsan tsan \
        valgrind fuzz docs abi-check abi-save install uninstall deps clean
.SECONDARY:
.DELETE_ON_ERROR:

all: $(TOOL) $(B)/libleenet.so $(B)/libleenet.a

# Says what is missing before a compiler does.
$(B)/have-build: .ci/deps Makefile
	$(Q)mkdir -p $(@D)
	$(Q)CC="$(CC)" .ci/deps look build
	$(if $(CLANG),$(Q)mkdir -p $(B)/clang && rm -f $(B)/clang/omp.h && \
	    printf '#define __malloc__(...) __malloc__\n#include "%s"\n#undef __malloc__\n' \
	    "$$(gcc -print-file-name=include/omp.h)" > $(B)/clang/omp.h)
	$(Q)touch $@

# ---- Library -------------------------------------------------------------------

$(B)/obj/lib/%.o: lib/%.c | $(B)/have-build
	$(Q)mkdir -p $(@D)
	$(call say,CC)$(COMPILE) -Ilib -Iinclude -c -o $@ $<

# Kernels multiply and add in one step where the CPU can.
$(B)/obj/lib/engine/kernel_%.o $(B)/obj/lib/heads/answer_kernels.o: FUSED := -ffp-contract=fast

$(B)/$(SO_FILE): $(LIB_OBJ) lib/leenet.map
	$(call say,LD)$(LINK) -shared -Wl,-soname,$(SO_NAME) -Wl,--version-script=lib/leenet.map \
	    $(if $(SAN),,-Wl,-z$(comma)defs) -Wl,-z,relro -o $@ $(LIB_OBJ) $(LIBS) $(LINK_OMP)

$(B)/libleenet.so: $(B)/$(SO_FILE)
	$(Q)ln -sf $(SO_FILE) $(B)/$(SO_NAME)
	$(Q)ln -sf $(SO_NAME) $@

# One relinked object whose internal names are local: it can stand beside a
# program's own ln__ or math code.
$(B)/obj/leenet.o: $(LIB_OBJ)
	$(call say,LD)$(CC) -r -nostdlib -o $@ $(LIB_OBJ) && $(OBJCOPY) --localize-hidden $@

$(B)/libleenet.a: $(B)/obj/leenet.o
	$(call say,AR)rm -f $@ && $(AR) rcs $@ $<

# Every object with its internal names, for the tests only.
$(B)/libleenet-internal.a: $(LIB_OBJ)
	$(call say,AR)rm -f $@ && $(AR) rcs $@ $(LIB_OBJ)

# ---- Tool, examples, benchmarks: clients of the public header -------------------

$(B)/obj/src/%.o: src/%.c | $(B)/have-build
	$(Q)mkdir -p $(@D)
	$(call say,CC)$(COMPILE) -Iinclude -c -o $@ $<

$(B)/leenet: $(TOOL_OBJ) $(B)/libleenet.a
	$(call say,LD)$(LINK) -o $@ $^ $(LIBS) $(LINK_OMP)

$(B)/obj/examples/%.o: examples/%.c | $(B)/have-build
	$(Q)mkdir -p $(@D)
	$(call say,CC)$(COMPILE) -Iinclude -c -o $@ $<

$(B)/obj/examples/%.o: examples/%.cpp | $(B)/have-build
	$(Q)mkdir -p $(@D)
	$(call say,CXX)$(COMPILEXX) -Iinclude -c -o $@ $<

$(B)/examples/%: $(B)/obj/examples/%.o $(B)/libleenet.a
	$(Q)mkdir -p $(@D)
	$(call say,LD)$(CXX) $(SANFLAGS) $(LDFLAGS) -o $@ $^ $(LIBS) -lgomp

examples: $(EXAMPLES)

$(B)/obj/bench/%.o: bench/%.c | $(B)/have-build
	$(Q)mkdir -p $(@D)
	$(call say,CC)$(COMPILE) -Iinclude -c -o $@ $<

$(B)/bench/%: $(B)/obj/bench/%.o $(B)/libleenet.a
	$(Q)mkdir -p $(@D)
	$(call say,LD)$(LINK) -o $@ $^ $(LIBS) $(LINK_OMP)

bench: all $(BENCHES)
	$(Q)B=$(B) sh bench/bench.sh $(MODELS)

$(B)/demo/demo: $(DEMO_OBJ) $(B)/libleenet.a
	$(Q)mkdir -p $(@D)
	$(call say,LD)$(LINK) -o $@ $^ $(LIBS) $(LINK_OMP)

demo:
	$(Q)CC="$(CC)" .ci/deps $(if $(filter 0,$(DEPS)),look,get) demo
	$(Q)$(MAKE) --no-print-directory $(B)/demo/demo
	$(Q)sh examples/demo/demo.sh $(B)/demo/demo $(B)/demo

# ---- Tests ---------------------------------------------------------------------

$(B)/obj/tests/%.o: tests/%.c | $(B)/have-build
	$(Q)mkdir -p $(@D)
	$(call say,CC)$(COMPILE) -Ilib -Iinclude -Itests $(shell $(PKG_CONFIG) --cflags check) -c -o $@ $<

$(B)/tests/test_%: $(B)/obj/tests/test_%.o $(B)/libleenet-internal.a
	$(Q)mkdir -p $(@D)
	$(call say,LD)$(LINK) -o $@ $^ $(shell $(PKG_CONFIG) --libs check) $(LIBS) $(LINK_OMP)

# Programs that scripts use to look inside the library, and that print pages.
$(B)/tests/plan_run $(B)/tests/make_operators $(B)/tests/bound_proof: $(B)/tests/%: $(B)/obj/tests/%.o $(B)/libleenet-internal.a
	$(Q)mkdir -p $(@D)
	$(call say,LD)$(LINK) -o $@ $^ $(LIBS) $(LINK_OMP)

docs: $(B)/tests/make_operators
	$(Q)$< > $(B)/operators.md && cp $(B)/operators.md docs/operators.md

# A fuzz target with a driver that runs it on the files of its corpus.
$(B)/tests/fuzz_%: $(B)/obj/tests/fuzz/fuzz_%.o $(B)/obj/tests/fuzz/driver.o $(B)/libleenet-internal.a
	$(Q)mkdir -p $(@D)
	$(call say,LD)$(LINK) -o $@ $^ $(LIBS) $(LINK_OMP)

$(B)/conformance: $(CONF_OBJ) $(B)/libleenet-internal.a
	$(call say,LD)$(LINK) -o $@ $^ $(LIBS) $(LINK_OMP)

check:
	$(Q)CC="$(CC)" .ci/deps $(if $(filter 0,$(DEPS)),look,get) check
	$(Q)$(MAKE) --no-print-directory check-run

check-run: all $(TESTS) $(B)/tests/plan_run $(REPLAYS) $(CONFORMANCE) $(if $(SAN),,$(EXAMPLES) $(BENCHES))
	$(Q)B=$(B) SAN=$(SAN) CC="$(CC)" CXX="$(CXX)" PKG_CONFIG="$(PKG_CONFIG)" sh tests/run.sh

# The unit tests only: no scripts, nothing installed.
check-quick: $(TESTS)
	$(Q)B=$(B) SAN=$(SAN) sh tests/run.sh $(TESTS)

asan:
	$(Q)$(MAKE) --no-print-directory SAN=address check-run
ubsan:
	$(Q)$(MAKE) --no-print-directory SAN=undefined check-run
tsan:
	$(Q)$(MAKE) --no-print-directory SAN=thread check-run
valgrind: all $(TESTS)
	$(Q)B=$(B) VALGRIND=1 sh tests/run.sh $(TESTS)

# Minutes: 1,000 calibration sets for each of twelve targets.
.PHONY: bound
bound: $(B)/tests/bound_proof
	$(Q)test -n "$(MODEL)" -a -n "$(DATA)" || { echo "name them: make bound MODEL=EARLY.onnx DATA=SPEC" >&2; exit 2; }
	$(Q)$< $(MODEL) $(DATA)

conformance: $(CONFORMANCE)
	$(Q)test -n "$(CASES)" || { echo "name the folder: make conformance CASES=FOLDER" >&2; exit 2; }
	$(Q)$(B)/conformance $(CASES)

# The fuzz targets as libFuzzer programs, library and all built by clang.
FUZZERS := $(FUZZ_SRC:tests/fuzz/%.c=$(B)/fuzzers/%)
$(B)/fuzzers/fuzz_%: $(B)/obj/tests/fuzz/fuzz_%.o $(B)/libleenet-internal.a
	$(Q)mkdir -p $(@D)
	$(call say,LD)$(LINK) -fsanitize=fuzzer -o $@ $^ $(LIBS) $(LINK_OMP)
.PHONY: fuzzers
fuzzers: $(FUZZERS)

fuzz:
	$(Q)$(MAKE) --no-print-directory B=build/fuzz SAN=address,fuzzer-no-link CC=clang CXX=clang++ fuzzers
	$(Q)FUZZ_SECONDS=$(FUZZ_SECONDS) sh tests/fuzz/run-fuzzers.sh build/fuzz/fuzzers

# ---- ABI -----------------------------------------------------------------------

ABI := abi/leenet-$(SOVERSION).abi

describe = abidw --exported-interfaces-only --headers-dir include --drop-private-types --no-corpus-path --no-comp-dir-path --no-show-locs

abi-save: $(B)/libleenet.so
	$(Q)mkdir -p abi
	$(describe) --out-file $(ABI) $(B)/$(SO_FILE)

# Both sides without private types: abidiff's own filter for them would also
# hide changes of public structs.
abi-check: $(B)/libleenet.so
	$(Q)test -f $(ABI) || { echo "$(ABI) is not there: the last release's 'make abi-save' writes it" >&2; exit 1; }
	$(describe) --out-file $(B)/now.abi $(B)/$(SO_FILE)
	abidiff --no-added-syms $(ABI) $(B)/now.abi

# ---- Install --------------------------------------------------------------------

INCDIR := $(DESTDIR)$(PREFIX)/include/leenet
DOCDIR := $(DESTDIR)$(PREFIX)/share/doc/leenet
MANDIR := $(DESTDIR)$(PREFIX)/share/man/man1
COMPDIR := $(DESTDIR)$(PREFIX)/share/bash-completion/completions
CMKDIR := $(DESTDIR)$(LIBDIR)/cmake/leenet
PAGES  := $(sort $(wildcard docs/*.md docs/*.svg docs/*.png) docs/symbols.txt)

fill = sed -e 's|@VERSION@|$(VERSION)|' -e 's|@SOVERSION@|$(SOVERSION)|' -e 's|@PREFIX@|$(PREFIX)|' \
    -e 's|@LIBDIR@|$(LIBDIR)|' -e 's|@PRIVATE@|$(BACKEND) -lgomp -lm -lpthread|'

install: all
	$(INSTALL) -d $(INCDIR) $(DESTDIR)$(LIBDIR)/pkgconfig $(CMKDIR) $(DOCDIR)/docs $(DOCDIR)/examples $(MANDIR) $(DESTDIR)$(PREFIX)/bin
	$(INSTALL) -m 644 include/leenet/leenet.h include/leenet/leenet.hpp $(INCDIR)
	$(INSTALL) -m 755 $(B)/$(SO_FILE) $(DESTDIR)$(LIBDIR)
	ln -sf $(SO_FILE) $(DESTDIR)$(LIBDIR)/$(SO_NAME)
	ln -sf $(SO_NAME) $(DESTDIR)$(LIBDIR)/libleenet.so
	$(INSTALL) -m 644 $(B)/libleenet.a $(DESTDIR)$(LIBDIR)
	for file in leenet.pc leenet-config.cmake leenet-config-version.cmake; do $(fill) pkgconfig/$$file.in > $(B)/$$file || exit 1; done
	$(INSTALL) -m 644 $(B)/leenet.pc $(DESTDIR)$(LIBDIR)/pkgconfig
	$(INSTALL) -m 644 $(B)/leenet-config.cmake $(B)/leenet-config-version.cmake $(CMKDIR)
	$(INSTALL) -m 644 README.md CHANGELOG.md LICENSE $(DOCDIR)
	$(INSTALL) -m 644 $(PAGES) $(DOCDIR)/docs
	$(INSTALL) -m 644 $(EXAMPLE_SRC) $(DOCDIR)/examples
	$(INSTALL) -m 755 $(TOOL) $(DESTDIR)$(PREFIX)/bin
	$(INSTALL) -m 644 man/leenet.1 $(MANDIR)
	$(INSTALL) -d $(COMPDIR)
	$(INSTALL) -m 644 completions/leenet.bash $(COMPDIR)/leenet

uninstall:
	rm -rf $(INCDIR) $(CMKDIR) $(DOCDIR)
	rm -f $(DESTDIR)$(PREFIX)/bin/leenet $(MANDIR)/leenet.1 $(COMPDIR)/leenet $(DESTDIR)$(LIBDIR)/pkgconfig/leenet.pc \
	    $(addprefix $(DESTDIR)$(LIBDIR)/,libleenet.a libleenet.so $(SO_NAME) $(SO_FILE))

deps:
	$(Q)CC="$(CC)" .ci/deps get all

clean:
	rm -rf build

-include $(wildcard $(B)/obj/*/*.d $(B)/obj/*/*/*.d)
