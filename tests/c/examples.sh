#!/bin/sh
# The examples once more: as `make build` builds them, under valgrind, with the clients that tests/examples.rs has for
# them. Those that show a TLS library are left out: they are built by their names alone.
set -eu
cd "$(dirname "$0")/../.."
release=$(cd "${CARGO_TARGET_DIR:-target}/release" && pwd)
folder=$release/valgrind
rm -rf "$folder"
mkdir -p "$folder"
for source in examples-c/*.c; do
    name=$(basename "$source" .c)
    [ -x "$release/$name" ] || continue
    printf '#!/bin/sh\nexec valgrind --quiet --error-exitcode=99 --leak-check=full --errors-for-leak-kinds=definite %s "$@"\n' \
        "$release/$name" >"$folder/$name"
    chmod +x "$folder/$name"
done
echo "tests/c: examples under valgrind"
CAMRILL_EXAMPLES=$folder ${CARGO:-cargo} test --quiet --test examples -- --skip transports
