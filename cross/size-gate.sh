#!/bin/sh
# Whether the shared library has grown by more than 2 % since cross/sizes was committed, for any target and features in it.
#
#   cross/size-gate.sh            measures, and fails where it has
#   cross/size-gate.sh --accept   measures, and writes cross/sizes
#
# Another compiler gives other sizes; which one it was is in the first line.
set -eu
cd "$(dirname "$0")/.."
cross/tools.sh
export CROSS_TOOLS="${CROSS_TOOLS:-$PWD/cross/.tools}"
compiler="# $("$CROSS_TOOLS/bin/rustc" -V)"
new=${CARGO_TARGET_DIR:-target}/sizes.new
mkdir -p "${new%/*}"
{ echo "$compiler" && benches/sizes.sh --plain; } >"$new"
if [ "${1:-}" = --accept ]; then
	cp "$new" cross/sizes
	exit
fi
[ "$(head -n 1 cross/sizes)" = "$compiler" ] || echo "sizes: cross/sizes is of another compiler" >&2
awk '
	/^#/ { next }
	{ bytes = $NF; key = $1; for (i = 2; i <= NF - 4; i++) key = key " " $i }
	NR == FNR { old[key] = bytes; next }
	{
		if (!(key in old)) { print "sizes: " key ": not in cross/sizes"; bad = 1; next }
		printf "%s: %d, %+.1f %%\n", key, bytes, 100 * (bytes / old[key] - 1)
		seen[key] = 1
		if (bytes > old[key] * 1.02) { print "sizes: " key " has grown by more than 2 %"; bad = 1 }
	}
	END {
		for (key in old) if (!(key in seen)) { print "sizes: " key ": was not measured"; bad = 1 }
		exit bad
	}' cross/sizes "$new"
