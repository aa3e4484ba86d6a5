#!/bin/sh
# Prints the path of a uv that works: the one on PATH, else one of our own in .tools, installed from its hashed lock.
set -eu
cd "$(dirname "$0")/../.."
. deploy/setup/common.sh

for uv in "$(command -v uv || true)" "$PWD/.tools/bin/uv"; do
    # A shim may be on PATH with nothing behind it, and a moved folder may hold a broken program: ask.
    if [ -x "$uv" ] && "$uv" --version >/dev/null 2>&1; then printf '%s\n' "$uv"; exit 0; fi
done

command -v python3 >/dev/null 2>&1 || die "Calque needs Python 3.11, 3.12 or 3.13. Install it, for example with: apt-get install python3"
say "Setting up uv, the installer, in .tools …"
rm -rf .tools
if ! python3 -m venv .tools >/dev/null 2>&1; then
    install_packages python3-venv && rm -rf .tools && python3 -m venv .tools >/dev/null \
        || die "Calque needs uv, or Python's venv module to install it. As root: apt-get install python3-venv"
fi
.tools/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r deploy/locks/setup.txt >&2 \
    || die "uv could not be installed: see above. Is there a connection to the package index?"
printf '%s\n' "$PWD/.tools/bin/uv"
