#!/bin/sh
# Makes .venv what a lock says, with the project itself installed from this folder: environment.sh run|test
#
# A stamp in .venv names the lock, its digest and the folder, so that a second call returns at once. `test` holds all of
# `run` in the same versions; an environment that was made for the tests serves for both and is never cut down.
set -eu
cd "$(dirname "$0")/../.."
. deploy/setup/common.sh
wanted=${1:?run or test}
stamp=.venv/calque-setup

key() { printf '%s %s %s\n' "$1" "$(cat "deploy/locks/$1.txt" pyproject.toml | cksum)" "$PWD"; }
stands() { [ -x .venv/bin/calque ] && [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$(key "$1")" ]; }
supported() { "$1" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' 2>/dev/null; }

if stands test || { [ "$wanted" = run ] && stands run; }; then exit 0; fi

uv=$(sh deploy/setup/uv.sh)
# Programs in .venv name their folder: one that was moved, or whose Python has gone, is made anew. One that was left half
# done has no stamp, and is finished.
case "$(cat "$stamp" 2>/dev/null || true)" in
    "test "*" $PWD") wanted=test ;;
    "" | *" $PWD") ;;
    *) rm -rf .venv ;;
esac
rm -f "$stamp"
if [ ! -x .venv/bin/python ] || ! supported .venv/bin/python; then
    rm -rf .venv
    python=$("$uv" python find --system --no-python-downloads --no-project '>=3.11,<3.14' 2>/dev/null) \
        || die "Calque needs Python 3.11, 3.12 or 3.13, and this machine has none. Install one, for example with: apt-get install python3.12, or: $uv python install 3.12"
    say "Setting up .venv with $("$python" --version) …"
    "$uv" venv --quiet --no-project --python "$python" .venv
fi
case "$wanted" in
    run) say "Setting up Calque's packages (about 1 GB on disk; the first time this takes a minute or two) …" ;;
    test) say "Setting up the packages for the tests, TensorFlow among them (about 3 GB on disk; the first time this takes some minutes) …" ;;
esac
"$uv" pip sync --python .venv/bin/python --require-hashes "deploy/locks/$wanted.txt" >&2 \
    || die "The packages could not be installed: see above. Is there a connection to the package index, and room on the disk?"
"$uv" pip install --quiet --python .venv/bin/python --no-deps --no-build-isolation --editable . >&2
key "$wanted" >"$stamp"
say "Set up."
