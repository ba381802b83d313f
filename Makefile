# SPDX-License-Identifier: MIT
# Perilune: `make help` lists the targets.
SHELL := /bin/bash
.DEFAULT_GOAL := build
.DELETE_ON_ERROR:
ifeq ($(MAKELEVEL),0)
MAKEFLAGS += -j$(shell nproc)
endif
MAKEFLAGS += --no-print-directory
comma := ,
# V=1 shows whole commands.
V ?= 0
ifeq ($(V),0)
show = @printf '  %-6s %s\n' '$(1)' '$(2)';
endif

VERSION := 0.1.0
SOVERSION := 0
PREFIX ?= /usr/local
# GRAPHIQL=no: without the GraphiQL page, whose files come from npm packages.
GRAPHIQL ?= yes
export GRAPHIQL
FUZZ_SECONDS ?= 60
CHAOS_SECONDS ?= 1200
CONFORMANCE_DATA ?= ../shared/conformance
export CONFORMANCE_DATA
# release | debug | asan | tsan | fuzz: each has its own directory, so that they never mix.
VARIANT ?= release
ifeq ($(VARIANT),release)
B := build
else
B := build/$(VARIANT)
endif

ifeq ($(origin CC),default)
CC := gcc
endif
AR := gcc-ar
WARN := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla -Wwrite-strings -Wundef \
        -Wno-unused-parameter $(if $(filter fuzz,$(VARIANT)),,-Wno-format-truncation) -Werror
# Cutting a text at the end of its buffer is what snprintf is used for.
ifneq ($(VARIANT),fuzz)
WARN += -Wno-format-truncation
endif
HARDEN := -D_FORTIFY_SOURCE=2 -fstack-protector-strong -fstack-clash-protection -fcf-protection
# The libraries are called millions of times a second: -z now has found them all at the start, so a call needs no jump of the PLT.
CFLAGS_release := -O2 -g -flto=auto -ffat-lto-objects -fno-plt $(HARDEN)
CFLAGS_debug := -O0 -g3
CFLAGS_asan := -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer
CFLAGS_tsan := -O1 -g -fsanitize=thread -fno-omit-frame-pointer
CFLAGS_fuzz := -O1 -g -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=undefined
LDFLAGS_release := -flto=auto -O2 -Wl,-z,relro,-z,now -pie
LDFLAGS_asan := -fsanitize=address,undefined
LDFLAGS_tsan := -fsanitize=thread
LDFLAGS_fuzz := -fsanitize=address,undefined
ifeq ($(VARIANT),fuzz)
CC := clang
AR := llvm-ar-14
endif

LUA_CFLAGS := $(strip $(shell pkg-config --cflags lua5.4 2>/dev/null))
CPPFLAGS_all = -std=gnu17 -D_GNU_SOURCE -DPL_VERSION='"$(VERSION)"' -DH2O_USE_EPOLL=1 -Icore -Icore/include -I. -Ibuild/proto $(LUA_CFLAGS)
CFLAGS_all = $(CPPFLAGS_all) $(CFLAGS_$(VARIANT)) $(WARN) -fPIC -fvisibility=hidden -MMD -MP $(CFLAGS)
LDFLAGS_all = $(LDFLAGS_$(VARIANT)) $(LDFLAGS)
LIBS := -lh2o-evloop -lssl -lcrypto -llua5.4 -lsqlite3 -lnghttp2 -lrdkafka -lprotobuf-c -lcurl -lz -lzstd -lbrotlienc -lpthread -lm -ldl

