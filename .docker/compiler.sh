#!/bin/sh
# Install a C compiler where there is none, on Debian or Alpine: the image's build stage compiles the sidecar.
set -eu

if command -v cc >/dev/null; then
    exit 0
elif command -v apt-get >/dev/null; then
    apt-get update --quiet --quiet
    apt-get install --quiet --quiet --yes --no-install-recommends gcc libc6-dev
elif command -v apk >/dev/null; then
    apk add --quiet gcc musl-dev
else
    echo "cannot install a C compiler: the base has neither apt-get nor apk; use a base with a compiler" >&2
    exit 1
fi
