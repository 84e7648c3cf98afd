# grf-rsp: `make`, `make check`, `make demo`, `make install PREFIX= DESTDIR=`, packages: packaging/packaging.mk.
#
#	make deps	installs what is missing (check and demo call it)
#	make unit	the unit tests alone
#	make check-source  the tree's own rules: layers, circles, lengths; make check-format, make lint
#	make check-page  the tests of output/html/'s modules, with node
#	make format	lays the C files out; make compile_commands.json for editors and clang's tools
#	make check-quick  the unit tests and one exact run; make check K=NAME what has NAME in it (tests/README.md)
#	make check-docs  every command of README and docs/ is typed
#	make check-packages  packages and archives, on bare systems
#	make check-arch	every architecture under QEMU's user mode, on every Go release
#	make static	one static binary, $(OBJDIR)/grf-rsp-static, for containers with nothing else in them
#	make check-faults  a fault at every packet of a session, and at every allocation (GRF_FAULTS_EVERY=10: every tenth)
#	make fuzz SECONDS=10	runs each fuzzer for so long (tests/fuzz/); FUZZ="packet heap": these; wants clang
#	make bench	measures against the peers, and writes docs/PERFORMANCE.md (tests/bench/bench.py)
#	make layouts	writes heap/layout/layout_table.inc from the Go toolchains (docs/ADDING-A-GO-RELEASE.md);
#	make check-layouts  holds it against every one of them (LAYOUTS="1.27.3": against these)
#
#	V=1		show commands
#	OBJDIR=dir	where everything built goes (default: build)
#	DEVELOPER=1	warnings are errors
#	SANITIZE=address,undefined
#	SQLITE=no	without *.sqlite, and without libsqlite3
#	SECCOMP=no	without a filter of system calls, and without libseccomp
#	CC=gcc | clang
PREFIX ?= /usr/local
OBJDIR ?= build
CC ?= gcc
STRIP ?= strip
CFLAGS ?= -O2 -g
V ?= 0

# The one place of the version: the manual, packages and archives take it from here.
VERSION := 0.1.0
# What was built: git's, or, in an archive that git made, what is in packaging/commit.
COMMIT := $(shell sh packaging/commit.sh)

WARN := -Wall -Wextra -Wpointer-arith -Wstrict-prototypes -Wmissing-prototypes -Wvla \
	-Wimplicit-fallthrough -Wshadow -Wno-unused-parameter -Wno-missing-field-initializers
ifeq ($(DEVELOPER),1)
WARN += -Werror
endif
# Against what a hostile stub or file may find: it costs 0 to 2 % of CPU (docs/PERFORMANCE.md).
HARDEN := -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2 -fstack-protector-strong -fPIE
HARDEN_LD := -pie -Wl,-z,relro,-z,now
ifneq ($(SANITIZE),)
HARDEN :=
HARDEN_LD :=
SAN := -fsanitize=$(SANITIZE) -fno-sanitize-recover=all -fno-omit-frame-pointer
endif

PKGS := libelf zlib expat libprotobuf-c json-c libmd
# Of a package that runs on Debian 12 and 13, whose libdwarf.so.1 differ: -l:libdwarf.a
DWARF_LIBS ?= -ldwarf
DWARF_CFLAGS = $(shell pkg-config --cflags libdwarf 2>/dev/null)
PKG_CFLAGS = $(shell pkg-config --cflags $(PKGS) $(SQLITE_PKG) $(SECCOMP_PKG) 2>/dev/null) $(DWARF_CFLAGS)
PKG_LIBS = $(DWARF_LIBS) $(shell pkg-config --libs $(PKGS) $(SQLITE_PKG) $(SECCOMP_PKG) 2>/dev/null || echo -lelf -lz -lexpat -lprotobuf-c -ljson-c -lmd)

# *.sqlite, where the library is; SQLITE=no: without it.
SQLITE ?= $(shell pkg-config --exists sqlite3 && echo yes || echo no)
SQLITE_PKG := $(if $(filter yes,$(SQLITE)),sqlite3)

