# shellcheck shell=sh
# Sourced by dist.sh and deb.sh, which the Makefile calls with its variables: what is packaged is built here, so that
# it has the same bytes in whichever folder that is done.
set -eu
umask 022
export LC_ALL=C
# The Makefile's variables are in the environment; its jobs are not ours to share.
unset MAKEFLAGS MFLAGS MAKELEVEL

# The triple as rustc knows it.
triple=${TARGET:-$(rustc -vV | sed -n 's/^host: //p')}

# Whether this folder is a repository, and not just somewhere within one.
is_repository() { [ "$(git rev-parse --show-toplevel 2>/dev/null)" = "$PWD" ]; }

# Everything that is packaged bears one time: that of the last commit. `git archive` gives it to the files of a
# source tarball.
if [ -z "${SOURCE_DATE_EPOCH:-}" ]; then
	SOURCE_DATE_EPOCH=$(stat -c %Y Cargo.toml)
	if is_repository; then SOURCE_DATE_EPOCH=$(git log -1 --format=%ct); fi
fi
export SOURCE_DATE_EPOCH

# Built apart from what is built for the day, since other options would have all of it built anew each time.
mkdir -p "$OUT/package"
CARGO_TARGET_DIR=$(cd "$OUT/package" && pwd)
export CARGO_TARGET_DIR
# By one at a time: what is linked there would else be linked twice at once.
exec 9>"$CARGO_TARGET_DIR/lock"
flock 9

# A panic's place, and whatever else names a source, is named without the folder that it is in.
RUSTFLAGS="${RUSTFLAGS:-} --remap-path-prefix=${CARGO_HOME:-$HOME/.cargo}=/cargo --remap-path-prefix=$PWD=/camrill"
RUSTFLAGS="$RUSTFLAGS --remap-path-prefix=$CARGO_TARGET_DIR=/build"
RUSTFLAGS="$RUSTFLAGS --remap-path-prefix=$(rustc --print sysroot)/lib/rustlib/src/rust=/rustc"
export RUSTFLAGS

cflags="-O2 -fPIE -fstack-protector-strong -D_FORTIFY_SOURCE=2 -ffile-prefix-map=$PWD=."
ldflags="-pie -Wl,-z,relro,-z,now"

# stage FOLDER PREFIX LIBDIR: builds, and installs below FOLDER, stripped.
stage() {
	rm -rf "$1"
	"$MAKE" --no-print-directory install CARGO="$CARGO" CC="$CC" INSTALL="$INSTALL" TARGET="$TARGET" \
		CARGO_FEATURES="$CARGO_FEATURES" STATIC_LIBS="$STATIC_LIBS" CFLAGS="$cflags" LDFLAGS="$LDFLAGS $ldflags" \
		DESTDIR="$1" PREFIX="$2" LIBDIR="$3" BINDIR="$2/bin" INCLUDEDIR="$2/include"
	"$STRIP" --strip-unneeded --remove-section=.comment "$1$3/libcamrill.so.$VERSION" "$1$2/bin"/*
	"$STRIP" --enable-deterministic-archives --strip-debug --remove-section=.comment "$1$3/libcamrill.a"
}

# inventory ACTION: what the library that was staged is made of.
inventory() {
	# shellcheck disable=SC2086 # cargo's options are words
	python3 cbindings/package/inventory.py "$1" --target "$triple" $CARGO_FEATURES
}

# std_notices FOLDER: the standard library's notices in full, where the compiler has them with it.
std_notices() {
	notices=$(rustc --print sysroot)/share/doc/rust/COPYRIGHT-library.html
	[ ! -f "$notices" ] || install -m 644 "$notices" "$1/COPYRIGHT-rust-std.html"
}
