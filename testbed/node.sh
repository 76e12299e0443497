#!/usr/bin/env bash
# A real node: containerd and the kubelet next to the test bed's fake nodes. Needs root.
#
#   node.sh CACHE KUBECONFIG SANDBOX_IMAGE NAME
#   node.sh --check   exits with 3 and says why, if this machine cannot run a node
#   node.sh --undo    waits until no node runs, and undoes what one that was killed left
#
# Prints "ready" and its folder when both run, and runs until standard input ends, so that it also ends with the process
# that started it. Then it undoes everything: processes, the bridge, cgroups, the sysctls that the kubelet sets. Both run
# with mounts of their own, which end with them, so that what they write to fixed places is in the folder. It identifies its processes by folder or process ID, never by a program's name. One node runs at a time.
set -euo pipefail
bridge=hw-node
settings="vm.overcommit_memory kernel.panic kernel.panic_on_oops"
# What kubelet, containerd and the CNI plugins write to, wherever their own folders are.
places="/run/containerd /run/netns /usr/libexec/kubernetes /var/lib/cni /var/lib/kubelet /var/log/containers /var/log/pods"

fail() {
  echo "node.sh: $1" >&2
  exit "${2:-1}"
}

own_address() {
  hostname -I | tr ' ' '\n' | grep -m1 -F . || true
}

check() {
  local tool
  [ "$(id -u)" = 0 ] || fail "a kubelet needs root" 3
  for tool in flock hostname ip mount unshare; do command -v "$tool" >/dev/null || fail "$tool is not on the PATH" 3; done
  [ -n "$(own_address)" ] || fail "this machine has no IPv4 address of its own" 3
  unshare --mount --net true 2>/dev/null || fail "this machine does not allow namespaces" 3
  if ! ip link show "$bridge" >/dev/null 2>&1; then
    if ip -4 address | grep -qE 'inet (198\.18\.|10\.96\.)'; then fail "this machine has addresses that the node needs" 3; fi
    { ip link add "hw-$$" type bridge && ip link delete "hw-$$"; } 2>/dev/null || fail "this machine does not allow a bridge" 3
  fi
}

# Whatever has the folder on its command line belongs to it: shims outlive containerd. Also prints the ID of the search.
programs() {
  grep -laF -- "$1/" /proc/[0-9]*/cmdline | cut -d / -f 3
}

# Ends the programs of the folder with this name, and waits for up to 5 seconds.
end_programs() {
  local folder=$1 name=$2 pid
  for pid in $(programs "$folder"); do
    [ "$(cat "/proc/$pid/comm")" = "$name" ] || continue
    kill "$pid"
    for _ in $(seq 50); do kill -0 "$pid" || break; sleep 0.1; done
  done
}

# Undoes what the node of this folder changed. It may have been killed at any moment, so every step may find nothing.
undo() {
  local folder=$1 pod procs pid place top setting
  end_programs "$folder" kubelet
  # Containers end with their cgroups, before containerd does.
  for pod in $(ls "$folder/kubelet/pods"); do
    for procs in $(find /sys/fs/cgroup -path "*/kubepods/*pod$pod/*" -name cgroup.procs); do
      while read -r pid; do kill -KILL "$pid"; done <"$procs"
    done
  done
  sleep 1
  end_programs "$folder" containerd
  for pid in $(programs "$folder"); do kill -KILL "$pid"; done
  sleep 0.5
  ip link delete "$bridge"
  while read -r place; do rmdir "$place"; done <"$folder/before/missing"
  if [ ! -e "$folder/before/kubepods" ]; then
    find /sys/fs/cgroup -maxdepth 2 -type d -name kubepods | while read -r top; do find "$top" -depth -type d -exec rmdir {} +; done
  fi
  while read -r setting; do echo "${setting#*=}" >"/proc/sys/$(echo "${setting%%=*}" | tr . /)"; done <"$folder/before/settings"
  if [ -n "${HEADWIND_TESTBED_KEEP:-}" ]; then touch "$folder/undone"; else rm -rf "$folder"; fi
} 2>/dev/null

# Takes the lock that a node holds while it runs, and undoes what one that was killed left.
alone() {
  local stale
  exec 9>/tmp/hw-node.lock
  flock -n 9 || echo "node.sh: waiting for another node of this machine" >&2
  flock -w 600 9 || fail "another node has run for 10 minutes"
  for stale in /tmp/hw-node.??????; do
    if [ -d "$stale/before" ] && [ ! -e "$stale/undone" ]; then
      echo "node.sh: undoing $stale, whose node was killed" >&2
      (set +e; undo "$stale")
    fi
  done
}

