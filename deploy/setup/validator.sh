#!/bin/sh
# Installs dciodvfy, by which the tests check the DICOM objects that are written: validator.sh
# Without it these checks alone are skipped, and say so.
set -eu
cd "$(dirname "$0")/../.."
. deploy/setup/common.sh

command -v dciodvfy >/dev/null 2>&1 || install_packages dicom3tools \
    || say "The DICOM objects of the tests go without a second opinion. As root: apt-get install dicom3tools"
