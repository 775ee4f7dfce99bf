#!/bin/sh
# Prints docs/sizes.md: how large the shared library is on boards, by features.
#
#   benches/sizes.sh > docs/sizes.md
#   benches/sizes.sh --plain > cross/sizes    only the figures: target, features, text, data, bss and bytes
#
# CARGO_TARGET_DIR says where to build (target/sizes). What is measured stands in the lists below.
set -eu
cd "$(dirname "$0")/.."
CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$PWD/target/sizes}"
export CARGO_TARGET_DIR
arm=armv7-unknown-linux-gnueabihf
whole=default
recording=http,hls,dvr

# TARGET FEATURES [VARIABLE=VALUE]: prints text, data, bss and the size of the file, in bytes.
measure() {
	target=$1 features=$2
	shift 2
	[ "$features" != none ] || features=
	env "$@" CROSS_FLAGS=-Awarnings cross/build.sh cargo "$target" rustc --quiet --release --lib --crate-type cdylib \
		--no-default-features --features "$features" >&2
	stripped=$CARGO_TARGET_DIR/$target.so
	llvm-strip -o "$stripped" "$CARGO_TARGET_DIR/$target/release/libcamrill.so"
	echo "$(size -B "$stripped" | awk 'END { print $1, $2, $3 }') $(stat -c %s "$stripped")"
}

# TARGET FEATURES [VARIABLE=VALUE]
row() {
	figures=$(measure "$@")
	echo "$* $figures"
}

# What the budgets are about, and each feature for itself, on the board with the most of its kind; the rest on others.
rows() {
	for features in none $recording $whole $whole,tls http hls dvr tls; do row $arm "$features"; done
	for features in none $recording; do
		row $arm "$features" CARGO_PROFILE_RELEASE_OPT_LEVEL=z
		row $arm "$features" CARGO_PROFILE_RELEASE_OPT_LEVEL=z PANIC=immediate-abort
	done
	for target in mipsel-unknown-linux-musl aarch64-unknown-linux-gnu; do
		for features in none $recording $whole $whole,tls; do row "$target" "$features"; done
	done
}

if [ "${1:-}" = --plain ]; then
	rows
	exit
fi

cross/tools.sh >&2
CROSS_TOOLS=${CROSS_TOOLS:-cross/.tools}
cat <<END
# Sizes

The shared library for boards, stripped, as \`make cross\` builds it, with the standard library built for size too:
$("$CROSS_TOOLS/bin/rustc" -V), revision $(git rev-parse --short=12 HEAD). Made by \`benches/sizes.sh\`.

Bytes of code and constants (text), of what is written to (data, and bss beside it), and of the file. With no feature
there is RTMP, frames from encoders, ingest and forward. \`default\` is \`http\`, \`hls\`, \`dvr\` and \`page\`.

| target | features | built with | text | data | bss | file, KB |
|---|---|---|---|---|---|---|
END
rows | awk '{
	with = ""
	for (i = 3; i <= NF - 4; i++) with = with (i > 3 ? ", " : "") "`" $i "`"
	printf "| `%s` | %s | %s | %d | %d | %d | %d |\n", $1, $2, with, $(NF - 3), $(NF - 2), $(NF - 1), $NF / 1024
}'
