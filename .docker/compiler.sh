#!/bin/sh
# Install a C compiler where there is none, on Debian or Alpine: the image's build stage compiles the sidecar.
set -eu

if command -v cc >/dev/null; then
    exit 0
fi

# For a mirror with a certification authority of its own, beside those of the base. It is a copy, because apt reads it as a
# user that cannot read the secret.
secrets=${SECRETS:-/run/secrets}
if [ -f "$secrets/ca.pem" ]; then
    authorities=$(mktemp)
    trap 'rm -f "$authorities"' EXIT
    for file in "${SSL_CERT_FILE:-/etc/ssl/certs/ca-certificates.crt}" "$secrets/ca.pem"; do
        [ ! -f "$file" ] || cat "$file" >>"$authorities"
    done
    chmod 644 "$authorities"
fi

if command -v apt-get >/dev/null; then
    set -- --quiet --quiet ${authorities:+--option "Acquire::https::CAInfo=$authorities"}
    apt-get "$@" update
    apt-get "$@" install --yes --no-install-recommends gcc libc6-dev
elif command -v apk >/dev/null; then
    [ -z "${authorities:-}" ] || export SSL_CERT_FILE="$authorities"
    apk add --quiet gcc musl-dev
else
    echo "cannot install a C compiler: the base has neither apt-get nor apk; use a base with a compiler" >&2
    exit 1
fi
