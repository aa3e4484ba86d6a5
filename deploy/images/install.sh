#!/bin/sh
# The install steps of an image: install.sh ROOM TARGET, with ROOM volumes, segmentation, embedding, embedding-gpu or trainer.
#
# Makes TARGET, an environment with what the lock of the room says and the project itself, and nothing that installs anything.
# Packages come from the index that pip is set to, and each must have a digest of the lock.
set -eu
cd "$(dirname "$0")/../.."
room=${1:?which image} target=${2:?where}
lock=deploy/locks/$room.txt
[ -f "$lock" ] || { echo "There is no image “$room”." >&2; exit 1; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

python3 -m venv "$work/build"
"$work/build/bin/pip" install --quiet --no-cache-dir --require-hashes -r deploy/locks/build.txt
"$work/build/bin/pip" wheel --quiet --no-deps --no-build-isolation --wheel-dir "$work" .

python3 -m venv "$target"
"$target/bin/pip" install --quiet --no-cache-dir --require-hashes -r "$lock"
"$target/bin/pip" install --quiet --no-cache-dir --no-deps "$work"/calque-*.whl
# The engine's loops are compiled here, since the image is read only where it runs.
if [ "$room" = segmentation ]; then NUMBA_CACHE_DIR="$target/loops" "$target/bin/calque" warm-up; fi
"$target/bin/pip" uninstall --quiet --yes pip setuptools 2>/dev/null || true
