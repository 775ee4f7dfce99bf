#!/bin/sh
# Runs what was built for boards under qemu, on this machine.
#
#   cross/test.sh              what `make test` has time for: an ARM board, and a machine with its bytes in the other order
#   cross/test.sh all          every target that has a linker
#   cross/test.sh PART TRIPLE  one of the parts below
#
# CARGO_FEATURES chooses features, as for `make`.
cd "$(dirname "$0")/.."
. cross/environment.sh
features=${CARGO_FEATURES:-}
folder=${CARGO_TARGET_DIR:-$PWD/target/cross}

fail() {
	echo "cross: $1" >&2
	[ -z "${2:-}" ] || tail -n 60 "$2" >&2
	exit 1
}

# A test of the host's own, with nothing of the board's in its environment.
host_test() { CARGO_TARGET_DIR="$host_target" ${CARGO:-cargo} test "$@"; }
host_target=${CARGO_TARGET_DIR:-$PWD/target}

# This one starts itself once more, which takes a machine that can start it.
runs_itself=what_is_written_of_a_write_that_fails_is_cut_off

# The Rust library's own tests, checked for overflow, which is elsewhere on 32 bits. Some of them try random input for a
# minute when nothing is optimised; under qemu they try a part of it.
unit() {
	export CARGO_PROFILE_DEV_OPT_LEVEL=1 CARGO_PROFILE_DEV_DEBUG=0 PROPTEST_CASES="${PROPTEST_CASES:-16}"
	echo "cross: unit tests for $1"
	# shellcheck disable=SC2086 # options are words
	cross/build.sh cargo "$1" test --quiet --lib $features -- --skip "$runs_itself"
}

# The libraries and the C programs, and a script for each program that runs it under qemu.
build() {
	echo "cross: building for $1"
	cross/build.sh build "$1" >"$folder/$1.log" 2>&1 || fail "the build for $1 failed" "$folder/$1.log"
	release=$folder/$1/release
	mkdir -p "$release/run"
	for program in "$release"/*; do
		[ -f "$program" ] && [ -x "$program" ] || continue
		case $program in *.so) continue ;; esac
		printf '#!/bin/sh\nexec %s %s "$@"\n' "$(runner "$1")" "$program" >"$release/run/${program##*/}"
		chmod +x "$release/run/${program##*/}"
	done
}

runner() { (cross_target "$1" && echo "$runner"); }

# What the shared library shows and needs, and which glibc at least.
library() {
	build "$1"
	echo "cross: the library for $1"
	CAMRILL_LIBRARY=$release/libcamrill.so host_test --quiet --test abi the_library
	newest=$(readelf -VW "$release/libcamrill.so" "$release/camrill-server" |
		sed -n 's/.*Name: GLIBC_\([0-9.]*\) .*/\1/p' | sort -V | tail -n 1)
	allowed=$(cross_field "$1" 2 | sed -n 's/^[^.]*\.\([0-9]*\.[0-9]*\)$/\1/p')
	if [ -z "$allowed" ]; then
		[ -z "$newest" ] && ! readelf -lW "$release/camrill-server" | grep -q INTERP ||
			fail "camrill-server for $1 is not static"
	else
		printf '%s\n' "$newest" "$allowed" | sort -CV || fail "glibc $newest is needed for $1, not $allowed"
	fi
}

# The C API from C.
c_tests() {
	build "$1"
	echo "cross: C tests for $1"
	tests=$folder/$1/c-tests
	mkdir -p "$tests"
	for source in $(grep -l '^int main' tests/c/*.c | grep -v /header.c); do
		name=$(basename "$source" .c)
		(
			cross_target "$1"
			# shellcheck disable=SC2086 # flags are words
			link=
			[ "$name" != zero_copy ] || link=-Wl,--wrap=memcpy,--wrap=memmove
			cross/cc -std=c99 -Wall -Wextra -Werror -Iinclude -g -O1 -o "$tests/$name" "$source" "$release/libcamrill.a" \
				-Wl,--gc-sections $link $LDFLAGS -lutil -lrt -lpthread -lm -ldl
			$runner "$tests/$name"
		) >"$tests/$name.log" 2>&1 || fail "tests/c/$name.c failed on $1" "$tests/$name.log"
	done
}

# Real clients and servers around camrill-server and the examples; media is compared frame by frame.
clients() {
	build "$1"
	echo "cross: real clients around $1"
	export CAMRILL_SERVER="$release/run/camrill-server" CAMRILL_EXAMPLES="$release/run"
	# The transports need a TLS library of the board's.
	host_test --quiet --test examples -- --skip transports
	host_test --quiet --test real_clients --test hls_folder
	[ "$2" != all ] || host_test --quiet --test recording --test http_live --test ingest_http --test hls_clients
	unset CAMRILL_SERVER CAMRILL_EXAMPLES
}

# A program that a board's SDK builds from the tarball, with gcc and CMake, by the toolchain file in it.
sdk() {
	echo "cross: the tarball for $1 with gcc and CMake"
	cross/build.sh dist "$1" >"$folder/$1.log" 2>&1 || fail "the tarball for $1 could not be made" "$folder/$1.log"
	rm -rf "$folder/$1/sdk"
	mkdir -p "$folder/$1/sdk/tree"
	tar -xzf target/dist/camrill-*-"$(echo "$1" | sed 's/-unknown-/-/')".tar.gz -C "$folder/$1/sdk/tree" --strip-components=1
	(
		cd "$folder/$1/sdk"
		cmake -S "$OLDPWD/tests/data/cmake" -B build -DCMAKE_TOOLCHAIN_FILE="$PWD/tree/share/camrill/toolchain.cmake" \
			-DSERVER="$OLDPWD/examples-c/smallest-server.c"
		cmake --build build
	) >"$folder/$1.log" 2>&1 || fail "a program for $1 could not be built" "$folder/$1.log"
	for program in c-static c-shared; do
		# It listens, or says that the address is none; both are the library's doing.
		# shellcheck disable=SC2046 # words
		said=$(LD_LIBRARY_PATH=$folder/$1/sdk/tree/lib $(runner "$1") \
			-E "LD_LIBRARY_PATH=$folder/$1/sdk/tree/lib" "$folder/$1/sdk/build/$program" nowhere 2>&1) || true
		case $said in *listen*) ;; *) fail "$program for $1 says: $said" ;; esac
	done
}

mkdir -p "$folder"
case ${1:-} in
"")
	unit mips-unknown-linux-gnu
	library armv7-unknown-linux-gnueabihf
	c_tests armv7-unknown-linux-gnueabihf
	clients armv7-unknown-linux-gnueabihf some
	sdk armv7-unknown-linux-gnueabihf
	;;
all)
	for triple in $(cross_targets); do
		[ "$(cross_field "$triple" 2)" != - ] || { cross/build.sh check "$triple"; continue; }
		case $triple in *-gnu*) unit "$triple" ;; esac
		library "$triple"
		c_tests "$triple"
		clients "$triple" all
	done
	sdk armv7-unknown-linux-gnueabihf
	;;
unit | library | c_tests | clients | sdk) part=$1 && shift && "$part" "$1" "${2:-all}" ;;
*) sed -n '2,/^[^#]/s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
esac
