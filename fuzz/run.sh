#!/bin/sh
# Runs every fuzz target for a short time, from the seeds on: fuzz/run.sh [SECONDS] [TARGET...]
#
# It needs stable Rust and a C++ compiler. The flags are those of cargo-fuzz, which the targets work
# with too: `cargo +nightly fuzz run hub_ops fuzz/corpus/hub_ops fuzz/seeds/hub_ops`.
set -eu

seconds=${1:-5}
[ $# -eq 0 ] || shift
cd "$(dirname "$0")"
[ $# -gt 0 ] || set -- handshake chunk_reader amf0 flv_tag config session hub_ops mpegts hls fmp4 mp4_scan

CXX=${CXX:-$(command -v g++ || command -v clang++ || true)}
if [ -z "$CXX" ]; then
    echo "fuzz: a C++ compiler is needed to build libFuzzer: apt-get install g++" >&2
    exit 1
fi
host=$(rustc -vV | sed -n 's/^host: //p')
case $host in
    x86_64-unknown-linux-gnu | aarch64-unknown-linux-gnu) ;;
    *) echo "fuzz: skipped, no sanitizer for $host"; exit 0 ;;
esac

# A target directory of its own: other flags would have everything built again each time.
target=${CARGO_TARGET_DIR:-$PWD/../target}/fuzz
echo "fuzz: building"
# The address sanitizer is on no stable compiler's list, though it is part of it.
RUSTC_BOOTSTRAP=1 CXX=$CXX CARGO_TARGET_DIR=$target RUSTFLAGS="--cfg fuzzing \
-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
-Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
-Cllvm-args=-sanitizer-coverage-trace-compares -Zsanitizer=address -Cdebug-assertions \
-Ccodegen-units=1" \
    cargo build --quiet --locked --release --bins --target "$host"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 1' INT TERM
mkdir -p artifacts

# One target; what it says goes to a file, and its code to another.
run() {
    mkdir "$work/$1"
    case $1 in
        handshake) max=3200 ;;
        config) max=2048 ;;
        *) max=4096 ;;
    esac
    code=0
    "$target/$host/release/$1" "$work/$1" "seeds/$1" -max_total_time="$seconds" -max_len=$max \
        -rss_limit_mb=1024 -timeout=10 -artifact_prefix="artifacts/$1-" -print_final_stats=1 \
        -verbosity=1 >"$work/$1.log" 2>&1 || code=$?
    echo $code >"$work/$1.code"
}

report() {
    if [ "$(cat "$work/$1.code")" -ne 0 ]; then
        failed="$failed $1"
        grep -E 'panicked|ERROR|SUMMARY|^#[0-9]+ ' -A 3 "$work/$1.log" | tail -n 60 >&2 || true
        artifact=$(sed -n 's/.*Test unit written to //p' "$work/$1.log" | tail -n 1)
        echo "fuzz: $1 FAILED; the input is fuzz/${artifact:-artifacts (none was written)}" >&2
        echo "fuzz: again with: $target/$host/release/$1 fuzz/$artifact" >&2
        return
    fi
    runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$work/$1.log")
    echo "fuzz: $1: ${runs:-?} runs in $seconds s"
}

# Two at a time.
failed=
while [ $# -gt 0 ]; do
    run "$1" &
    if [ $# -gt 1 ]; then
        run "$2"
    fi
    wait
    report "$1"
    shift
    if [ $# -gt 0 ]; then
        report "$1"
        shift
    fi
done
if [ -n "$failed" ]; then
    echo "fuzz: failed:$failed" >&2
    exit 1
fi
