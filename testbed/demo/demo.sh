#!/usr/bin/env bash
# `make demo` and `make demo-down`: run Headwind on a real control plane and a real registry, as plain processes of your own
# user on loopback.
#
#   testbed/demo/demo.sh up|down
#
#   KUBECONFIG=…                 uses this cluster in place of a control plane of its own. Headwind must not be in it yet.
#                                The pods run on a simulated node, so their images are never pulled.
#   FLUX=1                       also runs Flux, with a HelmRelease
#   HEADWIND_DEMO_STATE          the state folder (default: demo in the test bed's cache)
#   HEADWIND_DEMO_REGISTRY_PORT  15000 · HEADWIND_DEMO_WEBHOOK_PORT 18080
#   HEADWIND_DEMO_API_PORT       18081 · HEADWIND_DEMO_UI_PORT      18082
#   HEADWIND_DEMO_METRICS_PORT   19090
set -euo pipefail
umask 077
root=$(cd "$(dirname "$0")/../.." && pwd)
cache=${HEADWIND_TESTBED_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/headwind-testbed}
state=${HEADWIND_DEMO_STATE:-$cache/demo}
registry=127.0.0.1:${HEADWIND_DEMO_REGISTRY_PORT:-15000}
webhook=127.0.0.1:${HEADWIND_DEMO_WEBHOOK_PORT:-18080}
api=127.0.0.1:${HEADWIND_DEMO_API_PORT:-18081}
ui=127.0.0.1:${HEADWIND_DEMO_UI_PORT:-18082}
metrics=127.0.0.1:${HEADWIND_DEMO_METRICS_PORT:-19090}
target=${CARGO_TARGET_DIR:-$root/target}
cluster=${KUBECONFIG:-} flux=${FLUX:-}
# The programs that this script runs itself, in the order in which they are stopped.
parts=(operator helm-controller source-controller kwok registry)
step_began=
# say WHAT: begins a step, and says how long the one before it took
say() {
  [ -z "$step_began" ] || printf -- '--- %s s\n' "$((SECONDS - step_began))"
  step_began=$SECONDS
  title "$@"
}
title() { printf '\n\033[1m==> %s\033[0m\n' "$*"; }
fail() { printf 'demo: %s\n' "$*" >&2; exit 1; }
call() { curl --silent --noproxy '*' --max-time 10 "$@"; }

# started PID: when a process started, to distinguish it from a later process with the same PID
started() { awk '{sub(/^.*\) /, ""); print $20}' "/proc/$1/stat" 2>/dev/null || true; }

# running PART: the recorded PID of a program, if that process still runs
running() {
  local pid at
  read -r pid at 2>/dev/null <"$state/$1.pid" || return 1
  [ -n "$at" ] && [ "$(started "$pid")" = "$at" ] && echo "$pid"
}

# run PART COMMAND…: runs a program in the background, and records its PID and start time
run() {
  local part=$1 pid
  shift
  (exec setsid "$@" </dev/null >"$state/$part.log" 2>&1) &
  pid=$!
  disown
  # exec replaces the shell with the program: the PID and the start time stay the same.
  echo "$pid $(started "$pid")" >"$state/$part.pid"
}

stop() {
  local pid
  pid=$(running "$1") || { rm -f "$state/$1.pid"; return 0; }
  kill -TERM "$pid" 2>/dev/null || true
  for _ in $(seq 150); do running "$1" >/dev/null || break; sleep 0.1; done
  if running "$1" >/dev/null; then kill -KILL "$pid" 2>/dev/null || true; fi
  rm -f "$state/$1.pid"
}

# until SECONDS WHAT COMMAND…: polls; at the deadline, prints the last log lines of the operator
until_true() {
  local end=$((SECONDS + $1)) what=$2
  shift 2
  until "$@" >/dev/null 2>&1; do
    if [ "$SECONDS" -ge "$end" ]; then
      [ ! -f "$state/operator.log" ] || { echo "--- the operator's last lines ($state/operator.log)" >&2; tail -n 15 "$state/operator.log" >&2; }
      fail "timed out waiting until $what"
    fi
    sleep 0.2
  done
}

