#!/usr/bin/env bash
# A real node: containerd and the kubelet next to the test bed's fake nodes. Needs root.
#
#   node.sh CACHE KUBECONFIG SANDBOX_IMAGE NAME
#
# Prints "ready" and its folder when both run, and runs until standard input ends, so that it also ends with the process
# that started it. Then it undoes everything: processes, mounts, cgroups, the sysctls that the kubelet
# sets. It identifies its processes by folder or process ID, never by a program's name.
set -euo pipefail
cache=$1 kubeconfig=$2 sandbox=$3 name=$4
# Short: the paths of sockets have 107 characters at most.
folder=$(mktemp -d /tmp/hw-node.XXXXXX)
export PATH="$cache/node/usr/bin:$cache/node/usr/sbin:$PATH"
settings="vm.overcommit_memory kernel.panic kernel.panic_on_oops"
address=$(hostname -I | tr ' ' '\n' | grep -m1 -F . || true)
[ -n "$address" ] || { echo "node.sh: this machine has no IPv4 address of its own" >&2; exit 1; }

mkdir -p "$folder/cni" "$folder/kubelet" "$folder/manifests"
before=$(for key in $settings; do echo "$key=$(cat "/proc/sys/${key//.//}")"; done)
containerd_pid='' kubelet_pid=''

# Whatever has the folder on its command line is ours: shims outlive containerd.
ours() {
  local file pid
  for file in /proc/[0-9]*/cmdline; do
    pid=${file#/proc/} pid=${pid%/cmdline}
    if [ "$pid" != $$ ] && [ "$pid" != "$BASHPID" ] && [ "$pid" != "$PPID" ] && tr '\0' ' ' <"$file" 2>/dev/null | grep -qF -- "$folder/"; then echo "$pid"; fi
  done
}

undo() {
  trap '' EXIT TERM INT HUP
  set +e
  [ -n "$kubelet_pid" ] && kill "$kubelet_pid" && wait "$kubelet_pid"
  # Containers end with their cgroups, before containerd does.
  for procs in $(find /sys/fs/cgroup -path '*/kubepods/*' -name cgroup.procs 2>/dev/null); do
    while read -r pid; do kill -KILL "$pid"; done <"$procs"
  done
  sleep 1
  [ -n "$containerd_pid" ] && kill "$containerd_pid" && wait "$containerd_pid"
  for pid in $(ours); do kill -KILL "$pid"; done
  sleep 0.5
  awk -v under="$folder/" 'index($2, under) == 1 {print $2}' /proc/mounts | sort -r | while read -r mount; do umount -l "$mount"; done
  find /sys/fs/cgroup -maxdepth 2 -type d -name kubepods 2>/dev/null | while read -r top; do find "$top" -depth -type d -exec rmdir {} + ; done
  for setting in $before; do echo "${setting#*=}" >"/proc/sys/$(echo "${setting%%=*}" | tr . /)"; done
  if [ -z "${HEADWIND_TESTBED_KEEP:-}" ]; then rm -rf "$folder"; fi
  echo "undone"
} 2>/dev/null
trap undo EXIT
trap 'exit 1' TERM INT HUP

cat >"$folder/cni/10-loopback.conflist" <<CONF
{"cniVersion": "0.4.0", "name": "none", "plugins": [{"type": "loopback"}]}
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

containerd --config "$folder/containerd.toml" </dev/null >"$folder/containerd.log" 2>&1 &
containerd_pid=$!
for _ in $(seq 100); do [ -S "$folder/containerd.sock" ] && break; sleep 0.1; done
[ -S "$folder/containerd.sock" ] || { echo "node.sh: containerd did not come up: $(tail -3 "$folder/containerd.log")" >&2; exit 1; }
"$cache/bin/kubelet" --config "$folder/kubelet.yaml" --kubeconfig "$kubeconfig" --root-dir "$folder/kubelet" --hostname-override "$name" \
  --node-ip "$address" --node-labels headwind.test/node=real </dev/null >"$folder/kubelet.log" 2>&1 &
kubelet_pid=$!
echo "ready $folder"
while read -r _; do :; done
