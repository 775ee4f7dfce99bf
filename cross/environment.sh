# shellcheck shell=sh
# Sourced by the scripts of this folder, in the project's folder. After `cross_target TRIPLE`, cargo, make and cc build for
# that machine: the standard library too, for size.
#
#   PANIC   unwind (what is built otherwise): a panic is caught and told as CAMRILL_EPANIC
#           abort: it says where it was and ends the program; no tables for unwinding
#           immediate-abort: it ends the program without a word; the smallest
#   CROSS_FLAGS   more flags for rustc
set -eu
export CROSS_TOOLS="${CROSS_TOOLS:-$PWD/cross/.tools}"

# cross_field TRIPLE NUMBER: from cross/targets.
cross_field() { awk -v triple="$1" -v n="$2" '$1 == triple { print $n }' cross/targets; }

cross_targets() { awk '/^[^#]/ { print $1 }' cross/targets; }

cross_target() {
	export TARGET="$1"
	CROSS_ZIG=$(cross_field "$TARGET" 2)
	if [ -z "$CROSS_ZIG" ]; then
		echo "cross: TARGET=$TARGET is not in cross/targets, which has:" >&2
		cross_targets | sed 's/^/  /' >&2
		exit 2
	fi
	export CROSS_ZIG
	CROSS_CPU=$(cross_field "$TARGET" 3)
	export CROSS_CPU
	qemu=$(cross_field "$TARGET" 4) debian=$(cross_field "$TARGET" 5) prefix=$(cross_field "$TARGET" 6)

	cross/tools.sh
	export PATH="$CROSS_TOOLS/bin:$PATH" RUSTC="$CROSS_TOOLS/bin/rustc"
	export ZIG_GLOBAL_CACHE_DIR="$CROSS_TOOLS/zig-cache" ZIG_LOCAL_CACHE_DIR="$CROSS_TOOLS/zig-cache"
	export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$PWD/target/cross}"

	# Building the standard library is not stable in cargo. What it is built of is: the compiler's own release.
	export RUSTC_BOOTSTRAP=1
	std=std,panic_unwind std_features=optimize_for_size flags=
	case ${PANIC:=unwind} in
	unwind) ;;
	abort)
		std=std,panic_abort
		export CARGO_PROFILE_RELEASE_PANIC=abort
		;;
	immediate-abort)
		std=std,panic_abort
		flags="-Zunstable-options -Cpanic=immediate-abort"
		;;
	*)
		echo "cross: PANIC is unwind, abort or immediate-abort, not $PANIC" >&2
		exit 2
		;;
	esac
	export CARGO_UNSTABLE_BUILD_STD="$std" CARGO_UNSTABLE_BUILD_STD_FEATURES="$std_features"

	# Thumb's code is a third smaller than ARM's, and every ARMv7-A processor runs it.
	case $TARGET in armv7-*) flags="$flags -Ctarget-feature=+thumb-mode" ;; esac
	LDFLAGS=-lunwind
	case $TARGET in
	*-musl*)
		# Programs are linked statically by the C compiler; rustc makes no shared library when it is told of that.
		flags="$flags -Ctarget-feature=-crt-static -Clink-self-contained=no"
		LDFLAGS="-static -lunwind"
		;;
	esac
	# The linker says where it found no folder.
	export RUSTFLAGS="$flags -Alinker_messages ${CROSS_FLAGS:-} --remap-path-prefix=$CROSS_TOOLS=/tools"
	export LDFLAGS

	# As cargo and the crate cc write it in names of variables.
	upper=$(echo "$TARGET" | tr 'a-z-' 'A-Z_')
	lower=$(echo "$TARGET" | tr - _)
	sysroot=
	[ "$debian" = - ] || sysroot=" -L /usr/$prefix"
	runner="qemu-$qemu-static$sysroot"
	export "CARGO_TARGET_${upper}_LINKER=$PWD/cross/cc" "CARGO_TARGET_${upper}_RUNNER=$runner"
	export "CC_$lower=$PWD/cross/cc" "AR_$lower=llvm-ar"
}
