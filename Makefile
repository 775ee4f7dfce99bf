# camrill: what a developer types.
#
#   make run      a server with a page and a looping camera; installs what is missing to build
#   make test     everything that guards a change, fast checks first; installs what is missing
#   make build    the libraries and the C programs, in target/release
#   make bench    the side-by-side comparison, written to docs/benchmarks.md
#   make install  [PREFIX=/usr/local] [LIBDIR=] [DESTDIR=]   and `make uninstall`
#   make dist     tarballs, in target/dist; the same bytes wherever they are made
#   make deb      Debian packages, in target/deb
#   make cross TARGET=armv7-unknown-linux-gnueabihf   a tarball for a board; cross/targets has them all
#   make test-cross   what was built for boards, run under qemu; test-cross-all: for all of them
#   make fmt, make lint, make header, make docs, make clean
#
# What is built and packaged can be for another machine and with other features:
#
#   make dist TARGET=aarch64-unknown-linux-gnu CC=aarch64-linux-gnu-gcc STRIP=aarch64-linux-gnu-strip \
#       CARGO_FEATURES="--features tls"

PREFIX     ?= /usr/local
LIBDIR     ?= $(PREFIX)/lib
BINDIR     ?= $(PREFIX)/bin
INCLUDEDIR ?= $(PREFIX)/include
DESTDIR    ?=

CARGO   ?= cargo
CC      ?= cc
STRIP   ?= strip
INSTALL ?= install
CFLAGS  ?= -O2 -g

# The triple to build for, and cargo's options for features; when empty, this machine's and the default ones.
TARGET         ?=
CARGO_FEATURES ?=

OUT     := $(or $(CARGO_TARGET_DIR),target)
RELEASE := $(OUT)/$(addsuffix /,$(TARGET))release
VERSION := $(shell sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
SONAME  := libcamrill.so.$(firstword $(subst ., ,$(VERSION)))

# What Rust's standard library needs, as `cargo rustc --lib -- --print native-static-libs` says; but not -lgcc_s and
# -lc. Compilers add those by themselves, and better: a program may then be linked with -static or -static-libgcc.
STATIC_LIBS ?= -lutil -lrt -lpthread -lm -ldl
STRICT      := -std=c99 -Wall -Wextra -Werror

# programs.c is a part of camrill-server, each other file a program. Those that show a TLS library need it to
# be built: they are made by their names alone.
PROGRAMS := $(patsubst examples-c/%.c,$(RELEASE)/%,\
	$(filter-out %/programs.c examples-c/transport-%,$(wildcard examples-c/*.c)))
$(RELEASE)/transport-openssl: LIBS := -lssl -lcrypto
$(RELEASE)/transport-mbedtls: LIBS := -lmbedtls -lmbedx509 -lmbedcrypto

.PHONY: run test build bench install uninstall dist deb cross test-cross test-cross-all fmt lint header docs clean \
	setup-run setup-test setup-board FORCE

build: $(RELEASE)/libcamrill.a $(PROGRAMS)

# cargo knows best whether the library is current; it leaves the file's time alone when it is, and
# then no program is linked again. It optimises across crates only when Rust's own kind of library is not asked for.
LIBRARIES := rustc --release --lib --crate-type cdylib,staticlib
$(RELEASE)/libcamrill.a: FORCE
	@$(CARGO) $(LIBRARIES) $(addprefix --target ,$(TARGET)) $(CARGO_FEATURES)

# The static library, so that a program runs wherever it is copied to.
$(RELEASE)/%: examples-c/%.c include/camrill.h $(RELEASE)/libcamrill.a
	$(CC) $(STRICT) $(CFLAGS) -Iinclude -o $@ $(filter %.c,$^) $(RELEASE)/libcamrill.a \
		-Wl,--gc-sections $(LDFLAGS) $(LIBS) $(STATIC_LIBS)

$(RELEASE)/camrill-server: examples-c/programs.c examples-c/programs.h

# The ports in hexadecimal, as the kernel lists them; 0A is a socket that listens.
run: setup-run
	@$(MAKE) --no-print-directory build
	@for port in 078F=1935 1F90=8080 07C1=1985; do \
		if grep -qs ":$${port%=*} [0-9A-F]*:[0-9A-F]* 0A" /proc/net/tcp /proc/net/tcp6; then \
			echo "Port $${port#*=} is taken: another server runs on this machine. Stop it, or change"; \
			echo "\`listen\` in examples-c/camera.conf."; \
			exit 1; \
		fi; \
	done
	@echo
	@echo "  A camera is live. Watch it in a browser:"
	@echo "      http://127.0.0.1:8080/"
	@echo "  or with a player:"
	@echo "      ffplay rtmp://127.0.0.1:1935/live/camera"
	@echo "      ffplay http://127.0.0.1:8080/live/camera.flv"
	@echo "      vlc    http://127.0.0.1:8080/live/camera.m3u8"
	@echo "  Publish beside it, and watch rtmp://127.0.0.1:1935/live/test:"
	@echo "      ffmpeg -re -i assets/clip.flv -c copy -f flv rtmp://127.0.0.1:1935/live/test"
	@echo "  Ctrl-C stops the server."
	@echo
	@exec $(RELEASE)/camrill-server -c examples-c/camera.conf

test: setup-test
	@$(MAKE) --no-print-directory lint
	@$(MAKE) --no-print-directory build
	$(CARGO) test
	$(CARGO) test --features tls --lib engine::tls
	$(CARGO) test --features tls --test tls --test tls_out
	tests/c/run.sh
	tests/c/examples.sh
	tests/c/tsan.sh
	$(CARGO) test --quiet --manifest-path tests/loom/Cargo.toml --target-dir $(OUT)/loom
	fuzz/run.sh
	cross/check-recipes.sh

bench: build
	$(CARGO) bench --bench side_by_side -- --out docs/benchmarks.md

fmt:
	$(CARGO) fmt --all

lint:
	$(CARGO) fmt --all --check
	$(CARGO) clippy --all-targets -- -D warnings
	$(CARGO) clippy --all-targets --features tls -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --no-deps --lib

# The header's own test writes it when it is asked to; other languages read it.
header:
	CAMRILL_HEADER=write $(CARGO) test --test header
	python3 cbindings/generate.py

# So does the directive reference's.
docs:
	CAMRILL_DOCS=write $(CARGO) test --test directives

# What the scripts of cbindings/package go by.
SETTINGS = $(foreach name,MAKE CARGO CC STRIP INSTALL CFLAGS LDFLAGS TARGET CARGO_FEATURES OUT RELEASE VERSION SONAME \
	STATIC_LIBS PREFIX LIBDIR BINDIR INCLUDEDIR DESTDIR,$(name)='$($(name))')

# Under sudo there is often no cargo: what was built before is then installed as it stands.
install: $(if $(shell command -v $(CARGO)),$(RELEASE)/camrill-server $(RELEASE)/camrill-camera)
	@$(SETTINGS) cbindings/package/install.sh install

uninstall:
	@$(SETTINGS) cbindings/package/install.sh uninstall

dist:
	@$(SETTINGS) cbindings/package/dist.sh

deb:
	@$(SETTINGS) cbindings/package/deb.sh

cross: setup-board
	@cross/build.sh dist "$(TARGET)"

test-cross: setup-test
	@cross/test.sh

test-cross-all: setup-test
	@cross/test.sh all

clean:
	$(CARGO) clean

setup-run:
	@tests/setup.sh run

setup-test:
	@tests/setup.sh test

setup-board:
	@tests/setup.sh board

FORCE:
