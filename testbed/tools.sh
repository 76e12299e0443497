#!/usr/bin/env bash
# Builds the test bed's programs out of Go modules into a cache folder of the user's.
#
# Idempotent: a tool whose stamp (module files, flags, Go version) is unchanged is not built again.
# Prints the folder with the binaries as its last line, progress on standard error.
#
#   --node                  what a real node needs as well: kubelet, containerd, runc, CNI plugins
#                           (out of Debian packages, unpacked into the cache and never installed)
#   --without-controllers   not Helm, kubeconform, actionlint, mailpit, Prometheus, OpenTelemetry Collector, nor the controllers of Flux and Argo Rollouts
#   --flux                  of these, only Helm and the controllers of Flux
#   --browser               chromium and chromedriver, by apt-get, if this is root and they are missing
#   HEADWIND_TESTBED_CACHE  where the binaries go (default: $XDG_CACHE_HOME/headwind-testbed)
#   KUBEBUILDER_ASSETS      take etcd, kube-apiserver and kubectl from there where they exist
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
cache=${HEADWIND_TESTBED_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/headwind-testbed}
bin=$cache/bin
mkdir -p "$bin" "$cache/stamp"
command -v go >/dev/null || { echo "tools.sh: Go 1.26 or newer is needed" >&2; exit 1; }
exec 9>"$cache/lock"
flock 9

export CGO_ENABLED=0 GOFLAGS=-mod=readonly GOWORK=off GOTOOLCHAIN=local
kube_version=v1.37.2
kube_ldflags="-X k8s.io/component-base/version.gitVersion=$kube_version -X k8s.io/component-base/version.gitMajor=1 -X k8s.io/component-base/version.gitMinor=37"
total=17 step=0
node=false controllers=true argo=true browser=false
for option in "$@"; do
  case $option in
    --node) node=true total=$((total + 2)) ;;
    --without-controllers) controllers=false total=$((total - 10)) ;;
    --flux) argo=false total=$((total - 7)) ;;
    --browser) browser=true ;;
    *) echo "tools.sh: unknown option $option" >&2; exit 2 ;;
  esac
done