# pushed_until SECONDS WHAT REPOSITORY TAG COMMAND…: polls, and pushes the tag again every 10 seconds. On a loaded machine,
# the registry may notify Headwind before it serves the tag.
pushed_until() {
  local end=$((SECONDS + $1)) what=$2 repository=$3 tag=$4 again=$((SECONDS + 10))
  shift 4
  until "$@" >/dev/null 2>&1; do
    if [ "$SECONDS" -ge "$end" ]; then until_true 0 "$what" "$@"; fi
    if [ "$SECONDS" -ge "$again" ]; then
      "$root/testbed/demo/push.sh" "$repository" "$tag" >/dev/null
      again=$((SECONDS + 10))
    fi
    sleep 0.2
  done
}

free_port() {
  if (exec 3<>"/dev/tcp/${1/://}") 2>/dev/null; then fail "port $1 is in use; choose another port with $2"; fi
}

image() { kubectl -n demo get "$1" -o "jsonpath={.spec.template.spec.containers[0].image}"; }
runs() { [ "$(image "$1")" = "$2" ]; }
# waiting IMAGE: the name of the pending request for this image
waiting() { in_phase "$1" Pending; }
# in_phase IMAGE PHASE: the name of the request for this image, if it is in this phase
in_phase() { kubectl -n demo get ur -o "jsonpath={range .items[?(@.spec.newImage=='$1')]}{.status.phase} {.metadata.name}{'\n'}{end}" | awk -v phase="$2" '$1 == phase {print $2}' | grep .; }
ready() { call --fail "http://$metrics/ready"; }
served() { kubectl -n demo get ur; }

