#!/bin/sh
# What `make install` and `make uninstall` do, with the Makefile's variables in the environment. Whatever is
# installed is named once, here, so that it is also removed.
#
#   cbindings/package/install.sh install | uninstall
#
# PC_PREFIX is what camrill.pc calls its prefix. It is PREFIX as everywhere, since whoever builds in a sysroot has
# that put before it; a tree that is unpacked anywhere has ${pcfiledir}/../.. there.
set -eu
cd "$(dirname "$0")/../.."
umask 022
what=$1

# put MODE FILE PLACE
put() {
	if [ "$what" = install ]; then
		"${INSTALL:-install}" -d "$DESTDIR${3%/*}"
		"${INSTALL:-install}" -m "$1" "$2" "$DESTDIR$3"
	else
		rm -f "$DESTDIR$3"
	fi
}

# link TO PLACE
link() {
	if [ "$what" = install ]; then ln -sf "$1" "$DESTDIR$2"; else rm -f "$DESTDIR$2"; fi
}

# fill TEMPLATE PLACE: puts it with the names between @ replaced.
fill() {
	put 644 "$1" "$2"
	[ "$what" = install ] || return 0
	sed -e "s|@VERSION@|$VERSION|g" -e "s|@SONAME@|$SONAME|g" -e "s|@PREFIX@|${PC_PREFIX:-$PREFIX}|g" \
		-e "s|@LIBDIR@|$(below_prefix "$LIBDIR")|g" -e "s|@INCLUDEDIR@|$(below_prefix "$INCLUDEDIR")|g" \
		-e "s|@LIBS_PRIVATE@|$STATIC_LIBS|g" -e "s|@LIBS_LIST@|$(echo "$STATIC_LIBS" | sed 's/-l//g; s/ /;/g')|g" \
		-e "s|@WAY_TO_INCLUDE@|$(way "$cmake" "$INCLUDEDIR")|g" "$1" >"$DESTDIR$2"
}

# A folder as pkg-config is to name it, so that who sets another prefix moves it too.
below_prefix() {
	case $1 in "$PREFIX"/*) echo "\${prefix}${1#"$PREFIX"}" ;; *) echo "$1" ;; esac
}

# The way from one absolute folder to another.
way() {
	from=$1 up=
	until case $2 in "$from"/*) ;; *) false ;; esac; do
		from=${from%/*} up=../$up
	done
	echo "$up${2#"$from"/}"
}

cmake=$LIBDIR/cmake/camrill
doc=$PREFIX/share/doc/camrill

for header in include/*; do put 644 "$header" "$INCLUDEDIR/${header##*/}"; done
put 644 "$RELEASE/libcamrill.a" "$LIBDIR/libcamrill.a"
put 755 "$RELEASE/libcamrill.so" "$LIBDIR/libcamrill.so.$VERSION"
link "libcamrill.so.$VERSION" "$LIBDIR/$SONAME"
link "$SONAME" "$LIBDIR/libcamrill.so"
fill cbindings/camrill.pc.in "$LIBDIR/pkgconfig/camrill.pc"
for file in camrill-config camrill-config-version; do fill cbindings/cmake/$file.cmake.in "$cmake/$file.cmake"; done
for program in camrill-camera camrill-server; do put 755 "$RELEASE/$program" "$BINDIR/$program"; done
fill cbindings/package/camrill-server.1.in "$PREFIX/share/man/man1/camrill-server.1"
for file in LICENSE-MIT LICENSE-APACHE; do put 644 $file "$doc/$file"; done

# The folders that are nobody else's.
[ "$what" = install ] || rmdir "$DESTDIR$cmake" "$DESTDIR$doc" 2>/dev/null || true
