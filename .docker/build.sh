#!/bin/sh
# Builds the content of the image: `.docker/build.sh /opt/sidecar` installs the locked dependencies there, and the
# sidecar, compiled with locked tools. The Dockerfile and `make image-tree` run it, with $PYTHON or the PATH's Python.
set -eu

prefix=$1
python=${PYTHON:-$(command -v python || command -v python3)}
secrets=${SECRETS:-/run/secrets}
source=$(dirname "$0")/..
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# For a network with an index or a certification authority of its own: secrets of the build, of which the image holds nothing.
if [ -f "$secrets/pip.conf" ]; then
    export PIP_CONFIG_FILE="$secrets/pip.conf"
fi
if [ -f "$secrets/ca.pem" ]; then
    export PIP_CERT="$secrets/ca.pem"
fi

# pip imports packages of the venv. Without PYTHONDONTWRITEBYTECODE it would write byte code beside them.
in_venv() {
    venv=$1
    shift
    PYTHONDONTWRITEBYTECODE=1 "$python" -m pip --python "$venv/bin/python" "$@"
}

# Installs a wheel only if its hash is in the lock, and no source distribution, because building one would fetch tools
# that no lock names.
locked() {
    "$python" -m venv --clear --without-pip "$1"
    in_venv "$1" install --quiet --disable-pip-version-check --no-compile --only-binary :all: --require-hashes --requirement "$2"
}

locked "$prefix" "$source/.docker/requirements.txt"
locked "$work/tools" "$source/.build/requirements.txt"
SIDECAR_COMPILE=1 in_venv "$work/tools" wheel --quiet --disable-pip-version-check --no-index --no-deps \
    --no-build-isolation --check-build-dependencies --wheel-dir "$work" "$source"
in_venv "$prefix" install --quiet --disable-pip-version-check --no-index --no-deps --no-compile --find-links "$work" credential-sidecar
# Stop if the lock lacks a package, or has a release that pyproject.toml or a package excludes.
conflicts=$(in_venv "$prefix" check) || { echo "$conflicts" >&2; exit 1; }

# Of what botocore knows of AWS's services, those that secrets are read from and that its credential chain asks.
packages=$(echo "$prefix"/lib/python3*/site-packages)
rm -r "$packages/boto3/data"
find "$packages/botocore/data" -mindepth 1 -maxdepth 1 -type d \
    ! -name secretsmanager ! -name signin ! -name sso ! -name sso-oidc ! -name sts -exec rm -r {} +

# Byte code of everything, the standard library included: the official images have none of it, and nothing can be
# written where the sidecar runs. It is never checked against its source; PYTHONPYCACHEPREFIX says where it is.
library=$("$prefix/bin/python" -c 'import sysconfig; print(sysconfig.get_path("stdlib"))')
PYTHONPYCACHEPREFIX=$prefix/bytecode "$prefix/bin/python" -m compileall -q -j 0 --invalidation-mode unchecked-hash \
    -x '/(ensurepip|idlelib|lib2to3|test|tests|tkinter|turtledemo)/|^'"$library/site-packages/" "$library" "$packages"
