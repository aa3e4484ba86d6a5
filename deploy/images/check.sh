#!/bin/sh
# Takes the install steps of every image on this machine and starts what was installed, as a user without rights where this one
# is root: check.sh [ROOM…], in a folder that is removed at the end. For a machine without a container engine.
set -eu
cd "$(dirname "$0")/../.."
folder=$(mktemp -d)
serving=
finish() { [ -z "$serving" ] || kill "$serving" 2>/dev/null || true; rm -rf "$folder"; }
trap finish EXIT
chmod 711 "$folder"
lowly=env
[ "$(id -u)" -ne 0 ] || lowly="setpriv --reuid 10001 --regid 10001 --clear-groups env"

for room in ${*:-volumes segmentation embedding trainer}; do
    echo "$room …"
    sh deploy/images/install.sh "$room" "$folder/$room"
    home=$folder/home-$room
    install -d -m 700 "$home"
    [ "$(id -u)" -ne 0 ] || chown 10001:10001 "$home"
    calque=$folder/$room/bin/calque
    if [ "$room" = trainer ]; then
        (cd "$home" && $lowly HOME="$home" "$calque" train --help >/dev/null)
    else
        service=${room%-gpu}
        $lowly HOME="$home" NUMBA_CACHE_DIR="$folder/$room/loops" "$calque" serve "$service" --listen 127.0.0.1:50151 \
            >"$folder/line" 2>"$folder/log" &
        serving=$!
        tries=0
        until $lowly HOME="$home" "$calque" health "$service" --server 127.0.0.1:50151 2>/dev/null; do
            tries=$((tries + 1))
            [ "$tries" -lt 60 ] || { cat "$folder/log" >&2; exit 1; }
            sleep 1
        done
        kill "$serving"
        wait "$serving" || true
        serving=
    fi
    du -sh "$folder/$room" | sed "s|$folder/||"
    rm -rf "${folder:?}/$room"
done
