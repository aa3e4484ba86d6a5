#!/bin/sh
# Installs a real S3 server for the tests, Ceph's RGW: object_store.sh
# They start it by themselves, and stop it. Without it the tests of the S3 store alone are skipped, and say so.
set -eu
cd "$(dirname "$0")/../.."
. deploy/setup/common.sh

[ -z "${CALQUE_TEST_S3:-}" ] || exit 0
for program in ceph ceph-mon ceph-osd radosgw radosgw-admin; do
    command -v "$program" >/dev/null 2>&1 && continue
    install_packages radosgw ceph-mon ceph-osd ceph-common \
        || say "The S3 store will not be tested. As root: apt-get install radosgw ceph-mon ceph-osd ceph-common, or name a server in CALQUE_TEST_S3."
    break
done
