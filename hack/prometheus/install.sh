#!/usr/bin/env bash
# Builds bin/prometheus and bin/promtool from the version that go.mod beside this file pins, unless they are of it already. The
# discovery of cloud services is left out: it is most of the code, and nothing here needs it.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
target="$here/../../bin"
version=$(sed -n 's|^[[:space:]]*github.com/prometheus/prometheus v\([0-9.]*\).*|\1|p' "$here/go.mod" | head -n 1)
mkdir -p "$target"
current() { [ -x "$target/prometheus" ] && [ -x "$target/promtool" ] && [ "$(cat "$target/.prometheus" 2>/dev/null)" = "$version" ]; }
current && exit 0
echo "prometheus: building $version (some minutes, once)"
for name in promtool prometheus; do
	CGO_ENABLED=0 go build -C "$here" -tags remove_all_sd -trimpath -ldflags '-s -w' -o "$target/$name.new" "github.com/prometheus/prometheus/cmd/$name"
	mv -f "$target/$name.new" "$target/$name"
done
echo "$version" >"$target/.prometheus"
