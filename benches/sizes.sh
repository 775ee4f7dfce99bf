#!/bin/sh
# Prints the table in docs/sizes.md: what each feature adds to the shared library.
#
#   benches/sizes.sh > docs/sizes.md
#
# CARGO_TARGET_DIR says where to build (target/sizes), TARGET for what (the host), STRIP with what.
set -eu
cd "$(dirname "$0")/.."
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-target/sizes}"
# What a feature leaves unused is not of interest here.
export RUSTFLAGS="${RUSTFLAGS:-} -Awarnings"
triple="${TARGET:-$(rustc -vV | sed -n 's/^host: //p')}"
strip="${STRIP:-strip}"

# The size of the library with some features, in bytes.
size() {
	cargo build --quiet --release --lib --target "$triple" --no-default-features --features "$1" >&2
	cp "$CARGO_TARGET_DIR/$triple/release/libcamrill.so" "$CARGO_TARGET_DIR/stripped.so"
	"$strip" "$CARGO_TARGET_DIR/stripped.so"
	stat -c %s "$CARGO_TARGET_DIR/stripped.so"
}

row() {
	bytes=$(size "$2")
	base=${base:-$bytes}
	echo "| $1 | $((bytes / 1024)) | $(((bytes - base) / 1024)) |"
}

cat <<END
# Sizes

The shared library, stripped, as \`cargo build --release\` makes it with the toolchain's own standard library:
\`$triple\`, $(rustc -V), revision $(git rev-parse --short=12 HEAD). Made by \`benches/sizes.sh\`.

| features | KB | more than with none |
|---|---|---|
END
row "none: RTMP, and frames from encoders" ""
row "\`http\`" http
row "\`hls\`" hls
row "\`dvr\`" dvr
row "\`hls\`, \`dvr\`" hls,dvr
row "\`http\`, \`page\`" http,page
row "\`http\`, \`hls\`" http,hls
row "default: \`http\`, \`hls\`, \`dvr\`, \`page\`" default
row "\`tls\`" tls
row "default and \`tls\`" default,tls
