#!/bin/sh
# What is installed, and whether any of it is known to be vulnerable: supply.sh sbom [FOLDER [LOCK…]] | supply.sh audit
#
# The tools for both live in an environment of their own, from a hashed lock: nothing of Calque depends on them.
set -eu
cd "$(dirname "$0")/../.."
. deploy/setup/common.sh

tools=.tools/supply
key() { printf '%s %s\n' "$(cksum <deploy/locks/supply.txt)" "$PWD"; }

setup_tools() {
    if [ "$(cat "$tools/calque-setup" 2>/dev/null || true)" = "$(key)" ]; then return; fi
    uv=$(sh deploy/setup/uv.sh)
    rm -rf "$tools"
    "$uv" venv --quiet --no-project --no-python-downloads --python '>=3.11,<3.14' "$tools"
    "$uv" pip sync --quiet --python "$tools/bin/python" --require-hashes deploy/locks/supply.txt >&2 \
        || die "The tools could not be installed: see above. Is there a connection to the package index?"
    key >"$tools/calque-setup"
}

# One bill of materials (CycloneDX, JSON) for each lock of what a user installs, the same bytes for the same lock.
sbom() {
    folder=${1:-out/sbom}
    [ $# -eq 0 ] || shift
    [ $# -gt 0 ] || set -- $(ls deploy/locks | sed -n 's/\.txt$//p' | grep -vxE 'test|setup|supply')
    mkdir -p "$folder"
    for lock; do
        # The warning is that a lock says what is installed, and not what needs what.
        "$tools/bin/python" -W ignore::UserWarning "$tools/bin/cyclonedx-py" requirements --pyproject pyproject.toml \
            --output-reproducible --output-format JSON --output-file "$folder/$lock.cdx.json" "deploy/locks/$lock.txt"
        say "$folder/$lock.cdx.json"
    done
}

# All that is locked, whatever the system and the Python: markers are left out, and a second version of a package goes to
# a second list, since one list may name it once. A package that cannot be looked up is a failure, never a pass.
audit() {
    lists=$(mktemp -d)
    trap 'rm -rf "$lists"' EXIT
    awk -v lists="$lists" '
        /^[a-z0-9]/ { pin = $1; split(pin, part, "=="); file = seen[pin]++ ? "" : lists "/" ++count[part[1]]; sub(/ ;.*/, " \\") }
        /^[a-z0-9 ]/ && file { print > file }' deploy/locks/test.txt deploy/locks/setup.txt deploy/locks/supply.txt
    status=0
    for list in "$lists"/*; do
        "$tools/bin/pip-audit" --strict --disable-pip --require-hashes --progress-spinner off --requirement "$list" || status=1
    done
    return $status
}

case "${1:-}" in
    sbom | audit) work=$1; shift; setup_tools; "$work" "$@" ;;
    *) die "supply.sh sbom [FOLDER [LOCK…]], or supply.sh audit" ;;
esac
