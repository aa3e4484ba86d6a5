#!/bin/sh
# Installs what a machine without a screen needs to show the tablet on a virtual one: display.sh
# It looks for what is missing, not for packages, since their names differ between releases.
set -eu
cd "$(dirname "$0")/../.."
. deploy/setup/common.sh

[ "$(uname -s)" = Linux ] || exit 0
libraries=$(PATH="$PATH:/sbin:/usr/sbin" ldconfig -p 2>/dev/null || true)
missing=""
need_program() { command -v "$1" >/dev/null 2>&1 || missing="$missing $2"; }
need_library() { case "$libraries" in *"$1"*) ;; *) missing="$missing $2" ;; esac; }
need_driver() {
    for driver in /usr/lib/dri /usr/lib64/dri /usr/lib/*/dri; do
        [ -e "$driver/swrast_dri.so" ] && return 0
    done
    missing="$missing libgl1-mesa-dri"
}

need_program Xvfb xvfb
need_program xauth xauth
need_program xclip xclip
need_library libGL.so.1 libgl1
need_library libGLESv2.so.2 libgles2
need_library libEGL.so.1 libegl1
need_library libmtdev.so.1 libmtdev1
need_driver
[ -n "$missing" ] || exit 0
# shellcheck disable=SC2086 # one word a package
install_packages $missing \
    || die "Without a screen, Calque shows the tablet on a virtual one, which needs these packages. As root: apt-get install$missing"
