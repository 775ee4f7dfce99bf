#!/bin/sh
# Builds for a board.
#
#   cross/build.sh dist TRIPLE       target/dist/camrill-VERSION-MACHINE.tar.gz, as `make dist` makes it
#   cross/build.sh build TRIPLE      the libraries and the C programs, in target/cross/TRIPLE/release
#   cross/build.sh check TRIPLE      whether it compiles
#   cross/build.sh cargo TRIPLE ...  cargo with any arguments
#
# Features are chosen with CARGO_FEATURES, as for `make`; environment.sh has what else can be set.
cd "$(dirname "$0")/.."
. cross/environment.sh

action=${1:-} triple=${2:-}
[ -n "$triple" ] || { sed -n '2,/^[^#]/s/^# \{0,1\}//p' "$0" >&2; exit 2; }
shift 2
cross_target "$triple"

cross_make() {
	# shellcheck disable=SC2086 # settings are words
	${MAKE:-make} --no-print-directory "$@" TARGET="$TARGET" CC="$PWD/cross/cc" STRIP=llvm-strip \
		LDFLAGS="$LDFLAGS" CARGO_FEATURES="${CARGO_FEATURES:-}"
}

case $action in
check) cargo check --quiet --lib --target "$TARGET" ${CARGO_FEATURES:-} ;;
cargo)
	export CARGO_BUILD_TARGET="$TARGET"
	exec cargo "$@"
	;;
build | dist)
	[ "$CROSS_ZIG" != - ] || { echo "cross: there is no linker for $TARGET; it can be checked" >&2; exit 2; }
	[ "$action" = dist ] || { cross_make build; exit; }
	mkdir -p "$CARGO_TARGET_DIR"
	export TOOLCHAIN="$CARGO_TARGET_DIR/$TARGET.cmake"
	sed -e "s|@TARGET@|$TARGET|" -e "s|@PREFIX@|$prefix|" -e "s|@PROCESSOR@|$(cross_field "$TARGET" 7)|" \
		cross/toolchain.cmake.in >"$TOOLCHAIN"
	# In target/dist with the others, whatever is built where.
	cross_make dist OUT="${OUT:-target}"
	;;
*) echo "cross: no action is called $action" >&2; exit 2 ;;
esac
