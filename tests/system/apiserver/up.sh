#!/bin/sh
# A real Kubernetes API server on loopback, without nodes: pods are created and stay pending. `make test-apiserver` uses it.
#
#   up.sh build VERSION           builds etcd, kube-apiserver, kube-controller-manager and kubectl from source, once
#   up.sh run VERSION COMMAND...  starts them, runs the command with KUBECONFIG, KUBERNETES_VERSION and PATH, and stops them
#
# It requires Go and openssl. The programs are kept in $XDG_CACHE_HOME, by default ~/.cache, below credential-sidecar.
set -eu

fail() {
    echo "$*" >&2
    exit 1
}

require() {
    command -v "$1" >/dev/null || fail "cannot $2: $1 is missing; install it"
}

# The versions of everything else are those that Kubernetes itself requires. Its own parts lie in its source tree, which a
# module that depends on it does not see; they are published under their own names, as v0 in place of v1.
declare_module() {
    required=$(go list -m -f '{{.GoVersion}}' "k8s.io/kubernetes@v$version")
    found=$(go version | sed 's/.* go\([0-9][0-9.]*\).*/\1/')
    [ "$(printf '%s\n' "$required" "$found" | sort -V | head -n 1)" = "$required" ] ||
        fail "cannot build Kubernetes $version with Go $found: it requires Go $required or later; install it"
    parts=v0.${version#1.}
    sed -E "s#^([[:space:]]*)(k8s\.io/[a-z-]+) => \./staging/.*#\1\2 => \2 $parts#" \
        "$(go list -m -f '{{.GoMod}}' "k8s.io/kubernetes@v$version")" >go.mod
    etcd=$(awk '$1 == "go.etcd.io/etcd/client/v3" { print $2 }' go.mod)
    go mod edit -module apiserver.test -require "k8s.io/kubernetes@v$version" -require "go.etcd.io/etcd/server/v3@$etcd"
}

build() {
    [ ! -d "$programs" ] || return 0
    require go "build Kubernetes $version"
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    trap 'exit 130' HUP INT TERM
    cd "$work"
    declare_module
    stamp=
    for package in k8s.io/component-base/version k8s.io/client-go/pkg/version; do
        minor=${version#1.}
        stamp="$stamp -X $package.gitVersion=v$version -X $package.gitMajor=1 -X $package.gitMinor=${minor%%.*}"
    done
    echo "Building Kubernetes $version, which takes about eight minutes ..."
    # Until 1.30, the controller manager contains clients of cloud providers, unless this tag leaves them out.
    CGO_ENABLED=0 go build -mod=mod -tags providerless -ldflags "-s -w $stamp" -o programs/ \
        k8s.io/kubernetes/cmd/kube-apiserver k8s.io/kubernetes/cmd/kube-controller-manager k8s.io/kubernetes/cmd/kubectl
    CGO_ENABLED=0 go build -mod=mod -ldflags '-s -w' -o programs/etcd go.etcd.io/etcd/server/v3
    mkdir -p "${programs%/*}"
    mv programs "$programs"
}

start() {
    name=$1
    shift
    "$programs/$name" "$@" >"$work/$name.log" 2>&1 &
    pids="$! $pids"
}

# Wait until the command succeeds, as long as everything runs.
await() {
    until "$@" >/dev/null 2>&1; do
        for pid in $pids; do
            kill -0 "$pid" 2>/dev/null || fail "cannot start Kubernetes $version: $(tail -n 5 "$work"/*.log)"
        done
        sleep 0.2
    done
}

leave() {
    code=$?
    trap - EXIT
    # shellcheck disable=SC2086  # the ids are words
    [ -z "$pids" ] || kill -9 $pids 2>/dev/null || true  # their data goes too
    wait
    rm -rf "$work"
    exit "$code"
}

run() {
    [ -d "$programs" ] || fail "cannot run Kubernetes $version: it is not built; run $0 build $version"
    require openssl "run Kubernetes $version"
    work=$(mktemp -d)
    pids=
    trap leave EXIT
    trap 'exit 130' HUP INT TERM
    ports=$("${PYTHON:-python3}" -c '
import socket
taken = [socket.create_server(("127.0.0.1", 0)) for _ in range(4)]
print(*(each.getsockname()[1] for each in taken))')
    # shellcheck disable=SC2086  # four words
    launch $ports
    PATH=$programs:$PATH KUBECONFIG=$work/kubeconfig KUBERNETES_VERSION=$version "$@"
}

launch() {  # etcd's two ports, the API server's and the controller manager's
    openssl genrsa -out "$work/accounts.key" 2048 2>/dev/null
    password=$(openssl rand -hex 16)
    echo "$password,admin,admin,system:masters" >"$work/tokens.csv"
    cat >"$work/kubeconfig" <<EOF
apiVersion: v1
kind: Config
clusters: [{name: test, cluster: {server: "https://127.0.0.1:$3", certificate-authority: "$work/apiserver.crt"}}]
users: [{name: admin, user: {token: "$password"}}]
contexts: [{name: test, context: {cluster: test, user: admin}}]
current-context: test
EOF
    start etcd --data-dir "$work/etcd" --unsafe-no-fsync --log-level warn \
        --listen-client-urls "http://127.0.0.1:$1" --advertise-client-urls "http://127.0.0.1:$1" \
        --listen-peer-urls "http://127.0.0.1:$2"
    start kube-apiserver --etcd-servers "http://127.0.0.1:$1" --endpoint-reconciler-type none \
        --bind-address 127.0.0.1 --advertise-address 127.0.0.1 --secure-port "$3" --cert-dir "$work" \
        --token-auth-file "$work/tokens.csv" --authorization-mode RBAC --service-cluster-ip-range 10.0.0.0/24 \
        --service-account-issuer https://kubernetes.default.svc --service-account-key-file "$work/accounts.key" \
        --service-account-signing-key-file "$work/accounts.key"
    await "$programs/kubectl" --kubeconfig "$work/kubeconfig" get --raw /readyz
    start kube-controller-manager --kubeconfig "$work/kubeconfig" --bind-address 127.0.0.1 --secure-port "$4" \
        --cert-dir "$work/manager" --root-ca-file "$work/apiserver.crt" --leader-elect=false \
        --service-account-private-key-file "$work/accounts.key"
    await "$programs/kubectl" --kubeconfig "$work/kubeconfig" -n default get serviceaccount default
}

[ $# -ge 2 ] || fail "usage: $0 build VERSION, or $0 run VERSION COMMAND..."
action=$1
version=$2
shift 2
programs=${XDG_CACHE_HOME:-$HOME/.cache}/credential-sidecar/kubernetes-$version
case $action in
    build) build ;;
    run) run "$@" ;;
    *) fail "unknown action $action; use build or run" ;;
esac