up() {
  local begun=$SECONDS
  command -v cargo >/dev/null || fail "Rust is needed (rustup installs the version in rust-toolchain.toml)"
  command -v curl >/dev/null || fail "curl is needed"
  say "Building Headwind (some minutes the first time)"
  (cd "$root" && cargo build --locked -p headwind -p headwind-testbed)
  say "Building the control plane and the registry (up to 15 minutes the first time)"
  "$root/testbed/tools.sh" "$([ -n "$flux" ] && echo --flux || echo --without-controllers)" >/dev/null
  export PATH="$target/debug:$cache/bin:$PATH"

  stop operator
  free_port "$webhook" HEADWIND_DEMO_WEBHOOK_PORT
  free_port "$api" HEADWIND_DEMO_API_PORT
  free_port "$ui" HEADWIND_DEMO_UI_PORT
  free_port "$metrics" HEADWIND_DEMO_METRICS_PORT
  [ -f "$state/state.json" ] || running registry >/dev/null || free_port "$registry" HEADWIND_DEMO_REGISTRY_PORT

  mkdir -p "$state"
  if [ -n "$cluster" ]; then use_cluster; else own_cluster; fi
  export KUBECONFIG HEADWIND_DEMO_REGISTRY=$registry
  printf 'export KUBECONFIG=%q HEADWIND_DEMO_REGISTRY=%q\nexport PATH=%q:%q:$PATH\n' "$KUBECONFIG" "$registry" "$target/debug" "$cache/bin" >"$state/env"
  echo "API server and registry ($registry) are up"

  say "Installing the CRD, the RBAC rules and the admission policy for approvals"
  kubectl create namespace headwind-system --dry-run=client -o yaml | kubectl apply --server-side -f -
  headwind crds | kubectl apply --server-side -f -
  headwind rbac | kubectl apply --server-side -f -

  if [ -n "$flux" ]; then start_flux; fi

  say "Pushing the first images, and creating three Deployments, a StatefulSet, a DaemonSet and a CronJob"
  sed "s|REGISTRY|$registry|" "$root/testbed/demo/workloads.yaml" >"$state/workloads.yaml"
  if kubectl -n demo get deployment/web deployment/mailer deployment/search statefulset/db daemonset/agent cronjob/report >/dev/null 2>&1; then
    echo "the workloads exist already and are unchanged"
  else
    "$root/testbed/demo/push.sh" demo/web 1.0.0
    "$root/testbed/demo/push.sh" demo/db 1.0.0
    "$root/testbed/demo/push.sh" demo/agent 1.0.0-slim
    "$root/testbed/demo/push.sh" demo/mailer 1.0.0
    "$root/testbed/demo/push.sh" demo/search 1.0.0
    "$root/testbed/demo/push.sh" demo/report 1.0.0
    kubectl apply -f "$state/workloads.yaml"
  fi
  until_true 30 "the API server serves UpdateRequests" served
  if [ -n "$flux" ]; then
    push_chart 1.0.0
    sed "s|REGISTRY|$registry|" "$root/testbed/demo/release.yaml" | kubectl apply -f -
  fi

  say "Running Headwind as its own ServiceAccount (log: $state/operator.log)"
  start_operator
  until_true 60 "Headwind is ready" ready
  echo "ready: webhooks on $webhook, UI on http://$ui, API on http://$api, metrics on http://$metrics"

  # Each run uses the minor version after all that run or were requested.
  local minor next
  minor=$({
    kubectl -n demo get deployment,statefulset,daemonset -o 'jsonpath={range .items[*]}{.spec.template.spec.containers[0].image}{"\n"}{end}'
    kubectl -n demo get ur -o 'jsonpath={range .items[*]}{.spec.newImage}{"\n"}{end}'
  } | sed -n 's/^.*:1\.\([0-9]*\).*$/\1/p' | sort -n | tail -n 1)
  next=1.$((minor + 1)).0
  say "Pushing version $next of all images; the registry notifies Headwind"
  local pushed=$SECONDS
  "$root/testbed/demo/push.sh" demo/web "$next"
  "$root/testbed/demo/push.sh" demo/agent "$next-slim"
  "$root/testbed/demo/push.sh" demo/db "$next"
  "$root/testbed/demo/push.sh" demo/report "$next"
  if [ -n "$flux" ]; then push_chart "$next"; fi
  pushed_until 60 "the Deployment runs $next" demo/web "$next" runs deployment/web "$registry/demo/web:$next"
  pushed_until 60 "the DaemonSet runs $next-slim" demo/agent "$next-slim" runs daemonset/agent "$registry/demo/agent:$next-slim"
  pushed_until 60 "a request for the StatefulSet waits for approval" demo/db "$next" waiting "$registry/demo/db:$next"
  echo "done within $((SECONDS - pushed + 1)) s of the first push"
  say "Pushing a version of mailer that crashes, and one of search that does not become ready"
  "$root/testbed/demo/push.sh" demo/mailer "$next-crash"
  "$root/testbed/demo/push.sh" demo/search "$next-unready"
  pushed_until 60 "Headwind rolls search out" demo/search "$next-unready" in_phase "$registry/demo/search:$next-unready" RollingOut
  pushed_until 120 "Headwind has rolled mailer back" demo/mailer "$next-crash" in_phase "$registry/demo/mailer:$next-crash" RolledBack
  show "$next"
  title "make demo finished in $((SECONDS - begun)) s: open http://$ui/"
}

start_operator() {
  local server authority token
  server=$(kubectl config view --raw --minify -o 'jsonpath={.clusters[0].cluster.server}')
  authority=$(kubectl config view --raw --minify --flatten -o 'jsonpath={.clusters[0].cluster.certificate-authority-data}')
  token=$(kubectl -n headwind-system create token headwind --duration=24h)
  cat >"$state/operator.kubeconfig" <<YAML
apiVersion: v1
kind: Config
current-context: demo
clusters: [{name: demo, cluster: {server: "$server", certificate-authority-data: "$authority"}}]
users: [{name: headwind, user: {token: "$token"}}]
contexts: [{name: demo, context: {cluster: demo, user: headwind}}]
YAML
  run operator env KUBECONFIG="$state/operator.kubeconfig" HEADWIND_NAMESPACE=headwind-system MALLOC_ARENA_MAX=1 \
    HEADWIND_WEBHOOK_ADDR="$webhook" HEADWIND_API_ADDR="$api" HEADWIND_UI_ADDR="$ui" HEADWIND_METRICS_ADDR="$metrics" \
    "$target/debug/headwind" run
}

