#!/usr/bin/env bash
# Pushes a tiny image to the demo's registry, with only curl and sha256sum.
#
#   testbed/demo/push.sh REPOSITORY TAG [CONTENT]
#
# The content (default: the tag) decides the digest: the same content, the same image.
#   HEADWIND_DEMO_REGISTRY  the registry's host:port (default 127.0.0.1:15000)
set -euo pipefail
[ $# -ge 2 ] || { echo "usage: $0 REPOSITORY TAG [CONTENT]" >&2; exit 2; }
registry=${HEADWIND_DEMO_REGISTRY:-127.0.0.1:15000} repository=$1 tag=$2 content=${3:-$1:$2}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

call() { curl --silent --show-error --fail-with-body --noproxy '*' --max-time 30 "$@"; }
digest() { echo "sha256:$(sha256sum <"$1" | cut -d' ' -f1)"; }
size() { wc -c <"$1" | tr -d ' '; }

# blob FILE: two calls, as every registry client makes them
blob() {
  local place
  place=$(call -X POST -D - -o /dev/null "http://$registry/v2/$repository/blobs/uploads/" | tr -d '\r' | awk 'tolower($1) == "location:" {print $2}')
  case $place in http*) ;; *) place=http://$registry$place ;; esac
  case $place in *\?*) place="$place&" ;; *) place="$place?" ;; esac
  call -X PUT -H 'Content-Type: application/octet-stream' --data-binary @"$1" "${place}digest=$(digest "$1")" >/dev/null
}

printf '%s' "$content" >"$work/content"
tar --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner -C "$work" -cf "$work/layer" content
printf '{"architecture":"amd64","os":"linux","config":{},"rootfs":{"type":"layers","diff_ids":["%s"]}}' "$(digest "$work/layer")" >"$work/config"
printf '{"schemaVersion":2,"mediaType":"%s","config":{"mediaType":"%s","digest":"%s","size":%s},"layers":[{"mediaType":"%s","digest":"%s","size":%s}]}' \
  application/vnd.oci.image.manifest.v1+json \
  application/vnd.oci.image.config.v1+json "$(digest "$work/config")" "$(size "$work/config")" \
  application/vnd.oci.image.layer.v1.tar "$(digest "$work/layer")" "$(size "$work/layer")" >"$work/manifest"
blob "$work/layer"
blob "$work/config"
call -X PUT -H 'Content-Type: application/vnd.oci.image.manifest.v1+json' --data-binary @"$work/manifest" "http://$registry/v2/$repository/manifests/$tag" >/dev/null
echo "pushed $registry/$repository:$tag"