LIB_SRC := $(filter-out core/cli/% bindings/lua/plain/%,$(shell find core bindings/lua bindings/h2o -name '*.c' 2>/dev/null | sort))
CLI_SRC := $(sort $(wildcard core/cli/*.c))
LUA_SRC := $(shell find lua/perilune -name '*.lua' 2>/dev/null | sort)
# The built-in services: descriptors of all, and protobuf-c's code (of one reflection: the versions are the same on the wire).
PROTO_SRC := $(sort $(shell cd proto && find grpc -name '*.proto'))
PROTO_C_SRC := $(filter-out grpc/reflection/v1alpha/%,$(PROTO_SRC))
PROTO_C_OBJ := $(PROTO_C_SRC:%.proto=$(B)/obj/build/proto/%.pb-c.o) \
               $(foreach name,any duration timestamp wrappers,$(B)/obj/build/proto/google/protobuf/$(name).pb-c.o)
LIB_OBJ := $(LIB_SRC:%.c=$(B)/obj/%.o) $(B)/obj/gen/lua_library.o $(B)/obj/gen/ide_files.o $(B)/obj/gen/well_known.o \
           $(B)/obj/gen/own_protos.o $(PROTO_C_OBJ)
CLI_OBJ := $(CLI_SRC:%.c=$(B)/obj/%.o)
# The modules for plain Lua: what they are made of, and their Lua halves.
MODULES_SRC := $(filter-out core/proto/api.c core/proto/foreign.c,$(sort $(wildcard bindings/lua/plain/*.c core/proto/*.c))) \
               $(patsubst %,bindings/lua/%.c,base_n calendar common cursor encode message module_crypto module_json module_log module_proto module_time types) \
               $(patsubst %,core/base/%.c,alloc arena base64 buf error format log log_line map str suggest) $(patsubst %,core/value/%.c,engine json_read json_scan json_write value)
MODULES_OBJ := $(MODULES_SRC:%.c=$(B)/obj/%.o) $(B)/obj/gen/well_known.o
MODULES_LUA := $(patsubst %,perilune/%.lua,errors init proto)
LUA_MODULES := $(B)/lua/perilune.so

TEST_SRC := $(shell find tests/unit -name 'test_*.c' -not -path 'tests/unit/support/*' 2>/dev/null | sort)
# Shared by several unit tests: every other C file there.
TEST_HELP_SRC := $(filter-out $(TEST_SRC) tests/unit/lua/plain/%,$(shell find tests/unit -name '*.c' 2>/dev/null | sort))
TEST_BIN := $(TEST_SRC:%.c=$(B)/%)
# Tests of the modules for plain Lua are linked with these instead of the library. Some are also the server's.
MODULES_TEST := $(filter tests/unit/lua/plain/%,$(TEST_SRC))
MODULES_TEST_BOTH := $(patsubst %,$(B)/tests/unit/lua/plain/%,test_json test_modules test_proto)
MODULES_TEST_BIN := $(MODULES_TEST:%.c=$(B)/%) $(MODULES_TEST_BOTH)
TEST_BIN := $(sort $(TEST_BIN) $(MODULES_TEST_BIN))
# The messages that tests use.
TEST_PROTO := $(sort $(wildcard tests/unit/support/*.proto))
TEST_HELP_OBJ := $(TEST_HELP_SRC:%.c=$(B)/obj/%.o) $(B)/obj/gen/test_protos.o
ifeq ($(VARIANT),tsan)
# Part of every executable, so that libraries find these functions there: the file says which and why.
TSAN_OBJ := $(B)/obj/tests/support/tsan_interceptors.o
CLI_OBJ += $(TSAN_OBJ)
TEST_HELP_OBJ += $(TSAN_OBJ)
endif
FUZZ_SRC := $(sort $(wildcard tests/fuzz/fuzz_*.c))
FUZZ_BIN := $(FUZZ_SRC:%.c=$(B)/%)

.PHONY: perf help build prepare graphiql deps run lua-modules install-lua test unit asan tsan integration conformance bench bench-guard guard-bin fuzz lint format install clean \
        protos unit-bin fuzz-bin asan-bin tsan-bin venv python python-test npm go kafka chaos FORCE
FORCE:

help: ## list the targets
	@printf 'make TARGET [VARIANT=release|debug|asan|tsan|fuzz] [PREFIX=%s] [FUZZ_SECONDS=%s] [CHAOS_SECONDS=%s]\n\n' '$(PREFIX)' '$(FUZZ_SECONDS)' '$(CHAOS_SECONDS)'
	@sed -n 's/^\([a-z][a-z-]*\):.*## \(.*\)/\1\t\2/p' $(MAKEFILE_LIST) | awk -F'\t' '{printf "  %-12s %s\n", $$1, $$2}'

# ---------------------------------------------------------------- build
# Rewritten only when their contents change: other flags rebuild all, another list of objects rebuilds the archive.
define keep-if-same
@mkdir -p $(@D); cmp -s - $@ <<<'$(subst ','\'',$(1))' || cat >$@ <<<'$(subst ','\'',$(1))'
endef
$(B)/flags: FORCE
	$(call keep-if-same,$(CC) $(CFLAGS_all))
$(B)/objects: FORCE
	$(call keep-if-same,$(LIB_OBJ))
$(B)/modules: FORCE
	$(call keep-if-same,$(MODULES_OBJ))
$(B)/lua-files: FORCE
	$(call keep-if-same,$(LUA_SRC))

$(B)/gen/lua_library.c: $(B)/lua-files scripts/embed-lua $(LUA_SRC)
	@mkdir -p $(@D)
	$(call show,EMBED,$@)scripts/embed-lua lua $(LUA_SRC) >$@

$(B)/gen/well_known.c: scripts/embed-protos $(wildcard proto/google/*/*.proto)
	@mkdir -p $(@D)
	$(call show,EMBED,$@)scripts/embed-protos pb_well_known_set >$@

$(B)/gen/own_protos.c: scripts/embed-protos $(PROTO_SRC:%=proto/%)
	@mkdir -p $(@D)
	$(call show,EMBED,$@)scripts/embed-protos pl_own_protos proto $(PROTO_SRC:%=proto/%) >$@

# The same in all variants. All objects wait for it: some include its headers.
build/proto/.stamp: scripts/proto-c $(PROTO_C_SRC:%=proto/%) tests/bench/messages.proto
	$(call show,PROTO,build/proto)scripts/proto-c build/proto $(PROTO_C_SRC:%=proto/%) && \
	  protoc-c -Itests/bench --c_out=build/proto tests/bench/messages.proto && touch $@
protos: build/proto/.stamp
$(filter-out $(MODULES_OBJ),$(LIB_OBJ)) $(TEST_HELP_OBJ) $(TEST_BIN): | build/proto/.stamp
$(PROTO_C_OBJ) $(B)/obj/build/proto/messages.pb-c.o: $(B)/obj/build/proto/%.o: build/proto/.stamp $(B)/flags
	@mkdir -p $(@D)
	$(call show,CC,build/proto/$*.c)$(CC) $(CFLAGS_all) -Wno-all -Wno-extra -Wno-shadow -c build/proto/$*.c -o $@

# The files of the GraphiQL page, the same in all variants; without a network there are none, which is no error.
GRAPHIQL_SRC := scripts/build-graphiql $(wildcard scripts/graphiql/*)
build/graphiql/wanted: FORCE
	$(call keep-if-same,$(GRAPHIQL))
build/graphiql/ide_files.c: build/graphiql/wanted $(GRAPHIQL_SRC)
	$(call show,PAGE,$@)scripts/build-graphiql $@
$(B)/obj/gen/ide_files.o: build/graphiql/ide_files.c $(B)/flags
	@mkdir -p $(@D)
	$(call show,CC,$<)$(CC) $(filter-out -flto=auto -ffat-lto-objects,$(CFLAGS_all)) -c $< -o $@
graphiql: ## fetch and bundle the GraphiQL page anew (the build does it by itself, once)
	@rm -f build/graphiql/ide_files.c
	@$(MAKE) build/graphiql/ide_files.c

$(B)/obj/gen/%.o: $(B)/gen/%.c $(B)/flags
	@mkdir -p $(@D)
	$(call show,CC,$<)$(CC) $(CFLAGS_all) -c $< -o $@

$(B)/obj/%.o: %.c $(B)/flags
	@mkdir -p $(@D)
	$(call show,CC,$<)$(CC) $(CFLAGS_all) -c $< -o $@

$(B)/libperilune.a: $(LIB_OBJ) $(B)/objects
	@rm -f $@
	$(call show,AR,$@)$(AR) rcs $@ $(LIB_OBJ)

$(B)/libperilune.so.$(VERSION): $(B)/libperilune.a scripts/libperilune.map
	$(call show,LINK,$@)$(CC) -shared $(filter-out -pie,$(LDFLAGS_all)) -Wl,-soname,libperilune.so.$(SOVERSION) \
	  -Wl,--version-script=scripts/libperilune.map $(if $(filter asan tsan,$(VARIANT)),,-Wl$(comma)--no-undefined) -o $@ $(LIB_OBJ) $(LIBS)

$(B)/perilune: $(CLI_OBJ) $(B)/libperilune.a
	$(call show,LINK,$@)$(CC) $(LDFLAGS_all) -o $@ $(CLI_OBJ) $(B)/libperilune.a $(LIBS)

# The host has Lua itself. All modules are in one file: package.cpath finds perilune.json in perilune.so.
$(LUA_MODULES): $(MODULES_OBJ) $(B)/modules bindings/lua/plain/exports.map $(B)/flags
	@mkdir -p $(@D)
	$(call show,LINK,$@)$(CC) -shared $(filter-out -pie,$(LDFLAGS_all)) -Wl,--version-script=bindings/lua/plain/exports.map -o $@ \
	  $(MODULES_OBJ) -Wl,--as-needed -lcrypto -lpthread -lm
lua-modules: $(LUA_MODULES) ## the modules for plain Lua 5.4 alone (docs/lua-standalone.md)

build: $(B)/perilune $(LUA_MODULES) ## the perilune command, libperilune.a and the modules for plain Lua, in build/ (build/VARIANT/ for other variants)

deps: ## install what building and testing need (Debian packages; root or sudo)
	@scripts/deps

run: ## install, build and serve examples/payments: GraphQL on http://127.0.0.1:8080/graphql, gRPC on 127.0.0.1:50051
	@scripts/deps build
	@$(MAKE) build
	$(B)/perilune run examples/payments

# ---------------------------------------------------------------- tests
# Tests link without link-time optimisation: the archive's objects are of both kinds.
TEST_LDFLAGS = $(filter-out -flto=auto,$(LDFLAGS_all)) $(if $(filter release,$(VARIANT)),-fno-lto)
$(B)/tests/unit/%: tests/unit/%.c $(TEST_HELP_OBJ) $(B)/libperilune.a $(B)/flags
	@mkdir -p $(@D)
	$(call show,TEST,$@)$(CC) $(filter-out -flto=auto -ffat-lto-objects,$(CFLAGS_all)) -Itests/unit -MF $@.d -MT $@ $< $(TEST_HELP_OBJ) \
	  $(B)/libperilune.a $(TEST_LDFLAGS) -o $@ -lcmocka $(LIBS)
MODULES_TEST_OBJ := $(patsubst %,$(B)/obj/tests/unit/%.o,lua/plain/plain_fixture support/failing) $(B)/obj/gen/test_protos.o $(TSAN_OBJ)
$(MODULES_TEST:%.c=$(B)/%): $(B)/%: %.c
$(MODULES_TEST_BOTH): $(B)/tests/unit/lua/plain/%: tests/unit/lua/%.c
$(MODULES_TEST_BIN): $(MODULES_TEST_OBJ) $(MODULES_OBJ) $(B)/flags
	@mkdir -p $(@D)
	$(call show,TEST,$@)$(CC) $(filter-out -flto=auto -ffat-lto-objects,$(CFLAGS_all)) -Itests/unit -MF $@.d -MT $@ $(filter %.c,$^) \
	  $(MODULES_TEST_OBJ) $(MODULES_OBJ) $(TEST_LDFLAGS) -o $@ -lcmocka -llua5.4 -lcrypto -lpthread -lm
$(MODULES_TEST_OBJ): private CPPFLAGS_all += -Itests/unit
$(B)/gen/test_protos.c: scripts/embed-protos $(TEST_PROTO)
	@mkdir -p $(@D)
	$(call show,EMBED,$@)scripts/embed-protos test_protos tests/unit/support $(TEST_PROTO) >$@
$(TEST_HELP_OBJ): private CPPFLAGS_all += -Itests/unit

unit-bin: $(TEST_BIN)

unit: $(TEST_BIN) ## C unit tests, in the given VARIANT
	@scripts/run-unit --name unit-$(VARIANT) $(TEST_BIN)

venv: build/venv/.stamp
build/venv/.stamp: tests/requirements.txt
	@scripts/venv build/venv tests/requirements.txt
	@touch $@

# The Python package. It is built in a copy, as setuptools leaves files beside its sources, for each variant apart.
PYTHON_SRC := $(shell find bindings/python -type f -not -path '*/tests/*' -not -name '*.pyc')
$(B)/python/.wheel: $(PYTHON_SRC) $(wildcard core/include/*.h core/include/*/*.h) $(B)/libperilune.a build/venv/.stamp
	$(call show,WHEEL,$(B)/python)rm -rf $(B)/python/source $(B)/python/*.whl && mkdir -p $(B)/python && cp -r bindings/python $(B)/python/source && \
	  CC='$(CC)' CFLAGS='$(filter-out -flto=auto -ffat-lto-objects,$(CFLAGS_$(VARIANT)))' \
	  PERILUNE_WARN='$(filter-out -Wstrict-prototypes -Wwrite-strings,$(WARN))' LDFLAGS='$(filter-out -pie -flto=auto,$(LDFLAGS_$(VARIANT)))' \
	  PERILUNE_SOURCE='$(CURDIR)' PERILUNE_LIBRARY='$(abspath $(B))/libperilune.a' PERILUNE_LIBS='$(LIBS)' \
	  build/venv/bin/python -m pip wheel --quiet --disable-pip-version-check --no-build-isolation --no-deps -w $(B)/python $(B)/python/source
	@touch $@
# A fresh environment, with nothing but the wheel and what its tests need.
$(B)/python/venv/.stamp: $(B)/python/.wheel bindings/python/tests/requirements.txt
	@rm -rf $(B)/python/venv
	@scripts/venv $(B)/python/venv bindings/python/tests/requirements.txt
	$(call show,VENV,$(B)/python/venv)$(B)/python/venv/bin/python -m pip install --quiet --disable-pip-version-check --no-index --no-deps $(B)/python/*.whl
	@touch $@
python: venv $(B)/python/venv/.stamp ## the wheel of the Python package, in build/python, and environments for tests

# A sanitizer has to be there before Python is. Each process of the tests ends with a search for leaks.
ifeq ($(VARIANT),asan)
PYTHON_ENV := LD_PRELOAD=$(shell gcc -print-file-name=libasan.so):$(shell gcc -print-file-name=libubsan.so) ASAN_OPTIONS=detect_leaks=1:quarantine_size_mb=8 \
  LSAN_OPTIONS=suppressions=$(CURDIR)/tests/lsan.supp:print_suppressions=0 PYTHONMALLOC=malloc
endif
ifeq ($(VARIANT),tsan)
PYTHON_ENV := LD_PRELOAD=$(shell gcc -print-file-name=libtsan.so):$(abspath $(B))/tsan_interceptors.so PYTHONMALLOC=malloc \
  TSAN_OPTIONS=suppressions=$(CURDIR)/tests/tsan.supp:history_size=4
python: $(B)/tsan_interceptors.so
endif
$(B)/tsan_interceptors.so: $(TSAN_OBJ)
	$(call show,LINK,$@)$(CC) -shared $(filter-out -pie,$(LDFLAGS_all)) -o $@ $(TSAN_OBJ)
python-test: python ## tests of the Python package, in a fresh environment with its wheel
	PERILUNE_RESULTS=python-$(VARIANT) PERILUNE_VARIANT=$(VARIANT) $(PYTHON_ENV) $(B)/python/venv/bin/python -m pytest -p no:cacheprovider $(PYTEST) bindings/python/tests

CLIENTS := tests/integration/clients
npm: $(CLIENTS)/node_modules/.stamp
$(CLIENTS)/node_modules/.stamp: $(CLIENTS)/package-lock.json
	cd $(CLIENTS) && npm ci --no-audit --no-fund --ignore-scripts --loglevel=error
	@touch $@

# Programs in Go: the tools that tests/go/go.mod names, and our own.
go: build/go/.stamp
GO_SRC := scripts/go-tools scripts/go-toolchain $(shell find tests/go -type f 2>/dev/null) $(wildcard examples/users/proto/*.proto)
build/go/.stamp: $(GO_SRC)
	$(call show,GO,build/go/bin)scripts/go-tools
	@touch $@

# Apache Kafka from Maven, for tests against a real one.
kafka: build/kafka/.stamp
build/kafka/.stamp: scripts/kafka scripts/kafka-libs/pom.xml
	$(call show,KAFKA,build/kafka)scripts/kafka fetch
	@touch $@

# make integration PYTEST='-k reload -x'
PYTEST ?=
# Tests that wait more than they compute: several processes share them, each file going to one. SHARED= for a single one.
SHARED ?= -n 3 --dist loadfile
RUN_PYTEST = PERILUNE=$(abspath $(B)/perilune) PERILUNE_VARIANT=$(VARIANT) build/venv/bin/python -m pytest $(PYTEST)

integration: build venv npm go kafka perf $(B)/embed-h2o $(B)/libperilune.so.$(VERSION) ## tests of the running server
	PERILUNE_RESULTS=integration-$(VARIANT) $(RUN_PYTEST) $(SHARED) tests/integration tests/chaos

# CHAOS_SEED=N repeats the faults of a run.
chaos: build venv kafka ## each delivery guarantee while brokers and servers are killed, for CHAOS_SECONDS (make integration: a smoke of it)
	CHAOS_SECONDS=$(CHAOS_SECONDS) PERILUNE_RESULTS=chaos-$(VARIANT) $(RUN_PYTEST) -s tests/chaos

# The program that the suite runs through the C API; it uses the public header alone.
# What a program reads with cJSON: the library itself does not.
$(B)/perilune $(B)/conformance-c-api $(B)/tests/bench/limits/bare_kafka $(B)/tests/unit/value/test_json_read: LIBS += -lcjson
$(B)/conformance-c-api: tests/conformance/c_api.c $(TSAN_OBJ) $(B)/libperilune.a $(B)/flags
	$(call show,LINK,$@)$(CC) $(filter-out -Icore -I. -flto=auto -ffat-lto-objects,$(CFLAGS_all)) -MF $@.d -MT $@ $< $(TSAN_OBJ) $(B)/libperilune.a $(TEST_LDFLAGS) -o $@ $(LIBS)

# The example on libh2o, with this variant's library: tests run it.
$(B)/embed-h2o: examples/embed-h2o/main.c $(TSAN_OBJ) $(B)/libperilune.a $(B)/flags
	$(call show,LINK,$@)$(CC) $(filter-out -Icore -I. -flto=auto -ffat-lto-objects,$(CFLAGS_all)) -MF $@.d -MT $@ $< $(TSAN_OBJ) $(B)/libperilune.a $(TEST_LDFLAGS) -o $@ $(LIBS)

# What protobuf's conformance test runner talks to.
$(B)/protobuf-testee: tests/conformance/protobuf_testee.c $(TSAN_OBJ) $(B)/libperilune.a $(B)/flags
	$(call show,LINK,$@)$(CC) $(filter-out -flto=auto -ffat-lto-objects,$(CFLAGS_all)) -MF $@.d -MT $@ $< $(TSAN_OBJ) $(B)/libperilune.a $(TEST_LDFLAGS) -o $@ $(LIBS)

PROTOBUF_SUITE := tests/conformance/protobuf
$(PROTOBUF_SUITE)/node_modules/.stamp: $(PROTOBUF_SUITE)/package-lock.json
	cd $(PROTOBUF_SUITE) && npm ci --no-audit --no-fund --ignore-scripts --loglevel=error
	@touch $@

# What the suites of the running server need: once it is there, they can run side by side.
prepare: build venv npm go $(B)/conformance-c-api $(B)/embed-h2o $(B)/libperilune.so.$(VERSION) $(B)/protobuf-testee $(PROTOBUF_SUITE)/node_modules/.stamp kafka
conformance: build venv npm go $(B)/conformance-c-api $(B)/embed-h2o $(B)/protobuf-testee $(PROTOBUF_SUITE)/node_modules/.stamp ## the conformance suites (CONFORMANCE_DATA: GraphQL's cases)
	PERILUNE_RESULTS=conformance-$(VARIANT) $(RUN_PYTEST) tests/conformance

asan: ## unit tests and the core of the integration tests under AddressSanitizer and UBSan
	@$(MAKE) VARIANT=asan unit
	@$(MAKE) VARIANT=asan asan-bin
asan-bin: build venv go kafka $(B)/embed-h2o $(B)/libperilune.so.$(VERSION)
	PERILUNE_RESULTS=integration-$(VARIANT) $(RUN_PYTEST) $(SHARED) -m core tests/integration

tsan: ## unit tests, and what crosses threads (reloads under load, consumers, transactions), under ThreadSanitizer
	@$(MAKE) VARIANT=tsan unit
	@$(MAKE) VARIANT=tsan tsan-bin
	@$(MAKE) VARIANT=tsan python-test PYTEST='-m tsan'
tsan-bin: build venv kafka $(B)/embed-h2o
	PERILUNE_RESULTS=integration-$(VARIANT) $(RUN_PYTEST) -m tsan tests/integration

test: ## everything above: unit tests, a core of all under ASan, integration, conformance
	@scripts/deps build test
	@scripts/test

# ---------------------------------------------------------------- fuzzing, benchmarks, style
# An engine without a script language.
FUZZ_HELP_OBJ := $(B)/obj/gen/test_protos.o $(addprefix $(B)/obj/tests/unit/support/,test_engine.o test_engine_chain.o test_engine_values.o)
$(B)/tests/fuzz/%: tests/fuzz/%.c $(FUZZ_HELP_OBJ) $(B)/libperilune.a $(B)/flags
	@mkdir -p $(@D)
	$(call show,LINK,$@)$(CC) $(CFLAGS_all) -Itests/unit -MF $@.d -MT $@ -fsanitize=fuzzer $< $(FUZZ_HELP_OBJ) $(B)/libperilune.a $(LDFLAGS_all) -o $@ $(LIBS)
fuzz-bin: $(FUZZ_BIN)
fuzz: ## build the fuzz targets with clang and run each for FUZZ_SECONDS
	@scripts/deps build fuzz
	@$(MAKE) VARIANT=fuzz fuzz-bin
	@scripts/run-fuzz $(FUZZ_SECONDS) $(FUZZ_SRC:tests/fuzz/%.c=build/fuzz/tests/fuzz/%)

$(B)/tests/bench/%: tests/bench/%.c $(B)/flags
	@mkdir -p $(@D)
	$(call show,LINK,$@)$(CC) $(CFLAGS_all) -MF $@.d -MT $@ $< $(LDFLAGS_all) -o $@ $(LIBS)
# Load generators: nothing but libc and nghttp2.
$(B)/tests/bench/load/%: tests/bench/load/%.c $(B)/flags
	@mkdir -p $(@D)
	$(call show,LINK,$@)$(CC) $(CFLAGS_all) -MF $@.d -MT $@ $< $(LDFLAGS_all) -o $@ -lnghttp2
# What embedding costs; it uses the public header alone.
$(B)/tests/bench/embed: tests/bench/embed.c $(B)/libperilune.a $(B)/flags
	@mkdir -p $(@D)
	$(call show,LINK,$@)$(CC) $(CFLAGS_all) -Wno-maybe-uninitialized -MF $@.d -MT $@ $< $(B)/libperilune.a $(LDFLAGS_all) -o $@ $(LIBS)
# Messages of its own, with protobuf-c's code of them.
BENCH_PROTO_OBJ := $(B)/obj/gen/bench_protos.o $(B)/obj/build/proto/messages.pb-c.o
$(B)/gen/bench_protos.c: scripts/embed-protos tests/bench/messages.proto
	@mkdir -p $(@D)
	$(call show,EMBED,$@)scripts/embed-protos bench_protos tests/bench tests/bench/messages.proto >$@
$(B)/tests/bench/protobuf: tests/bench/protobuf.c $(BENCH_PROTO_OBJ) $(B)/libperilune.a $(B)/flags
	@mkdir -p $(@D)
	$(call show,LINK,$@)$(CC) $(CFLAGS_all) -MF $@.d -MT $@ $< $(BENCH_PROTO_OBJ) $(B)/libperilune.a $(LDFLAGS_all) -o $@ $(LIBS)
$(B)/tests/bench/natives: tests/bench/natives.c $(B)/libperilune.a $(B)/flags
	@mkdir -p $(@D)
	$(call show,LINK,$@)$(CC) $(CFLAGS_all) -MF $@.d -Wno-maybe-uninitialized -MT $@ $< $(B)/libperilune.a $(LDFLAGS_all) -o $@ $(LIBS)
# Instructions of small cases, beside those of tests/bench/guard/baseline.json. What is counted is the release's library, but for Protobuf's: that is not
# to be seen from outside of it.
GUARD := $(B)/tests/bench/guard
$(GUARD)/api $(GUARD)/reload: $(GUARD)/%: $(B)/obj/tests/bench/guard/guard.o $(B)/obj/tests/bench/guard/%.o $(B)/libperilune.so.$(VERSION)
	@mkdir -p $(@D)
	@ln -sf $(abspath $(B))/libperilune.so.$(VERSION) $(@D)/libperilune.so.$(SOVERSION)
	$(call show,LINK,$@)$(CC) $(TEST_LDFLAGS) -Wl,-rpath,'$$ORIGIN' -o $@ $^
$(GUARD)/protobuf: $(patsubst %,$(B)/obj/tests/bench/guard/%.o,guard protobuf) $(B)/obj/gen/test_protos.o $(B)/libperilune.a
	@mkdir -p $(@D)
	$(call show,LINK,$@)$(CC) $(TEST_LDFLAGS) -o $@ $^ $(LIBS)
$(GUARD)/fixed.so: tests/bench/guard/fixed.c $(B)/flags
	@mkdir -p $(@D)
	$(call show,LINK,$@)$(CC) $(filter-out -Icore -I. -flto=auto -ffat-lto-objects,$(CFLAGS_all)) -fvisibility=default -MF $@.d -MT $@ -shared $< -o $@
guard-bin: $(addprefix $(GUARD)/,api reload protobuf fixed.so) $(B)/perilune
# CASE: some of them; UPDATE=1 writes the baseline.
bench-guard: ## instructions of small cases: more than 5 % above tests/bench/guard/baseline.json fails (UPDATE=1 writes it anew; CASE='…')
	@scripts/deps build test
	@$(MAKE) VARIANT=release guard-bin
	@CC='$(CC)' scripts/bench-guard $(if $(UPDATE),--update) $(CASE)
# make bench CASE=graphql/hello BENCH='--rounds 5 --peers none'; scripts/bench --help.
CASE ?=
BENCH ?=
BENCH_PROGRAMS := $(patsubst tests/bench/%.c,$(B)/tests/bench/%,$(wildcard tests/bench/limits/*.c tests/bench/load/*.c) tests/bench/protobuf.c)
# Not each kernel lets it record, and not each archive has it: what profiles goes on without, and says so.
perf:
	@scripts/deps profile || echo 'perf is not to be had here: there are no profiles of the benchmark'
bench: ## all cases beside the peers and the limits, in one run: build/bench/report.md (docs/performance.md); CASE=graphql runs a part
	@scripts/deps build bench
	@$(MAKE) perf build venv kafka $(BENCH_PROGRAMS)
	@build/venv/bin/python scripts/bench $(CASE) $(BENCH)

lint: ## include rules, formatting, static checks, licence lines
	@scripts/deps build test lint
	@scripts/lint

format: ## reformat the C and Python files
	@scripts/deps lint
	@scripts/lint --fix

# ---------------------------------------------------------------- install, clean
D = $(DESTDIR)$(PREFIX)
install: build install-lua $(B)/libperilune.so.$(VERSION) ## PREFIX=/usr/local, DESTDIR= for packaging
	install -d $(D)/bin $(D)/lib/pkgconfig $(D)/include $(D)/share/perilune/lua
	install -m 755 $(B)/perilune $(D)/bin/perilune
	install -m 644 $(B)/libperilune.a $(D)/lib/libperilune.a
	install -m 755 $(B)/libperilune.so.$(VERSION) $(D)/lib/libperilune.so.$(VERSION)
	ln -sf libperilune.so.$(VERSION) $(D)/lib/libperilune.so.$(SOVERSION)
	ln -sf libperilune.so.$(SOVERSION) $(D)/lib/libperilune.so
	sed -e 's|@PREFIX@|$(PREFIX)|; s|@VERSION@|$(VERSION)|; s|@LIBS@|$(LIBS)|' scripts/perilune.pc.in >$(D)/lib/pkgconfig/perilune.pc
	cd core/include && find . -name '*.h' ! -name engines.h -exec install -D -m 644 {} $(D)/include/{} \;
	if [ -f build/graphiql/licences.txt ]; then install -m 644 build/graphiql/licences.txt $(D)/share/perilune/graphiql-licences.txt; fi
	cd lua && find perilune -name '*.lua' -exec install -D -m 644 {} $(D)/share/perilune/lua/{} \;

LUADIR ?= $(PREFIX)/share/lua/5.4
LIBDIR ?= $(PREFIX)/lib/lua/5.4
install-lua: $(LUA_MODULES) ## the modules for plain Lua alone, into LUADIR and LIBDIR
	install -D -m 755 $(LUA_MODULES) $(DESTDIR)$(LIBDIR)/perilune.so
	cd lua && for file in $(MODULES_LUA); do install -D -m 644 $$file $(DESTDIR)$(LUADIR)/$$file; done

clean: ## remove build/
	rm -rf build $(CLIENTS)/node_modules $(PROTOBUF_SUITE)/node_modules

-include $(wildcard $(B)/obj/tests/bench/guard/*.d) $(LIB_OBJ:.o=.d) $(MODULES_OBJ:.o=.d) $(CLI_OBJ:.o=.d) $(TEST_HELP_OBJ:.o=.d) $(MODULES_TEST_OBJ:.o=.d) $(TEST_BIN:%=%.d) $(FUZZ_BIN:%=%.d)
