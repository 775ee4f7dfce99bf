#!/bin/sh
# Runs the test of encoders' threads under ThreadSanitizer, with the library built for it.
#
# Rust's standard library comes as it is, without the sanitizer: it doesn't see what its fences order. The one
# place where they do is the end of an Arc, which is left out of what is reported; all else of the queue, of the
# writers' flag and of lent memory is seen. Lost wake-ups are no races: src/ffi/queue.rs tests those.
set -eu

cd "$(dirname "$0")/../.."
out=${CARGO_TARGET_DIR:-target}/tsan
triple=$(rustc -vV | sed -n 's/^host: //p')
runtime=$(find "$(rustc --print sysroot)/lib/rustlib/$triple/lib" -name 'librustc*_rt.tsan.a' | head -n 1)
if [ -z "$runtime" ]; then
    echo "tests/c: no ThreadSanitizer in this toolchain for $triple: encoders' threads are not looked at"
    exit 0
fi
RUSTC_BOOTSTRAP=1 RUSTFLAGS="-Zsanitizer=thread -Cunsafe-allow-abi-mismatch=sanitizer" \
    ${CARGO:-cargo} build --quiet --lib --target "$triple" --target-dir "$out"
printf 'race:alloc::sync::*drop_slow\n' >"$out/suppressions"
${CC:-cc} -std=c99 -Iinclude -g -O1 -fsanitize=thread -c -o "$out/encoders.o" tests/c/encoders.c
${CC:-cc} -o "$out/encoders" "$out/encoders.o" "$out/$triple/debug/libcamrill.a" \
    -Wl,--whole-archive "$runtime" -Wl,--no-whole-archive -lgcc_s -lutil -lrt -lpthread -lm -ldl -lc
if ! TSAN_OPTIONS="suppressions=$out/suppressions" "$out/encoders" >"$out/encoders.log" 2>&1; then
    tail -n 100 "$out/encoders.log" >&2
    echo "tests/c: failed: encoders under ThreadSanitizer" >&2
    exit 1
fi
echo "tests/c: encoders under ThreadSanitizer"
