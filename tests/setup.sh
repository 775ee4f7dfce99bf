#!/bin/sh
# Installs what is missing, and nothing else; done in a moment when all is there.
#
#   tests/setup.sh run     what `make run` needs: a C compiler, which is also Rust's linker
#   tests/setup.sh test    what `make test` needs besides: the real clients and servers, and boards under qemu
#   tests/setup.sh board   what `make cross` needs
set -eu

cd "$(dirname "$0")/.."
tools=tests/.tools
missing=

# need PACKAGE CHECK...: the package is wanted when the check fails.
need() {
    package=$1
    shift
    "$@" >/dev/null 2>&1 || missing="$missing $package"
}

has() { command -v "$1"; }

# A GStreamer plugin or nginx module has no command of its own: its file says whether it is there.
# It lies in lib, in lib64 or in lib/<triple>.
has_file() { ls /usr/lib/"$1" /usr/lib64/"$1" /usr/lib/*/"$1" 2>/dev/null | grep -q .; }

has_pip() {
    { [ -x $tools/ffmpeg-new ] && [ -d $tools/python/playwright ] && [ -d $tools/python/cyclonedx ]; } ||
        python3 -m pip --version
}

has_zig() { [ -x cross/.tools/python/ziglang/zig ] || python3 -m pip --version; }

has_npm() {
    { [ -f $tools/players/hls.js ] && [ -f $tools/players/mpegts.js ] && [ -d $tools/node/node_modules/koffi ]; } ||
        npm --version
}

install_missing() {
    [ -n "$missing" ] || return 0
    as_root=
    if [ "$(id -u)" != 0 ]; then as_root=sudo; fi
    if ! command -v apt-get >/dev/null || { [ -n "$as_root" ] && ! command -v sudo >/dev/null; }; then
        echo "setup: please install what these Debian packages hold:$missing" >&2
        exit 1
    fi
    echo "setup: installing$missing"
    # shellcheck disable=SC2086 # the names are words
    $as_root sh -c 'apt-get update -q && DEBIAN_FRONTEND=noninteractive \
        apt-get install -q -y --no-install-recommends "$@"' setup $missing
}

case "${1:-test}" in run | test | board) ;; *) echo "usage: tests/setup.sh run|test|board" >&2; exit 2 ;; esac

if ! command -v cargo >/dev/null; then
    echo "setup: cargo is missing; Rust's own installer is at https://rustup.rs" >&2
    exit 1
fi

need gcc has cc
need libc6-dev test -e /usr/include/stdio.h

if [ "${1:-test}" != run ]; then
    need llvm has llvm-strip
    need python3-pip has_zig
fi

if [ "${1:-test}" = test ]; then
    need qemu-user-static has qemu-arm-static
    # The C libraries that cross/targets has; without one, what is linked with it can't be run.
    for architecture in armhf arm64 mipsel mips armel riscv64; do
        need libc6-$architecture-cross dpkg -s libc6-$architecture-cross
    done
    need gcc-arm-linux-gnueabihf has arm-linux-gnueabihf-gcc
    need g++-arm-linux-gnueabihf has arm-linux-gnueabihf-g++
    need g++ has g++
    need golang-go has go
    need nodejs has node
    need clang has clang
    need pkg-config has pkg-config
    need cmake has cmake
    need dpkg-dev has dpkg-shlibdeps
    need fakeroot has fakeroot
    need valgrind has valgrind
    need ffmpeg has ffmpeg
    need rtmpdump has rtmpdump
    need curl has curl
    need openssl has openssl
    need libssl-dev test -e /usr/include/openssl/ssl.h
    need libmbedtls-dev test -e /usr/include/mbedtls/ssl.h
    need glib-networking has_file gio/modules/libgiognutls.so
    need nginx has /usr/sbin/nginx
    need libnginx-mod-rtmp has_file nginx/modules/ngx_rtmp_module.so
    need libnginx-mod-stream has_file nginx/modules/ngx_stream_module.so
    need iproute2 has /sbin/tc
    need gstreamer1.0-tools has gst-launch-1.0
    need gstreamer1.0-plugins-good has_file gstreamer-1.0/libgstflv.so
    need gstreamer1.0-plugins-bad has_file gstreamer-1.0/libgstrtmp2.so
    need chromium has chromium
    need gstreamer1.0-plugins-good has_file gstreamer-1.0/libgstadaptivedemux2.so
    need gstreamer1.0-plugins-good has_file gstreamer-1.0/libgstsoup.so
    need gstreamer1.0-plugins-bad has_file gstreamer-1.0/libgsthls.so
    need gstreamer1.0-plugins-bad has_file gstreamer-1.0/libgstmpegtsdemux.so
    need gstreamer1.0-plugins-bad has_file gstreamer-1.0/libgstvideoparsersbad.so
    need vlc-bin has cvlc
    need vlc-plugin-base has_file vlc/plugins/access/libhttp_plugin.so
    need python3-pip has_pip
    need npm has_npm
fi

install_missing

# Debian's ffmpeg is of 2022 and knows nothing of enhanced RTMP; PyPI carries a newer one. It goes
# into a folder of ours, which pip allows where it would refuse to touch the system.
if [ "${1:-test}" = test ] && [ ! -x $tools/ffmpeg-new ]; then
    mkdir -p $tools
    python3 -m pip install --quiet --root-user-action=ignore --upgrade \
        --target $tools/python imageio-ffmpeg
    ln -sfn "$(cd $tools && ls python/imageio_ffmpeg/binaries/ffmpeg-*)" $tools/ffmpeg-new
    $tools/ffmpeg-new -hide_banner -version | head -n 1
fi

# What drives the browser; the browser is Debian's, which has H.264 and AAC.
if [ "${1:-test}" = test ] && [ ! -d $tools/python/playwright ]; then
    python3 -m pip install --quiet --root-user-action=ignore --upgrade --target $tools/python playwright
fi

# CycloneDX's own schema, and what holds a list of parts to it.
if [ "${1:-test}" = test ] && [ ! -d $tools/python/cyclonedx ]; then
    python3 -m pip install --quiet --root-user-action=ignore --upgrade \
        --target $tools/python 'cyclonedx-python-lib[json-validation]'
fi

# What builds the Python package and checks its types.
if [ "${1:-test}" = test ] && [ ! -d $tools/python-checks/mypy ]; then
    python3 -m pip install --quiet --root-user-action=ignore --upgrade --target $tools/python-checks \
        setuptools wheel mypy
fi

# player NAME VERSION SHA512 FILE: a player for browsers. Its package is whole as it is, so npm only fetches it.
player() {
    [ ! -f "$tools/players/$1" ] || return 0
    mkdir -p $tools/players
    (
        cd $tools/players
        npm pack --silent "$1@$2" >/dev/null
        echo "$3  $1-$2.tgz" | sha512sum --check --quiet
        tar -xzOf "$1-$2.tgz" "package/dist/$4" >"$1.part"
        mv "$1.part" "$1"
        rm "$1-$2.tgz"
    )
}

# module NAME VERSION SHA512: a package for Node.js, with what is built for this machine in it.
module() {
    [ ! -d "$tools/node/node_modules/$1" ] || return 0
    mkdir -p "$tools/node/node_modules/$1.part"
    (
        cd $tools/node
        packed=$(npm pack --silent "$1@$2")
        echo "$3  $packed" | sha512sum --check --quiet
        tar -xzf "$packed" --strip-components 1 -C "node_modules/$1.part"
        mv "node_modules/$1.part" "node_modules/$1"
        rm "$packed"
    )
}

if [ "${1:-test}" = test ]; then
    module koffi 3.3.4 \
        df556bf8b33ec35744b0d70e26d256bd8c944e355cfd258ec4d0d92717e1b010baa99e58567f7c9f9c75a016c3ab9b24c426d60f8481c89a4d9aaeb77ef83d03
    case $(uname -m) in
    x86_64) module @koromix/koffi-linux-x64 3.3.4 \
        c62e3b30aba843d7c0d92b2b1fac258e5f6df75db484eebaa8499bd657baabadfaab9e49f7be1c65f7300eb2b99d6d466a527ed0d2d7a07d93dff346401ccf37 ;;
    aarch64) module @koromix/koffi-linux-arm64 3.3.4 \
        93a14f8c46038a8c958a152abd1157e1064ad112ff46b9f8c4f133acac4e0f180b0145e58414eeb77f75ccfce0b0c700ad780de184ee4b5d4cfe4c66039b3e16 ;;
    esac
    player hls.js 1.7.4 \
        dc697119d3ef4f6607bd060eb7ec8ecd3fc3122a2bfea255348ca51c0efb9207a805375042a8bbd06c1e7cd11498741e346ca30bc53adbe6ebbaa5bf4e99beb6 \
        hls.min.js
    player mpegts.js 1.8.2 \
        71960c6b99ae0121f9e70ad2e892b9206914aa7080f7a7347fe59d9d6f758c82bdb3f37a3738e64d00c935883d039bbf1b64399e3d9bdf0d59c33cdeffd82ec4 \
        mpegts.js
fi
