#!/usr/bin/env bash
# Puts etcd, kube-apiserver and kubectl into bin/k8s, from the first of these that has them:
#   1. KUBEBUILDER_ASSETS, when it is set (a folder; used by links);
#   2. what an earlier call left in bin/k8s;
#   3. prebuilt binaries, by setup-envtest, where the network allows it (CONTROLPLANE=build skips this);
#   4. a build from the Go modules that go.mod beside this file pins.
# Binaries appear in bin/k8s only when they are whole, by rename: an interrupted call leaves nothing half done.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
target="$root/bin/k8s"
binaries="etcd kube-apiserver kubectl"
version=$(sed -n "s|^[[:space:]]*k8s.io/kubernetes v\([0-9.]*\).*|\1|p" "$here/go.mod" | head -n 1)
download_seconds=120

say() { printf 'controlplane: %s\n' "$*"; }

complete() { # complete FOLDER: has it all three binaries?
  local name
  for name in $binaries; do [ -x "$1/$name" ] || return 1; done
}

work=""
children=""
finish() {
  [ -z "$children" ] || kill $children 2>/dev/null || true
  [ -z "$work" ] || rm -rf "$work"
}
trap finish EXIT
trap 'exit 130' INT TERM

publish() { # publish FOLDER SOURCE: move whole binaries into place, and remember where they came from
  local name
  for name in $binaries; do
    [ ! -f "$1/$name" ] || mv -f "$1/$name" "$target/$name"
  done
  printf '%s %s\n' "$version" "$2" >"$target/.source"
}

link_assets() {
  local assets name
  assets=$(cd "$KUBEBUILDER_ASSETS" && pwd -P)
  if ! complete "$assets"; then
    say "KUBEBUILDER_ASSETS=$KUBEBUILDER_ASSETS lacks one of: $binaries" >&2
    exit 1
  fi
  [ "$assets" != "$(cd "$target" && pwd -P)" ] || return 0
  for name in $binaries; do ln -sfn "$assets/$name" "$target/$name"; done
  printf '%s %s\n' "$version" "$assets" >"$target/.source"
  say "using $assets (KUBEBUILDER_ASSETS)"
}

current() { # is what bin/k8s holds whole, and what go.mod pins?
  complete "$target" && [ -f "$target/.source" ] && [ "$(cut -d' ' -f1 "$target/.source")" = "$version" ]
}

download() { # a quick try: a machine without that network must not wait for it
  local pid watchdog path status=0
  say "looking for prebuilt binaries of Kubernetes ${version%.*} (at most ${download_seconds}s; CONTROLPLANE=build skips this)"
  (cd "$root/hack/tools" && go build -o "$work/setup-envtest" sigs.k8s.io/controller-runtime/tools/setup-envtest) || return 1
  "$work/setup-envtest" use "${version%.*}.x" --bin-dir "$work/envtest" -p path >"$work/path" 2>"$work/download.log" &
  pid=$!
  (sleep "$download_seconds" && kill "$pid" 2>/dev/null) >/dev/null 2>&1 &
  watchdog=$!
  children="$pid $watchdog"
  wait "$pid" || status=$?
  kill "$watchdog" 2>/dev/null || true
  children=""
  path=$(cat "$work/path")
  if [ "$status" -ne 0 ] || [ -z "$path" ] || ! complete "$path"; then
    say "no prebuilt binaries can be had here"
    return 1
  fi
  chmod -R u+w "$work/envtest"
  publish "$path" setup-envtest
}

build() { # build NAME PACKAGE
  say "building $1"
  (cd "$here" && CGO_ENABLED=0 GOWORK=off go build -trimpath -buildvcs=false -ldflags "$ldflags" -o "$work/$1" "$2")
}

build_all() {
  local stamp=k8s.io/component-base/version
  ldflags="-s -w -X $stamp.gitVersion=v$version -X $stamp.gitMajor=${version%%.*} -X $stamp.gitMinor=$(cut -d. -f2 <<<"$version")"
  say "building etcd, kube-apiserver and kubectl $version from Go modules"
  say "this is done once: some 8 minutes on two cores, about 3 GB of Go caches, 200 MB in bin/k8s"
  build etcd go.etcd.io/etcd/server/v3
  build kubectl k8s.io/kubernetes/cmd/kubectl
  build kube-apiserver k8s.io/kubernetes/cmd/kube-apiserver
  publish "$work" build
}

mkdir -p "$target"
if [ -n "${KUBEBUILDER_ASSETS:-}" ]; then
  link_assets
  exit 0
fi
if current; then
  exit 0
fi
work=$(mktemp -d "$target/.work.XXXXXX")
if [ "${CONTROLPLANE:-}" = build ] || ! download; then
  build_all
fi
say "ready in $target"
