#!/bin/sh
# Installs what is missing, and nothing else; done in a moment when all is there.
#
#   tests/setup.sh run     what `make run` needs: a C compiler, which is also Rust's linker
#   tests/setup.sh test    what `make test` needs besides: the real clients and servers
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

has_pip() { { [ -x $tools/ffmpeg-new ] && [ -d $tools/python/playwright ]; } || python3 -m pip --version; }

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

case "${1:-test}" in run | test) ;; *) echo "usage: tests/setup.sh run|test" >&2; exit 2 ;; esac

if ! command -v cargo >/dev/null; then
    echo "setup: cargo is missing; Rust's own installer is at https://rustup.rs" >&2
    exit 1
fi

need gcc has cc
need libc6-dev test -e /usr/include/stdio.h

if [ "${1:-test}" = test ]; then
    need g++ has g++
    need clang has clang
    need pkg-config has pkg-config
    need valgrind has valgrind
    need ffmpeg has ffmpeg
    need rtmpdump has rtmpdump
    need nginx has /usr/sbin/nginx
    need libnginx-mod-rtmp has_file nginx/modules/ngx_rtmp_module.so
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