own_cluster() {
  say "Starting etcd, kube-apiserver, controller-manager, scheduler, kwok and the registry"
  local facts
  facts=$(headwind-testbed up --state "$state" --notify "http://$webhook/webhook/registry" --registry-port "${registry#*:}")
  KUBECONFIG=$(sed -n 's/^KUBECONFIG=//p' <<<"$facts")
  registry=$(sed -n 's/^REGISTRY=//p' <<<"$facts")
}

# A registry, and a simulated node for the pods of the demo unless the cluster has one.
use_cluster() {
  say "Using the cluster of KUBECONFIG=$cluster, with a registry and a simulated node"
  kubectl get --raw /readyz >/dev/null || fail "the cluster of KUBECONFIG does not answer"
  if [ ! -f "$state/cluster" ] && kubectl get customresourcedefinition updaterequests.headwind.sh >/dev/null 2>&1; then
    fail "Headwind is in this cluster already"
  fi
  printf '%s\n' "$cluster" >"$state/cluster"
  if ! running registry >/dev/null; then
    mkdir -p "$state/registry"
    cat >"$state/registry/config.json" <<JSON
{"version": "0.1", "log": {"level": "warn", "accesslog": {"disabled": true}},
 "storage": {"filesystem": {"rootdirectory": "$state/registry/storage"}},
 "http": {"addr": "$registry", "secret": "not a secret: one registry, on loopback"},
 "notifications": {"endpoints": [{"name": "headwind", "url": "http://$webhook/webhook/registry", "ignore": {"actions": ["pull"]},
   "timeout": "1s", "threshold": 10, "backoff": "200ms"}]}}
JSON
    run registry "$cache/bin/registry" serve "$state/registry/config.json"
    until_true 20 "the registry answers" call --fail "http://$registry/v2/"
  fi
  if running kwok >/dev/null || kubectl get node -l type=kwok -o name | grep -q .; then return; fi
  kubectl apply -f - <<'YAML'
apiVersion: v1
kind: Node
metadata:
  name: headwind-demo
  annotations: {kwok.x-k8s.io/node: fake}
  labels: {type: kwok, kubernetes.io/hostname: headwind-demo, kubernetes.io/os: linux}
spec:
  taints: [{key: kwok.x-k8s.io/node, value: fake, effect: NoSchedule}]
YAML
  run kwok "$cache/bin/kwok" --kubeconfig "$cluster" --manage-all-nodes=false \
    --manage-nodes-with-annotation-selector kwok.x-k8s.io/node=fake --node-lease-duration-seconds 40 \
    --config "$root/testbed/kwok-base-stages.yaml" --config "$root/testbed/kwok-stages.yaml"
  until_true 60 "the simulated node is ready" kubectl wait --for=condition=Ready node/headwind-demo --timeout=0
}

