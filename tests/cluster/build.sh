#!/usr/bin/env bash
# Builds the programs of a Kubernetes control plane into .built, for `make cluster`. Go alone is needed: no containers, no C.
set -euo pipefail
cd "$(dirname "$0")"

if ! command -v go >/dev/null; then
  echo "make cluster: there is no Go toolchain here, so nothing is built and the cluster tests will be skipped."
  exit 0
fi

export CGO_ENABLED=0 GOFLAGS="-mod=readonly -trimpath -buildvcs=false"
version=v1.36.3 # of k8s.io/kubernetes in go.mod, which it does not know of itself
named=k8s.io/component-base/version
ldflags="-s -w -X $named.gitVersion=$version -X $named.gitMajor=1 -X $named.gitMinor=36 -X $named.gitTreeState=clean"

# Kueue looks for the certificates of its metrics in /etc: its main file is compiled with that path taken from outside.
module() { go list -m -f '{{.Dir}}' "$1"; }
fixed='"/etc/kueue/metrics/certs"'
rm -f .built/complete
mkdir -p .built/source/kueue
grep -q "$fixed" "$(module sigs.k8s.io/kueue)/cmd/kueue/main.go"
sed "s#$fixed#os.Getenv(\"KUEUE_METRICS_CERTS\")#" "$(module sigs.k8s.io/kueue)/cmd/kueue/main.go" >.built/source/kueue/main.go

for program in k8s.io/kubernetes/cmd/kube-apiserver k8s.io/kubernetes/cmd/kube-controller-manager \
  k8s.io/kubernetes/cmd/kube-scheduler sigs.k8s.io/kwok/cmd/kwok ./.built/source/kueue sigs.k8s.io/jobset; do
  echo "building $(basename "$program")"
  go build -ldflags "$ldflags" -o ".built/$(basename "$program")" "$program"
done
echo "building etcd"
go build -ldflags "-s -w" -o .built/etcd go.etcd.io/etcd/server/v3

copy() { # MODULE DIRECTORY NAME: the YAML that a release of it installs
  mkdir -p ".built/manifests/$3"
  install -m 644 "$(module "$1")/$2"/*.yaml ".built/manifests/$3/"
}
rm -rf .built/manifests
copy sigs.k8s.io/kueue config/components/crd/bases kueue-crds
copy sigs.k8s.io/kueue config/components/webhook kueue-webhooks
copy sigs.k8s.io/jobset config/components/crd/bases jobset-crds
copy sigs.k8s.io/jobset config/components/webhook jobset-webhooks
copy sigs.k8s.io/kwok kustomize/crd/bases kwok-crds
touch .built/complete
