#!/bin/sh
# What `make deb` does: target/deb/libcamrill0, libcamrill-dev and camrill-server for Debian and what comes of it. It
# needs dpkg-deb and nothing of debhelper. DEBFULLNAME and DEBEMAIL say who packages, DEB_REVISION how often.
cd "$(dirname "$0")/../.."
. cbindings/package/common.sh

case $triple in
x86_64-*-gnu) architecture=amd64 multiarch=x86_64-linux-gnu ;;
i686-*-gnu) architecture=i386 multiarch=i386-linux-gnu ;;
aarch64-*-gnu) architecture=arm64 multiarch=aarch64-linux-gnu ;;
armv7-*-gnueabihf) architecture=armhf multiarch=arm-linux-gnueabihf ;;
arm-*-gnueabi | armv5te-*-gnueabi) architecture=armel multiarch=arm-linux-gnueabi ;;
riscv64*-gnu) architecture=riscv64 multiarch=riscv64-linux-gnu ;;
mipsel-*-gnu) architecture=mipsel multiarch=mipsel-linux-gnu ;;
*) echo "deb: $triple is no architecture of Debian's that is known here" >&2; exit 1 ;;
esac

# A version that is still to come sorts before it with a tilde.
upstream=$(echo "$VERSION" | sed 's/-/~/')
version=$upstream-${DEB_REVISION:-1}
# The series whose programs go together: 0.1 while the major version is 0.
major=${VERSION%%.*} rest=${VERSION#*.}
if [ "$major" = 0 ]; then after="0.$((${rest%%.*} + 1))~"; else after="$((major + 1))~"; fi
library=libcamrill$major
maintainer="${DEBFULLNAME:-The camrill developers} <${DEBEMAIL:-camrill@packages.invalid}>"

mkdir -p "$OUT/deb"
deb=$(cd "$OUT/deb" && pwd)
work=$deb/work
lib=/usr/lib/$multiarch
rm -rf "$work"
stage "$work/stage" /usr "$lib"

# program NAME SOURCE...: in the packages the programs use the library that is a package too.
program() {
	out=$work/stage/usr/bin/$1
	shift
	# shellcheck disable=SC2086 # options are words
	$CC -std=c99 $cflags -Iinclude -o "$out" "$@" -L"$work/stage$lib" -lcamrill $LDFLAGS $ldflags
	"$STRIP" --strip-unneeded --remove-section=.comment "$out"
}
program camrill-server examples-c/camrill-server.c examples-c/programs.c
program camrill-camera examples-c/camrill-camera.c

# take PACKAGE PATH...: what was staged goes into a package.
take() {
	package=$1
	shift
	for path in "$@"; do
		mkdir -p "$work/$package${path%/*}"
		mv "$work/stage$path" "$work/$package$path"
	done
}

# needs FILE: the versions of Debian's C library and libgcc that have every symbol that a file asks for.
needs() {
	readelf -VW "$1" | sed -n 's/.*Name: \(GLIBC\|GCC\)_\([0-9][0-9.]*\) .*/\1 \2/p' | sort -k1,1 -k2,2V |
		awk '{ newest[$1] = $2 }
			END { printf "libc6 (>= %s)", newest["GLIBC"]
				if ("GCC" in newest) printf ", libgcc-s1 (>= %s)", newest["GCC"] }'
}

# documents PACKAGE: what each package tells about itself.
documents() {
	doc=$work/$1/usr/share/doc/$1
	mkdir -p "$doc"
	gzip -9nc CHANGELOG.md >"$doc/changelog.gz"
	gzip -9n >"$doc/changelog.Debian.gz" <<END
camrill ($version) unstable; urgency=medium

  * Version $VERSION; /usr/share/doc/$1/changelog.gz tells what is new.

 -- $maintainer  $(date -u -R -d "@$SOURCE_DATE_EPOCH")
END
	cat >"$doc/copyright" <<END
Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
Upstream-Name: camrill
Comment: The library has crates by others linked into it. Their names, licences and notices are in
 /usr/share/doc/$library/THIRD-PARTY.$multiarch.gz

Files: *
Copyright: 2026 The camrill developers
License: Expat or Apache-2.0

License: Expat
$(sed -n '/^Permission/,$p' LICENSE-MIT | sed 's/^$/./; s/^/ /')

License: Apache-2.0
 On Debian systems the text of the Apache License, version 2.0, is in /usr/share/common-licenses/Apache-2.0
END
}

# control PACKAGE: its description and who needs it, from the standard input; sums and sizes are counted.
control() {
	folder=$work/$1
	documents "$1"
	chmod -R u=rwX,go=rX "$folder"
	# Debian's libraries are no programs.
	find "$folder" -name '*.so.*' -type f -exec chmod 644 {} +
	mkdir -p "$folder/DEBIAN"
	(cd "$folder" && find . -type f ! -path './DEBIAN/*' -printf '%P\n' | sort | tr '\n' '\0' | xargs -0 md5sum) \
		>"$folder/DEBIAN/md5sums"
	{
		printf 'Package: %s\nSource: camrill\nVersion: %s\nArchitecture: %s\n' "$1" "$version" "$architecture"
		printf 'Maintainer: %s\nPriority: optional\n' "$maintainer"
		# In KiB, each file for itself rounded up, as dpkg has it.
		find "$folder" ! -path '*/DEBIAN*' -printf '%y %s\n' |
			awk '{ kib += $1 == "f" ? int(($2 + 1023) / 1024) : 1 } END { print "Installed-Size: " kib }'
		cat
	} >"$folder/DEBIAN/control"
	dpkg-deb --root-owner-group -Zxz --build "$folder" "$deb/${1}_${version}_$architecture.deb" >/dev/null
	echo "${1}_${version}_$architecture.deb"
}

# The library, with what it is made of. The shared files of two architectures' packages are the same.
take "$library" "$lib/libcamrill.so.$VERSION" "$lib/$SONAME"
doc=$work/$library/usr/share/doc/$library
mkdir -p "$doc" "$work/$library/DEBIAN"
inventory third-party | gzip -9n >"$doc/THIRD-PARTY.$multiarch.gz"
inventory sbom | gzip -9n >"$doc/camrill.$multiarch.cdx.json.gz"
std_notices "$doc"
find "$doc" -name '*.html' -exec gzip -9n {} +
echo "activate-noawait ldconfig" >"$work/$library/DEBIAN/triggers"
echo "libcamrill $major $library (>= $upstream), $library (<< $after)" >"$work/$library/DEBIAN/shlibs"
control "$library" <<END
Section: libs
Multi-Arch: same
Depends: $(needs "$work/$library$lib/libcamrill.so.$VERSION")
Description: live-streaming engine for cameras and boards, shared library
 A live-streaming engine to link into a camera, a board or any C program: one
 library, one header, one thread. It speaks RTMP, HTTP-FLV, HTTP-TS, HLS and
 WebSocket, takes frames from encoders, pulls from and pushes to other servers,
 and records.
 .
 This package has the shared library.
END

mkdir -p "$work/libcamrill-dev/usr"
mv "$work/stage/usr/include" "$work/libcamrill-dev/usr/"
take libcamrill-dev "$lib/libcamrill.a" "$lib/libcamrill.so" "$lib/pkgconfig" "$lib/cmake"
control libcamrill-dev <<END
Section: libdevel
Multi-Arch: same
Depends: $library (= $version), libc6-dev
Description: live-streaming engine for cameras and boards, development files
 A live-streaming engine to link into a camera, a board or any C program: one
 library, one header, one thread.
 .
 This package has the header, the static library and the files for pkg-config
 and CMake.
END

gzip -9n "$work/stage/usr/share/man/man1/camrill-server.1"
take camrill-server /usr/bin/camrill-camera /usr/bin/camrill-server /usr/share/man/man1/camrill-server.1.gz
server=$work/camrill-server
install -D -m 644 cbindings/package/camrill-server.service "$server/usr/lib/systemd/system/camrill-server.service"
install -D -m 644 cbindings/package/camera.conf "$server/etc/camrill/camera.conf"
install -D -m 644 docs/directives.md "$server/usr/share/doc/camrill-server/directives.md"
mkdir -p "$server/DEBIAN"
echo /etc/camrill/camera.conf >"$server/DEBIAN/conffiles"
for script in postinst prerm postrm; do
	install -m 755 "cbindings/package/camrill-server.$script" "$server/DEBIAN/$script"
done
control camrill-server <<END
Section: video
Depends: $library (= $version), $(needs "$server/usr/bin/camrill-server")
Suggests: ffmpeg
Description: live-streaming server for RTMP, HTTP-FLV and HLS
 Takes streams from cameras and encoders and gives them to players, recorders
 and other servers: RTMP, HTTP-FLV, HTTP-TS, fragmented MP4, HLS with low
 latency and WebSocket, with a page that plays. Its configuration has the
 syntax and the names of SRS.
END

rm -rf "$work"
