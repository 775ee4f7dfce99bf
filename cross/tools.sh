#!/bin/sh
# Fetches what a cross build needs and this machine has not, into CROSS_TOOLS (cross/.tools); done in a moment when all is
# there. A toolchain has to have the sources of Rust's standard library, which is built for each target. It is
#
#   - the one that is installed, when rustup has its rust-src, or can add it;
#   - otherwise, on a PC with Debian, that of Debian's own packages, unpacked and nothing more. They are of a newer
#     release than most machines run, so they bring their own C library. CROSS_SUITE names the release.
#
# zig is PyPI's, llvm-strip is the system's.
set -eu
cd "$(dirname "$0")/.."
CROSS_TOOLS=${CROSS_TOOLS:-$PWD/cross/.tools}
suite=${CROSS_SUITE:-forky}
zig=0.17.0
mkdir -p "$CROSS_TOOLS"
exec 9>"$CROSS_TOOLS/lock"
flock 9

fail() {
	echo "cross: $1" >&2
	exit 1
}

# The oldest compiler that the library is for.
wanted=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)

# has_source RUSTC: whether it is new enough, and the standard library's sources are where it looks for them.
has_source() {
	version=$("$1" -V 2>/dev/null | cut -d ' ' -f 2)
	[ -n "$version" ] && printf '%s\n' "$wanted" "$version" | sort -CV &&
		[ -f "$("$1" --print sysroot)/lib/rustlib/src/rust/library/Cargo.lock" ]
}

# What cargo is to call: the compiler that was chosen.
use() {
	mkdir -p "$CROSS_TOOLS/bin"
	printf '#!/bin/sh\nexec %s "$@"\n' "$1" >"$CROSS_TOOLS/bin/rustc.part"
	chmod +x "$CROSS_TOOLS/bin/rustc.part"
	mv "$CROSS_TOOLS/bin/rustc.part" "$CROSS_TOOLS/bin/rustc"
}

debian_rust() {
	if [ "$(uname -m)" != x86_64 ] || ! command -v apt-get dpkg-deb >/dev/null ||
		[ ! -f /usr/share/keyrings/debian-archive-keyring.gpg ]; then
		fail "the sources of Rust's standard library are missing; \`rustup component add rust-src\` installs them"
	fi
	echo "cross: fetching Debian's Rust, of $suite, into $CROSS_TOOLS"
	apt=$CROSS_TOOLS/apt
	rm -rf "$apt" "$CROSS_TOOLS/rust.part"
	mkdir -p "$apt/lists/partial" "$apt/cache/archives/partial" "$CROSS_TOOLS/rust.part"
	: >"$apt/status"
	echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg arch=amd64]" \
		"http://deb.debian.org/debian $suite main" >"$apt/sources"
	# A state of its own: for apt this is another machine, on which nothing is installed.
	set -- -q -o "Dir::State::Lists=$apt/lists" -o "Dir::State::Status=$apt/status" -o "Dir::Cache=$apt/cache" \
		-o "Dir::Etc::SourceList=$apt/sources" -o Dir::Etc::SourceParts=/dev/null \
		-o Dir::Etc::PreferencesParts=/dev/null -o APT::Architecture=amd64 -o APT::Sandbox::User=root
	apt-get "$@" update >"$apt/log" 2>&1 &&
		apt-get "$@" install -y --download-only --no-install-recommends rustc rust-src libstd-rust-dev \
			>>"$apt/log" 2>&1 || { tail -n 20 "$apt/log" >&2; fail "Debian's Rust could not be fetched"; }
	for package in "$apt"/cache/archives/*.deb; do dpkg-deb -x "$package" "$CROSS_TOOLS/rust.part"; done
	rm -rf "$apt" "$CROSS_TOOLS/rust"
	mv "$CROSS_TOOLS/rust.part" "$CROSS_TOOLS/rust"
}

if ! has_source "$CROSS_TOOLS/bin/rustc"; then
	installed=rustc
	if [ "${CROSS_RUST:-}" = debian ]; then
		installed=false
	elif ! has_source rustc && command -v rustup >/dev/null; then
		timeout 120 rustup component add rust-src >/dev/null 2>&1 || true
	fi
	if has_source "$installed"; then
		use "$(rustc --print sysroot)/bin/rustc"
	else
		debian_rust
		root=$CROSS_TOOLS/rust
		lib=usr/lib/x86_64-linux-gnu
		use "$root/usr/lib64/ld-linux-x86-64.so.2 --library-path $root/$lib $root/usr/bin/rustc --sysroot $root/usr"
		has_source "$CROSS_TOOLS/bin/rustc" ||
			fail "Debian's Rust, of $suite, is older than $wanted, does not start or comes without library/"
	fi
	echo "cross: $("$CROSS_TOOLS/bin/rustc" -V)"
fi

if [ "$("$CROSS_TOOLS/python/ziglang/zig" version 2>/dev/null)" != $zig ]; then
	rm -rf "$CROSS_TOOLS/python"
	python3 -m pip install --quiet --root-user-action=ignore --target "$CROSS_TOOLS/python" "ziglang==$zig" ||
		fail "zig $zig could not be fetched; \`pip install ziglang\` is how"
fi

command -v llvm-strip >/dev/null || fail "llvm-strip is missing; Debian has it in the package llvm"
