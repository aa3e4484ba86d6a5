#!/bin/sh
# Makes what deploy/compose.yaml keeps in files: secrets.sh HOST… writes deploy/secrets, for clients that call the server HOST.
#
# An authority of this installation's own, a certificate that it vouches for (90 days; run again to renew it), the secret by
# which services know each other, and the keys of the store. A site with an authority of its own replaces authority.pem,
# certificate.pem and key.pem. What is there already stays, but for the certificate.
set -eu
umask 077
[ $# -gt 0 ] || { echo "Say the names or addresses by which clients call the server." >&2; exit 1; }
cd "$(dirname "$0")"
folder=${SECRETS_FOLDER:-secrets}
mkdir -p "$folder"
cd "$folder"

names=DNS:localhost,DNS:calque,DNS:embedding,DNS:embedding-gpu,DNS:minio
for host in "$@"; do
    case "$host" in *[!0-9.]*) case "$host" in *:*) kind=IP ;; *) kind=DNS ;; esac ;; *) kind=IP ;; esac
    names=$names,$kind:$host
done
key() { openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$1" 2>/dev/null; }
random() { openssl rand -hex "$1" | tr -d '\n'; }

if [ ! -f authority.key ]; then
    key authority.key
    openssl req -x509 -new -key authority.key -days 3650 -subj "/CN=Calque's authority" -out authority.pem \
        -addext basicConstraints=critical,CA:TRUE,pathlen:0 -addext keyUsage=critical,keyCertSign,cRLSign
fi
[ -f key.pem ] || key key.pem
openssl req -new -key key.pem -subj "/CN=$1" -out request.pem
printf 'subjectAltName=%s\nextendedKeyUsage=serverAuth,clientAuth\nkeyUsage=critical,digitalSignature\n' "$names" >extensions
openssl x509 -req -in request.pem -CA authority.pem -CAkey authority.key -days 90 -extfile extensions -out certificate.pem 2>/dev/null
rm -f request.pem extensions authority.srl

[ -f service ] || random 32 >service
[ -f minio-user ] || random 10 >minio-user
[ -f minio-password ] || random 20 >minio-password
[ -f s3 ] || printf '[default]\naws_access_key_id = %s\naws_secret_access_key = %s\n' "$(cat minio-user)" "$(cat minio-password)" >s3
# The images' user reads them all, except for the authority's key, which only this script needs.
[ "$(id -u)" -ne 0 ] || chown 10001:10001 authority.pem certificate.pem key.pem service minio-user minio-password s3
echo "The secrets are in $(pwd); clients need authority.pem."
