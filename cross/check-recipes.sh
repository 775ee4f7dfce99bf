#!/bin/sh
# Runs the recipes for Buildroot and OpenWrt as far as that goes without those trees: stubs stand for what they include,
# and this machine for the board. What they build, with which features, and what they install is then seen; which
# variables the trees set, and what they fetch, is not.
cd "$(dirname "$0")/.."
set -eu
out=${CARGO_TARGET_DIR:-$PWD/target}/recipes
rm -rf "$out/root" && mkdir -p "$out/root"
host=$(rustc -vV | sed -n 's/^host: //p')
unset CARGO_TARGET_DIR MAKEFLAGS MFLAGS MAKELEVEL
# What the code does is not of interest here.
export CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_OPT_LEVEL=0 CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16

fail() {
	echo "recipes: $1" >&2
	exit 1
}

# The sources as the trees unpack them.
mkdir -p "$out/source"
git ls-files -z --cached --others --exclude-standard | tar --null -T - -cf - | tar -xf - -C "$out/source"

# What `make install` installs, to compare with.
make --no-print-directory -C "$out/source" install TARGET="$host" DESTDIR="$out/root/plain" PREFIX=/usr >"$out/log" 2>&1 ||
	fail "make install failed; $out/log"
list() { (cd "$1" && find . ! -type d | sort); }
list "$out/root/plain" >"$out/installed"
grep -q lib/libcamrill.so.0 "$out/installed" || fail "make install has no shared library"

# Buildroot: cargo-package defines what is built by the variables that the recipe has set.
cat >"$out/buildroot.mk" <<'END'
qstrip = $(patsubst "%",%,$(strip $1))
comma = ,
empty =
space = $(empty) $(empty)
BR2_PACKAGE_CAMRILL_HTTP = y
BR2_PACKAGE_CAMRILL_HLS = y
BR2_PACKAGE_CAMRILL_DVR = y
BR2_PACKAGE_CAMRILL_PAGE = y
BR2_PACKAGE_CAMRILL_SITE = "file:///nowhere"
cargo-package = $(buildroot-targets)
define buildroot-targets
all: ; $$(CAMRILL_BUILD_CMDS)
install: ; $$(CAMRILL_INSTALL_TARGET_CMDS)
endef
all:
include cross/buildroot/package/camrill/camrill.mk
END
buildroot() {
	make --no-print-directory -f "$out/buildroot.mk" "$@" RUSTC_TARGET_NAME="$host" STAGING_DIR="$out/root/staging" \
		TARGET_DIR="$out/root/buildroot" @D="$out/source"
}
buildroot all install >"$out/log" 2>&1 || fail "Buildroot's recipe failed; $out/log"
list "$out/root/buildroot" | diff "$out/installed" - || fail "Buildroot's recipe installs something else"
buildroot -n all BR2_TOOLCHAIN_USES_MUSL=y | grep -q 'RUSTFLAGS="-Ctarget-feature=-crt-static' ||
	fail "Buildroot's recipe makes no shared library for musl"
buildroot -n all BR2_PACKAGE_CAMRILL_HTTP= BR2_PACKAGE_CAMRILL_PAGE= | grep -q "features=hls,dvr" ||
	fail "Buildroot's recipe does not choose features"
(cd "$out/source" && sed -n 's/^sha256  //p' cross/buildroot/package/camrill/camrill.hash | sha256sum --check --quiet) ||
	fail "the licences have changed: camrill.hash"

# OpenWrt: BuildPackage is told what the recipe has defined.
top=$out/openwrt
mkdir -p "$top/feeds/packages/lang/rust"
: >"$top/rules.mk"
: >"$top/feeds/packages/lang/rust/rust-package.mk"
cat >"$top/package.mk" <<'END'
INSTALL_DIR = install -d
INSTALL_BIN = install -m 755
INSTALL_CONF = install -m 600
CP = cp -fpR
all: $(addprefix package-,libcamrill camrill-server)
build: ; $(Build/Compile)
dev: build ; $(call Build/InstallDev,$(DEV))
BuildPackage = $(eval package-$(1): dev ; $$(call Package/$(1)/install,$$(PACKAGES)/$(1)))
END
make --no-print-directory -f cross/openwrt/Makefile all TOPDIR="$top" INCLUDE_DIR="$top" RUSTC_TARGET_ARCH="$host" \
	TARGET_CC=cc TARGET_CFLAGS=-O2 TARGET_LDFLAGS= PKG_BUILD_DIR="$out/source" PKG_INSTALL_DIR="$out/root/openwrt" \
	DEV="$out/root/dev" PACKAGES="$out/root/packages" >"$out/log" 2>&1 || fail "OpenWrt's recipe failed; $out/log"
list "$out/root/openwrt" | diff "$out/installed" - || fail "OpenWrt's recipe installs something else"
[ -f "$out/root/dev/usr/include/camrill.h" ] && [ -f "$out/root/dev/usr/lib/libcamrill.a" ] &&
	[ -L "$out/root/packages/libcamrill/usr/lib/libcamrill.so.0" ] &&
	[ -x "$out/root/packages/camrill-server/usr/bin/camrill-server" ] &&
	[ -f "$out/root/packages/camrill-server/etc/camrill/camera.conf" ] || fail "OpenWrt's packages lack something"

# Yocto: what it names is what there is.
for file in MIT APACHE; do
	sum=$(md5sum "LICENSE-$file" | cut -d ' ' -f 1)
	grep -q "LICENSE-$file;md5=$sum" cross/yocto/*.bb || fail "the licences have changed: camrill.bb"
done
version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
[ -f "cross/yocto/camrill_$version.bb" ] && grep -q "^CAMRILL_VERSION = $version\$" cross/buildroot/package/camrill/camrill.mk &&
	grep -q "^PKG_VERSION:=$version\$" cross/openwrt/Makefile || fail "the version has changed: $version"
echo "recipes: Buildroot's and OpenWrt's build and install what make install does"
