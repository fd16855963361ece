#!/bin/sh
# The chart, and `sidecar inject`, on a real cluster: kind makes it, and it goes in the end. `make test-kind` has built
# the image and put the programs of the project on the PATH; Docker, kind and kubectl must be there.
set -eu
cd "$(dirname "$0")"

cluster=credential-sidecar-test
image=credential-sidecar:kind
KUBECONFIG=$(mktemp)
export KUBECONFIG

leave() {
    code=$?
    if [ "$code" -ne 0 ]; then
        kubectl describe pods || true
        kubectl logs --selector '!none' --all-containers --prefix --tail 100 || true
    fi
    kind delete cluster --name "$cluster"
    rm -f "$KUBECONFIG"
    exit "$code"
}
trap leave EXIT

healed() {
    kubectl logs "deployment/$1" --container sidecar | grep '"event":"resent"' | grep '"outcome":"healed"'
}

ask() {
    kubectl exec "deployment/$1" --container app -- /opt/sidecar/bin/python /server/ask.py
    tries=10  # the log is written in batches
    until healed "$1"; do
        tries=$((tries - 1))
        [ "$tries" -gt 0 ]
        sleep 1
    done
}

kind create cluster --name "$cluster" --wait 180s
kind load docker-image "$image" --name "$cluster"
kubectl label namespace default pod-security.kubernetes.io/enforce=restricted
kubectl create configmap server --from-file=server.py --from-file=ask.py
kubectl create secret generic app --from-literal=client-secret=change-me

echo "The chart's own Deployment"
helm install own ../../helm --values values.yaml --set mode=app --wait --timeout 3m
ask own-credential-sidecar

echo "Manifests that are there already, and a Job that ends"
sidecar inject -f manifests.yaml --config-map own-credential-sidecar --image "$image" --secret-file app | kubectl apply -f -
kubectl rollout status deployment/plain --timeout 3m
ask plain
kubectl wait job/once --for condition=complete --timeout 3m
