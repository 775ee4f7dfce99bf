#!/bin/sh
# Tests the C API from C: every program of this folder plain, under valgrind and with the sanitizers, on
# the static library as it is built for release; once with the library's own overflow checks, too.
#
#   tests/c/run.sh [NAME...]     only those programs
set -eu

cd "$(dirname "$0")/../.."
target=${CARGO_TARGET_DIR:-target}
out=$target/c-tests
cc=${CC:-cc}
cxx=${CXX:-c++}
strict="-std=c99 -Wall -Wextra -Wpedantic -Werror -Iinclude -g -O1"
libs="-lgcc_s -lutil -lrt -lpthread -lm -ldl -lc"
valgrind="valgrind --quiet --leak-check=full --show-leak-kinds=definite,indirect,possible
    --errors-for-leak-kinds=definite,indirect,possible --error-exitcode=1"
mkdir -p "$out"

fail() {
    echo "tests/c: $1" >&2
    [ -z "${2:-}" ] || tail -n 60 "$2" >&2
    exit 1
}

# The header stands by itself in every language that it is for.
check_header() {
    for how in "$cc -x c -std=c99" "$cc -x c -std=c11" "$cxx -x c++ -std=c++11" "$cxx -x c++ -std=c++17"; do
        # shellcheck disable=SC2086
        $how -Wall -Wextra -Wpedantic -Werror -Iinclude -fsyntax-only tests/c/header.c ||
            fail "the header with $how"
    done
}

# What nobody calls, nobody has tested.
check_coverage() {
    for function in $(grep -o 'camrill_[a-z_]*(' include/camrill.h | tr -d '(' | sort -u); do
        grep -q "$function(" tests/c/*.c || fail "$function() occurs in no test"
    done
}

# run LOG COMMAND...
run() {
    log=$1
    shift
    "$@" >"$log" 2>&1 || fail "failed: $*" "$log"
}

one() {
    name=$1
    if [ "$name" = cpp ]; then
        cxx_one
        return
    fi
    link=
    # It counts copies, whoever makes them.
    [ "$name" != zero_copy ] || link=-Wl,--wrap=memcpy,--wrap=memmove
    # shellcheck disable=SC2086
    {
        $cc $strict -o "$out/$name" "tests/c/$name.c" "$target/release/libcamrill.a" $link $libs
        $cc $strict -o "$out/$name-checked" "tests/c/$name.c" "$target/debug/libcamrill.a" $link $libs
        $cc $strict -fsanitize=address,undefined -fno-sanitize-recover=all \
            -o "$out/$name-sanitized" "tests/c/$name.c" "$target/release/libcamrill.a" $link $libs
    }
    run "$out/$name.log" "$out/$name"
    run "$out/$name-checked.log" "$out/$name-checked"
    run "$out/$name-sanitized.log" env ASAN_OPTIONS=detect_leaks=1 "$out/$name-sanitized"
    # shellcheck disable=SC2086
    run "$out/$name-valgrind.log" $valgrind "$out/$name"
    [ "$name" != transport ] || with_tls
    echo "  $name"
}

# The C++ header, as both compilers and every standard read it, with exceptions and without.
cxx_one() {
    warn="-Wall -Wextra -Wpedantic -Wshadow -Werror -Iinclude -g -O1"
    lib=$target/release/libcamrill.a
    for compiler in g++ clang++; do
        # shellcheck disable=SC2086
        {
            for std in c++14 c++17 c++20; do
                $compiler -std=$std $warn -fsyntax-only tests/c/cpp.cpp
            done
            $compiler -std=c++11 $warn -o "$out/cpp-$compiler" tests/c/cpp.cpp "$lib" $libs
            $compiler -std=c++11 $warn -fno-exceptions -fno-rtti -o "$out/cpp-$compiler-bare" tests/c/cpp.cpp "$lib" $libs
            $compiler -std=c++11 $warn -fsanitize=address,undefined -fno-sanitize-recover=all \
                -o "$out/cpp-$compiler-sanitized" tests/c/cpp.cpp "$lib" $libs
            run "$out/cpp-$compiler.log" $valgrind "$out/cpp-$compiler"
        }
        run "$out/cpp-$compiler-bare.log" "$out/cpp-$compiler-bare"
        run "$out/cpp-$compiler-sanitized.log" env ASAN_OPTIONS=detect_leaks=1 "$out/cpp-$compiler-sanitized"
    done
    echo "  cpp"
}

# What has something to say of TLS, once more on a library that has TLS of its own.
with_tls() {
    lib=$out/libcamrill-tls.a
    # shellcheck disable=SC2086
    {
        $cc $strict -DCAMRILL_TLS -o "$out/transport-tls" tests/c/transport.c "$lib" $libs
        $cc $strict -DCAMRILL_TLS -fsanitize=address,undefined -fno-sanitize-recover=all \
            -o "$out/transport-tls-sanitized" tests/c/transport.c "$lib" $libs
        run "$out/transport-tls-sanitized.log" env ASAN_OPTIONS=detect_leaks=1 "$out/transport-tls-sanitized"
        run "$out/transport-tls-valgrind.log" $valgrind "$out/transport-tls"
    }
}

if [ $# = 0 ]; then
    check_header
    check_coverage
fi
${CARGO:-cargo} rustc --quiet --release --lib --crate-type cdylib,staticlib
# Both go to the same place.
${CARGO:-cargo} build --quiet --lib --features tls
cp "$target/debug/libcamrill.a" "$out/libcamrill-tls.a"
${CARGO:-cargo} build --quiet --lib

[ $# -gt 0 ] || set -- arguments configuration loop clients publishing zero_copy encoders freeing forking http hls \
    recording sink relays player transport cpp
echo "tests/c: plain, checked, sanitized and under valgrind"
# Two at a time: each of them waits more than it works.
while [ $# -gt 0 ]; do
    one "$1" &
    first=$!
    shift
    if [ $# -gt 0 ]; then
        one "$1" || { kill $first 2>/dev/null; exit 1; }
        shift
    fi
    wait $first
done