# Starts containerd and becomes the kubelet, with mounts of its own.
inside() {
  local folder=$1 place
  shift
  for place in $places; do mount --bind "$folder/host$place" "$place"; done
  containerd --config "$folder/containerd.toml" >"$folder/containerd.log" 2>&1 &
  while [ ! -S "$folder/containerd.sock" ]; do sleep 0.1; done
  exec kubelet "$@" >"$folder/kubelet.log" 2>&1
}

case ${1:-} in
  --check) check; exit 0 ;;
  --undo) alone; exit 0 ;;
  --inside) inside "${@:2}" ;;
esac
cache=$1 kubeconfig=$2 sandbox=$3 name=$4
export PATH="$cache/bin:$cache/node/usr/bin:$cache/node/usr/sbin:$PATH"
# Images come from this machine.
export NO_PROXY='*' no_proxy='*'
check
alone
# Short: the paths of sockets have 107 characters at most.
folder=$(mktemp -d /tmp/hw-node.XXXXXX)
mkdir -p "$folder/before" "$folder/cni" "$folder/kubelet" "$folder/registries"
for key in $settings; do echo "$key=$(cat "/proc/sys/${key//.//}")"; done >"$folder/before/settings"
touch "$folder/before/missing"
for place in $places; do
  mkdir -p "$folder/host$place"
  [ -e "$place" ] || { echo "$place" >>"$folder/before/missing"; mkdir -p "$place"; }
done
if [ -n "$(find /sys/fs/cgroup -maxdepth 2 -type d -name kubepods 2>/dev/null)" ]; then touch "$folder/before/kubepods"; fi

end() {
  trap '' EXIT TERM INT HUP
  set +e
  undo "$folder"
  echo "undone"
}
trap end EXIT
trap 'exit 1' TERM INT HUP

# Pods that are not on the network of the host have addresses on a bridge: 198.18.244.0/24, of a range that no network uses.
# The host also has the address of the Service `kubernetes`, so that a test can forward it to the API server. Nothing is
# routed beyond the host.
ip link add "$bridge" type bridge
ip address add 198.18.244.1/24 dev "$bridge"
ip address add 10.96.0.1/32 dev "$bridge"
ip link set "$bridge" up
cat >"$folder/cni/10-bridge.conflist" <<CONF
{"cniVersion": "0.4.0", "name": "bed", "plugins": [
  {"type": "bridge", "bridge": "$bridge", "ipam": {"type": "host-local", "dataDir": "$folder/addresses",
    "ranges": [[{"subnet": "198.18.244.0/24", "rangeStart": "198.18.244.10", "gateway": "198.18.244.1"}]], "routes": [{"dst": "0.0.0.0/0"}]}}
]}
CONF
cat >"$folder/containerd.toml" <<CONF
version = 2
root = "$folder/containerd"
state = "$folder/run/containerd"
disabled_plugins = ["io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.zfs", "io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.devmapper"]
[grpc]
  address = "$folder/containerd.sock"
[ttrpc]
  address = "$folder/containerd.sock.ttrpc"
[plugins."io.containerd.internal.v1.opt"]
  path = "$folder/opt"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "$sandbox"
  restrict_oom_score_adj = true
  disable_apparmor = true
  stream_server_address = "127.0.0.1"
[plugins."io.containerd.grpc.v1.cri".cni]
  bin_dir = "$cache/node/usr/lib/cni"
  conf_dir = "$folder/cni"
[plugins."io.containerd.grpc.v1.cri".registry]
  config_path = "$folder/registries"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
  runtime_type = "io.containerd.runc.v2"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
  BinaryName = "$cache/node/usr/sbin/runc"
CONF
cat >"$folder/kubelet.yaml" <<CONF
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
failCgroupV1: false
cgroupDriver: cgroupfs
containerRuntimeEndpoint: unix://$folder/containerd.sock
authentication: {anonymous: {enabled: true}, webhook: {enabled: false}}
authorization: {mode: AlwaysAllow}
address: 127.0.0.1
port: 0
healthzPort: 0
enforceNodeAllocatable: []
evictionHard: {memory.available: 10Mi, nodefs.available: 1%, imagefs.available: 1%, nodefs.inodesFree: 1%}
failSwapOn: false
localStorageCapacityIsolation: false
makeIPTablesUtilChains: false
registerWithTaints: [{key: headwind.test/node, value: real, effect: NoSchedule}]
CONF

unshare --mount --propagation slave bash "$0" --inside "$folder" --config "$folder/kubelet.yaml" --kubeconfig "$kubeconfig" \
  --root-dir "$folder/kubelet" --hostname-override "$name" --node-ip "$(own_address)" --node-labels headwind.test/node=real </dev/null 9>&- &
for _ in $(seq 100); do [ -S "$folder/containerd.sock" ] && break; sleep 0.1; done
[ -S "$folder/containerd.sock" ] || fail "containerd did not come up: $(tail -3 "$folder/containerd.log")"
echo "ready $folder"
while read -r _; do :; done