start_flux() {
  say "Starting Flux's source-controller and helm-controller"
  local controller file port=19400
  kubectl create namespace flux-system --dry-run=client -o yaml | kubectl apply --server-side -f -
  for controller in source-controller helm-controller; do
    for file in "$cache/crds/$controller"/*.yaml; do kubectl apply --server-side -f "$file" >/dev/null; done
  done
  mkdir -p "$state/flux/artifacts" "$state/flux/home"
  for controller in source-controller helm-controller; do
    port=$((port + 1))
    if running "$controller" >/dev/null; then continue; fi
    local more=()
    if [ "$controller" = source-controller ]; then
      more=(--storage-path="$state/flux/artifacts" --storage-addr=127.0.0.1:19410 --storage-adv-addr=127.0.0.1:19410)
    fi
    run "$controller" env KUBECONFIG="$KUBECONFIG" RUNTIME_NAMESPACE=flux-system HOME="$state/flux/home" TMPDIR="$state/flux/home" \
      "$cache/bin/$controller" --health-addr=127.0.0.1:$port --metrics-addr=127.0.0.1:0 --enable-leader-election=false \
      --watch-all-namespaces=true --requeue-dependency=1s "${more[@]}"
    until_true 60 "$controller is ready" call --fail "http://127.0.0.1:$port/readyz"
  done
}

# push_chart VERSION: packages the chart of the demo, and pushes it to the registry
push_chart() {
  local work
  work=$(mktemp -d)
  helm package "$root/testbed/demo/chart" --version "$1" --destination "$work" >/dev/null
  helm push "$work/shop-$1.tgz" "oci://$registry/demo/charts" --plain-http >/dev/null 2>&1
  rm -rf "$work"
  echo "pushed the chart $registry/demo/charts/shop:$1"
}

show() {
  local name minor=${1#1.} after
  after=1.$((${minor%%.*} + 1)).0
  name=$(waiting "$registry/demo/db:$1")
  title "kubectl -n demo get ur"
  kubectl -n demo get ur --sort-by=.metadata.creationTimestamp
  title "The current images"
  kubectl -n demo get deployment,statefulset,daemonset -o custom-columns='KIND:.kind,NAME:.metadata.name,IMAGE:.spec.template.spec.containers[0].image,LAST UPDATE:.metadata.annotations.headwind\.sh/last-update'
  title "The Events that Headwind emitted"
  kubectl -n demo get events.v1.events.k8s.io -o custom-columns='ON:.regarding.kind,NAME:.regarding.name,REASON:.reason,NOTE:.note,BY:.reportingController' | awk 'NR == 1 || /headwind/' | sed 's/  *[^ ]*headwind[^ ]*$//; s/  *BY$//'
  cat <<TEXT

$(title "What to try next")

  # kubectl and headwind for this shell
  . $state/env

  # Open the web UI, and approve the waiting update of the StatefulSet there
  http://$ui/

  # Or approve it with the API, and look at the result
  curl --json '{"reason":"looks good"}' http://$api/api/v1/updates/demo/$name/approve
  kubectl -n demo get ur,statefulset -o wide

  # Push other versions (the policy accepts a minor one and refuses a major one), and see why
  testbed/demo/push.sh demo/web $after
  testbed/demo/push.sh demo/web 2.0.0
  headwind policy --current $registry/demo/web:$1 --policy minor 1.99.0 2.0.0 1.99.0-rc.1 latest

  # Metrics, log, description of the API
  curl -s http://$metrics/metrics | grep ^headwind_updates
  tail -f $state/operator.log
  curl -s http://$api/openapi.json

  # Stop everything that was started, and remove its folder
  make demo-down
TEXT
}

down() {
  local part testbed="$target/debug/headwind-testbed" headwind="$target/debug/headwind"
  stop operator
  if [ -f "$state/cluster" ]; then
    export KUBECONFIG=$(cat "$state/cluster") PATH="$cache/bin:$PATH"
    echo "removing what the demo created in the cluster of KUBECONFIG=$KUBECONFIG"
    kubectl delete namespace demo headwind-system --ignore-not-found --wait=false
    "$headwind" rbac | kubectl delete --ignore-not-found -f - >/dev/null
    "$headwind" crds | kubectl delete --ignore-not-found -f - >/dev/null
    kubectl delete node headwind-demo --ignore-not-found
  fi
  for part in "${parts[@]}"; do
    stop "$part"
    rm -f "$state/$part.log"
  done
  rm -rf "$state/registry" "$state/flux"
  rm -f "$state/operator.kubeconfig" "$state/env" "$state/workloads.yaml" "$state/cluster"
  if [ ! -f "$state/state.json" ]; then
    [ ! -d "$state" ] || rmdir --ignore-fail-on-non-empty "$state"
    echo "no control plane of the demo is running"
    return
  fi
  [ -x "$testbed" ] || (cd "$root" && cargo build --locked -p headwind-testbed)
  "$testbed" down --state "$state"
}

case ${1:-up} in
  up) up ;;
  down) down ;;
  *) fail "up or down?" ;;
esac
