#!/bin/sh
# What `make dist` does: target/dist/camrill-VERSION-MACHINE.tar.gz to be unpacked anywhere, camrill-VERSION.tar.gz with
# the sources, and SHA256SUMS. The same commit, compiler and C library give the same bytes.
cd "$(dirname "$0")/../.."
. cbindings/package/common.sh

machine=$(echo "$triple" | sed 's/-unknown-/-/')
name=camrill-$VERSION-$machine
mkdir -p "$OUT/dist"
dist=$(cd "$OUT/dist" && pwd)
root=$dist/stage/$name
doc=$root/share/doc/camrill

export PC_PREFIX='${pcfiledir}/../..'
stage "$root" "" /lib
inventory sbom >"$doc/camrill.cdx.json"
inventory third-party >"$doc/THIRD-PARTY.txt"
std_notices "$doc"
[ -z "${TOOLCHAIN:-}" ] || install -D -m 644 "$TOOLCHAIN" "$root/share/camrill/toolchain.cmake"
for file in README.md CHANGELOG.md docs/packaging.md docs/directives.md cbindings/package/camera.conf; do
	install -m 644 "$file" "$doc/"
done

# Whoever made it, whenever and on whatever file system, is not to be seen.
tar -C "$dist/stage" --sort=name --format=ustar --owner=0 --group=0 --numeric-owner --mode=u=rwX,go=rX \
	--mtime="@$SOURCE_DATE_EPOCH" -cf - "$name" | gzip -9n >"$dist/$name.tar.gz"
rm -rf "$dist/stage"

if is_repository; then
	git diff --quiet HEAD || echo "dist: what is not committed is not in the source tarball" >&2
	git archive --format=tar --prefix="camrill-$VERSION/" HEAD | gzip -9n >"$dist/camrill-$VERSION.tar.gz"
fi
# Those of other machines lie there too.
(cd "$dist" && sha256sum "camrill-$VERSION"*.tar.gz | tee SHA256SUMS)