# build NAME MODULE_FOLDER PACKAGE [LDFLAGS [TAGS]]
build() {
  local name=$1 module=$here/tools/$2 package=$3 ldflags="-s -w ${4:-}" tags=${5:-}
  step=$((step + 1))
  if [ -n "${KUBEBUILDER_ASSETS:-}" ] && [ -x "$KUBEBUILDER_ASSETS/$name" ]; then
    ln -sf "$KUBEBUILDER_ASSETS/$name" "$bin/$name"
    rm -f "$cache/stamp/$name"
    return
  fi
  local stamp
  stamp=$( { cat "$module/go.mod" "$module/go.sum"; find "$module" -name '*.go' -exec cat {} +; go version; echo "$package $ldflags${tags:+ $tags}"; } | sha256sum | cut -d' ' -f1)
  if [ -x "$bin/$name" ] && [ "$(cat "$cache/stamp/$name" 2>/dev/null)" = "$stamp" ]; then return; fi
  echo "[$step/$total] building $name (cold: kube-apiserver about 5 minutes, the others one or less)" >&2
  local started=$SECONDS
  # The module files are copied: a build must never change the checkout.
  local work
  work=$(mktemp -d "$cache/build.XXXXXX")
  cp "$module"/* "$work/"
  (cd "$work" && go build -trimpath -tags "$tags" -ldflags "$ldflags" -o "$bin/$name.new" "$package") || { rm -rf "$work"; return 1; }
  rm -rf "$work" "$bin/$name"
  mv "$bin/$name.new" "$bin/$name"
  echo "$stamp" >"$cache/stamp/$name"
  echo "[$step/$total] $name built in $((SECONDS - started)) s" >&2
}

# optional NAME MODULE_FOLDER PACKAGE: what a part of the tests can do without. Not in a condition
# (there `set -e` sleeps).
optional() {
  local code=0
  set +e
  (set -e; build "$@")
  code=$?
  set -e
  step=$((step + 1))
  if [ $code -ne 0 ]; then
    echo "tools.sh: $1 CANNOT BE BUILT: its tests are skipped, the reason is above" >&2
    rm -f "$bin/$1" "$cache/stamp/$1"
  fi
  return 0
}

# crds CONTROLLER MODULE FOLDER: copies the CRDs of a controller that was built out of its own module.
crds() {
  local controller=$1 folder=$cache/crds/$1
  [ -x "$bin/$controller" ] || return 0
  if [ "$(cat "$folder/stamp" 2>/dev/null)" = "$(cat "$cache/stamp/$controller")" ]; then return; fi
  rm -rf "$folder"
  mkdir -p "$folder"
  local module
  module=$(cd "$here/tools/$controller" && go list -m -f '{{.Dir}}' "$2")
  for file in "$module/$3"/*.yaml; do
    case ${file##*/} in kustomization.yaml) ;; *) cp "$file" "$folder/" ;; esac
  done
  chmod u+w "$folder"/*
  cp "$cache/stamp/$controller" "$folder/stamp"
}

# The OpenAPI document of the API server, for kubeconform.
openapi() {
  [ -x "$bin/kubeconform" ] || return 0
  local folder=$cache/openapi module
  if [ "$(cat "$folder/stamp" 2>/dev/null)" = "$kube_version" ]; then return; fi
  module=$(cd "$here/tools/kubernetes" && go list -m -f '{{.Dir}}' k8s.io/kubernetes)
  mkdir -p "$folder"
  install -m 644 "$module/api/openapi-spec/swagger.json" "$folder/swagger.json"
  echo "$kube_version" >"$folder/stamp"
}

build etcd etcd go.etcd.io/etcd/server/v3
build kube-apiserver kubernetes k8s.io/kubernetes/cmd/kube-apiserver "$kube_ldflags"
build kube-controller-manager kubernetes k8s.io/kubernetes/cmd/kube-controller-manager "$kube_ldflags"
build kube-scheduler kubernetes k8s.io/kubernetes/cmd/kube-scheduler "$kube_ldflags"
build kubectl kubernetes k8s.io/kubernetes/cmd/kubectl "$kube_ldflags"
build kwok kwok sigs.k8s.io/kwok/cmd/kwok
build registry registry github.com/distribution/distribution/v3/cmd/registry
if $controllers; then
  optional helm helm helm.sh/helm/v4/cmd/helm
  for controller in source-controller helm-controller; do
    optional $controller $controller github.com/fluxcd/$controller
    crds $controller github.com/fluxcd/$controller config/crd/bases
  done
fi
if $controllers && $argo; then
  optional kubeconform kubeconform github.com/yannh/kubeconform/cmd/kubeconform
  openapi
  optional actionlint actionlint github.com/rhysd/actionlint/cmd/actionlint
  optional mailpit mailpit github.com/axllent/mailpit
  optional argo-rollouts argo-rollouts github.com/argoproj/argo-rollouts/cmd/rollouts-controller
  optional otelcol otelcol .
  # Without the clients of clouds, which are most of its build.
  for program in prometheus promtool; do
    optional $program prometheus github.com/prometheus/prometheus/cmd/$program "" netgo,remove_all_sd
  done
  crds argo-rollouts github.com/argoproj/argo-rollouts manifests/crds
fi
if $browser && ! { command -v chromium && command -v chromedriver; } >/dev/null; then
  if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null && { apt-get install -qqy chromium chromium-driver || { apt-get update -qq && apt-get install -qqy chromium chromium-driver; }; } >&2; then
    echo "tools.sh: installed chromium and chromedriver" >&2
  else
    echo "tools.sh: chromium and chromedriver are NOT INSTALLED: the trials of the UI are skipped" >&2
  fi
fi
if $node; then
  build kubelet kubernetes k8s.io/kubernetes/cmd/kubelet "$kube_ldflags"
  step=$((step + 1))
  command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null || { echo "tools.sh: containerd and runc come out of Debian packages: apt-get and dpkg-deb are needed" >&2; exit 3; }
  if [ ! -x "$cache/node/usr/bin/containerd" ]; then
    echo "[$step/$total] unpacking containerd, runc and CNI plugins (35 MB)" >&2
    work=$(mktemp -d "$cache/node.XXXXXX")
    trap 'rm -rf "$work"' EXIT
    (cd "$work" && { apt-get download -qq containerd runc containernetworking-plugins || { apt-get update -qq && apt-get download -qq containerd runc containernetworking-plugins; } || exit 3; }) >&2
    for package in "$work"/*.deb; do dpkg-deb -x "$package" "$work/root"; done
    rm -rf "$cache/node"
    mv "$work/root" "$cache/node"
  fi
  cp "$here/tools/node/main.go" "$here/tools/node/go.mod" "$cache/node/"
  (cd "$cache/node" && go build -trimpath -ldflags '-s -w' -o app .)
fi
echo "$bin"