# The filter of system calls, where the library is; SECCOMP=no: without it.
SECCOMP ?= $(shell pkg-config --exists libseccomp && echo yes || echo no)
SECCOMP_PKG := $(if $(filter yes,$(SECCOMP)),libseccomp)

ALL_CFLAGS = -std=gnu11 -D_GNU_SOURCE -DGRF_VERSION='"$(VERSION)"' $(WARN) -I. -I$(OBJDIR) $(DEFS) $(PKG_CFLAGS) $(HARDEN) $(SAN) $(CFLAGS)
ALL_LIBS = $(PKG_LIBS)

# Folder by folder, upwards; tests/check_source.py holds the order.
HEAP_ROOMS := layout types profile runtime capture mark graph report . acquire
LAYERS := base rsp target $(HEAP_ROOMS:%=heap/%) output
LIB_SRCS := $(filter-out $(if $(SQLITE_PKG),output/sqlite_none.c,output/sqlite.c) $(if $(SECCOMP_PKG),base/sandbox_calls_none.c,base/sandbox_calls.c),$(foreach d,$(LAYERS:/.=),$(sort $(wildcard $(d)/*.c))))
LIB_OBJS := $(LIB_SRCS:%.c=$(OBJDIR)/%.o) $(OBJDIR)/output/profile.pb-c.o
LIB := $(OBJDIR)/libgrf.a
UNIT_SRCS := $(sort $(wildcard tests/unit/test_*.c))
UNIT_BINS := $(UNIT_SRCS:%.c=$(OBJDIR)/%)
# What unit tests share: linked into each of them.
UNIT_OBJS := $(patsubst %.c,$(OBJDIR)/%.o,$(filter-out $(UNIT_SRCS),$(wildcard tests/unit/*.c)))
TOOL_SRCS := $(sort $(filter-out tests/tools/nomem.c,$(wildcard tests/tools/*.c tests/bench/*.c)))
TOOL_BINS := $(TOOL_SRCS:%.c=$(OBJDIR)/%)

# What libFuzzer runs (tests/fuzz/fuzz.h), built by `make fuzz` in a folder of its own.
FUZZ_SRCS := $(sort $(wildcard tests/fuzz/fuzz_*.c))
FUZZ_BINS := $(FUZZ_SRCS:%.c=$(OBJDIR)/%)
FUZZ_OBJS := $(patsubst %.c,$(OBJDIR)/%.o,$(filter-out $(FUZZ_SRCS),$(wildcard tests/fuzz/*.c)) tests/unit/fakeelf.c tests/unit/fakeheap.c)
FUZZ_OBJDIR ?= build-fuzz
SECONDS ?= 10

comma := ,
ifeq ($(V),0)
Q := @
say = @printf '  %-4s %s\n' $(1) $@
endif

all: $(OBJDIR)/grf-rsp

# The command line.

$(OBJDIR)/grf-rsp: $(OBJDIR)/main.o $(LIB)
	$(call say,LD)
	$(Q)$(CC) $(SAN) $(HARDEN_LD) $(LDFLAGS) -o $@ $^ $(ALL_LIBS)

# One file that needs no other, for containers with nothing in them.  glibc looks names up by /etc/hosts and DNS then, with what is
# in it, and loads nothing.  Without SQLite, which alone is more than half of the rest.
$(OBJDIR)/grf-rsp-static: $(OBJDIR)/main.o $(OBJDIR)/output/sqlite_none.o $(LIB)
	$(call say,LD)
	$(Q)$(CC) $(SAN) -static-pie -Wl,-z,relro,-z,now -Wl,-u,static_names $(LDFLAGS) -o $@ $^ \
		$(shell pkg-config --static --libs $(PKGS) $(SECCOMP_PKG)) -ldwarf -lelf -lz 2>$@.log || { cat $@.log >&2; exit 1; }
	$(Q)$(STRIP) $@

static: $(OBJDIR)/grf-rsp-static

$(LIB): $(LIB_OBJS)
	$(call say,AR)
	$(Q)rm -f $@ && $(AR) rcs $@ $^

$(OBJDIR)/%.o: %.c
	$(call say,CC)
	$(Q)mkdir -p $(@D) && $(CC) $(ALL_CFLAGS) -MMD -MP -c -o $@ $<

# The public definition of pprof's format, compiled by protobuf-c.
$(OBJDIR)/output/profile.pb-c.c: output/profile.proto
	$(call say,PROT)
	$(Q)mkdir -p $(@D) && protoc-c --proto_path=output --c_out=$(@D) $<

$(OBJDIR)/output/profile.pb-c.h: $(OBJDIR)/output/profile.pb-c.c ;

$(OBJDIR)/output/profile.pb-c.o: $(OBJDIR)/output/profile.pb-c.c
	$(call say,CC)
	$(Q)$(CC) $(ALL_CFLAGS) -Wno-strict-prototypes -c -o $@ $<

$(OBJDIR)/output/pprof.o: $(OBJDIR)/output/profile.pb-c.h

# Another commit makes this one file anew.
$(OBJDIR)/output/version.o: $(OBJDIR)/commit-$(COMMIT)
$(OBJDIR)/output/version.o: private DEFS += -DGRF_COMMIT='"$(COMMIT)"'
$(OBJDIR)/commit-$(COMMIT):
	$(Q)mkdir -p $(@D) && rm -f $(OBJDIR)/commit-* && touch $@

# The page that *.html is: its modules, style and markup as bytes.
PAGE_SRCS := output/html/build.sh output/html/page.html output/html/page.css $(sort $(wildcard output/html/*.mjs))
$(OBJDIR)/output/html_page.inc: $(PAGE_SRCS)
	$(call say,PAGE)
	$(Q)sh output/html/build.sh $(OBJDIR)

$(OBJDIR)/output/html.o: $(OBJDIR)/output/html_page.inc

$(UNIT_BINS): $(OBJDIR)/%: %.c $(UNIT_OBJS) $(LIB)
	$(call say,LD)
	$(Q)mkdir -p $(@D) && $(CC) $(ALL_CFLAGS) -MMD -MP $(HARDEN_LD) $(LDFLAGS) -o $@ $< $(UNIT_OBJS) $(LIB) $(ALL_LIBS) -lcmocka

$(TOOL_BINS): $(OBJDIR)/%: %.c $(LIB)
	$(call say,LD)
	$(Q)mkdir -p $(@D) && $(CC) $(ALL_CFLAGS) -MMD -MP $(HARDEN_LD) $(LDFLAGS) -o $@ $< $(LIB) $(ALL_LIBS)

# What a fuzzer stands in for, the stub, its files, mappings, is wrapped: tests/fuzz/NAME.wrap, tests/fuzz/fuzz.c.
$(FUZZ_BINS): $(OBJDIR)/%: %.c $(FUZZ_OBJS) $(LIB)
	$(call say,LD)
	$(Q)mkdir -p $(@D) && $(CC) $(ALL_CFLAGS) -MMD -MP -fsanitize=fuzzer $(LDFLAGS) \
		$(patsubst %,-Wl$(comma)--wrap=%,mmap munmap madvise $(shell cat $(<:.c=.wrap) 2>/dev/null)) -o $@ $< $(FUZZ_OBJS) $(LIB) $(ALL_LIBS)

fuzzers: $(FUZZ_BINS)

# Comparisons are not traced: that took half of the time, and the corpora know the words.  NULL + 0 is no fault in practice.
fuzz: deps-tests
	$(Q)$(MAKE) --no-print-directory OBJDIR=$(FUZZ_OBJDIR) CC=clang SANITIZE=fuzzer-no-link,address,undefined CFLAGS="-O1 -g1 -fno-sanitize-coverage=trace-cmp -fno-sanitize=pointer-overflow" \
		SQLITE=no fuzzers
	$(Q)sh tests/fuzz/run.sh $(FUZZ_OBJDIR) $(SECONDS) $(FUZZ)

# Preloaded: allocations fail.
$(OBJDIR)/tests/tools/nomem.so: tests/tools/nomem.c
	$(call say,LD)
	$(Q)mkdir -p $(@D) && $(CC) -std=gnu11 -D_GNU_SOURCE $(WARN) -O2 -fPIC -shared -o $@ $< -ldl

unit: $(UNIT_BINS)
	$(Q)for t in $(UNIT_BINS); do $$t || exit 1; done

deps:
	$(Q)sh tests/setup/deps.sh
deps-tests:
	$(Q)sh tests/setup/deps.sh tests

deps-packages:
	$(Q)sh tests/setup/deps.sh packages

deps-machines:
	$(Q)sh tests/setup/deps.sh machines

# What needs the packages that deps installs is a make of its own: pkg-config is asked anew.
check: deps-tests
	$(Q)$(MAKE) --no-print-directory check-built

check-built: all $(UNIT_BINS) $(TOOL_BINS) $(OBJDIR)/tests/tools/nomem.so
	$(Q)$(PYTEST) -n $(JOBS) $(if $(K),-k "$(K)")

# The unit tests and one exact run.
check-quick: deps-tests
	$(Q)$(MAKE) --no-print-directory all $(UNIT_BINS)
	$(Q)$(PYTEST) -n $(JOBS) -m quick $(if $(K),-k "$(K)")

# tests/README.md.  A python3 that has what deps-tests installs: the first one need not be the system's.
PYTEST = for python in $(PYTHON) /usr/bin/python3 python3; do \
	$$python -c "import pytest, pytest_timeout, xdist" 2>/dev/null && break; done; \
	OBJDIR=$(OBJDIR) $(if $(RELEASES),GRF_RELEASES="$(RELEASES)") $(if $(ARCHES),GRF_ARCHES="$(ARCHES)") \
	$$python -m pytest -v --dist loadgroup --durations 10 --durations-min 20
# How many tests run at a time.
JOBS ?= 2

# Every Go release, on the same test program: docs/SUPPORT.md has the table.  RELEASES="1.27.3": these alone.
check-releases: deps-tests
	$(Q)$(MAKE) --no-print-directory all
	$(Q)$(PYTEST) -n $(JOBS) -m "releases or layouts" --tables

# Every architecture under QEMU's user mode; ARCHES="arm64 s390x": these alone; RELEASES, too.
check-arch: deps-machines
	$(Q)$(MAKE) --no-print-directory all
	$(Q)$(PYTEST) -n $(JOBS) -m arch --tables

# Every kind of virtual machine, and gdbserver in machines of other architectures.  QEMU10=path: QEMU 10's qemu-system-x86_64;
# GRF_ACCEL=kvm: not by emulation.
check-guest: deps-machines
	$(Q)$(MAKE) --no-print-directory all
	$(Q)$(PYTEST) -m guest --tables

# Every command of README and docs/, where it can be run; make check does so with README's.
check-docs: deps-tests
	$(Q)$(MAKE) --no-print-directory all
	$(Q)$(PYTEST) -n $(JOBS) -m "docs or not docs" tests/e2e/test_docs.py

# Packages and archives, on bare Debian 12 and 13, and for arm64.
check-packages: deps-packages
	$(Q)$(MAKE) --no-print-directory all
	$(Q)$(PYTEST) -m packages tests/e2e/test_packaging.py

check-source check-layers: all
	$(Q)CC="$(CC)" python3 tests/check_source.py $(OBJDIR)

check-page:
	$(Q)node --test output/html/test/page.test.mjs

# A fault at every packet and at every allocation: docs/SECURITY.md has the figures.  GRF_FAULTS_EVERY=10: every tenth.
check-faults: deps-tests
	$(Q)$(MAKE) --no-print-directory all $(OBJDIR)/tests/tools/nomem.so
	$(Q)$(PYTEST) -n $(JOBS) -m faults $(if $(K),-k "$(K)")

# The few that `make check` makes, for a build with sanitizers.
check-few: deps-tests
	$(Q)$(MAKE) --no-print-directory all
	$(Q)$(PYTEST) -n $(JOBS) tests/e2e/test_faults.py -k few_packets

# Layout is clang-format 14's (Debian 12); other versions differ in places.
CLANG_FORMAT ?= clang-format-14
C_FILES = $(shell git ls-files '*.c' '*.h')
format:
	$(Q)$(CLANG_FORMAT) -i $(C_FILES)

# What cppcheck finds, but for what tests/cppcheck.suppress explains.
lint:
	$(Q)cppcheck -q -j2 --std=c11 --enable=warning,performance,portability --inline-suppr \
		--error-exitcode=1 --suppressions-list=tests/cppcheck.suppress -D__linux__ -I. \
		base rsp target heap output $(wildcard *.c)

compile_commands.json: Makefile
	$(Q)python3 tests/tools/compile_commands.py '$(CC) $(ALL_CFLAGS)' \
		$(LIB_SRCS) $(wildcard *.c) $(UNIT_SRCS) $(TOOL_SRCS) >$@.tmp && mv $@.tmp $@

check-format:
	$(Q)$(CLANG_FORMAT) --dry-run -Werror $(C_FILES)

# Ours beside its peers: BENCH_GB="0.5 1" sizes, SERIES=1 0.5 to 8 GB, GOREF=, LIVECORE= their built commands.
bench: deps
	$(Q)$(MAKE) --no-print-directory all $(TOOL_BINS)
	$(Q)OBJDIR=$(OBJDIR) python3 tests/bench/bench.py $(if $(SERIES),--series) --write docs/PERFORMANCE.md
	$(Q)OBJDIR=$(OBJDIR) python3 tests/bench/folding.py --write docs/PERFORMANCE.md
	$(Q)OBJDIR=$(OBJDIR) python3 tests/bench/exports.py --write docs/EXPORTS.md
	$(Q)OBJDIR=$(OBJDIR) python3 tests/bench/growth.py --write docs/PERFORMANCE.md

demo: deps
	$(Q)$(MAKE) --no-print-directory all
	$(Q)OBJDIR=$(OBJDIR) sh tests/e2e/demo.sh

# ADD="1.28.0": with these releases, too.
layouts: $(OBJDIR)/tests/tools/layoutgen
	$(Q)for r in $(ADD); do tr " " "\n" <tests/tools/layout_releases | grep -qxF "$$r" || echo "$$r" >>tests/tools/layout_releases; done
	$(Q)sh tests/tools/layouts.sh $< >$(OBJDIR)/layout_table.inc
	$(Q)mv $(OBJDIR)/layout_table.inc heap/layout/layout_table.inc

check-layouts: $(OBJDIR)/tests/tools/layoutgen
	$(Q)sh tests/tools/layouts.sh $< --check $(LAYOUTS)

# The manual, completions, installing, packages, archives.
include packaging/packaging.mk

clean:
	rm -rf $(OBJDIR)

.PHONY: all static bench unit fuzz fuzzers deps deps-tests deps-machines deps-packages check check-quick check-faults check-few check-arch check-guest check-docs check-packages check-built check-releases check-layers check-source check-page check-format format lint check-layouts demo layouts clean
-include $(LIB_OBJS:.o=.d) $(OBJDIR)/output/sqlite_none.d $(OBJDIR)/main.d $(UNIT_OBJS:.o=.d) $(UNIT_BINS:=.d) $(TOOL_BINS:=.d) $(FUZZ_BINS:=.d) $(FUZZ_OBJS:.o=.d)
