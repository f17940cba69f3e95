#!/usr/bin/env bash
# Writes all of a release to dist/: release.sh VERSION IMAGE. The same commit makes the same bytes.
set -euo pipefail
cd "$(dirname "$0")/../.."
version=${1-} image=${2:-backupsync:${1-}}

fail() {
	echo "release: $*" >&2
	exit 1
}

# Helm writes the time of day into its packages: they get that of the commit.
repack() {
	local folder
	folder=$(mktemp -d)
	tar -xzf "$1" -C "$folder"
	tar --sort=name --format=ustar --mtime="@$(git log -1 --format=%ct)" --owner=0 --group=0 --numeric-owner --mode=u=rwX,go=rX \
		-C "$folder" -c "$(ls -A "$folder")" | gzip -n >"$1"
	rm -rf "$folder"
}

# A semantic version, without build metadata: a tag of an image has no plus sign.
number='(0|[1-9][0-9]*)'
word='(0|[1-9][0-9]*|[0-9]*[a-zA-Z-][0-9a-zA-Z-]*)'
[[ $version =~ ^v$number\.$number\.$number(-$word(\.$word)*)?$ ]] ||
	fail "VERSION \"$version\" is no semantic version: write make release VERSION=v1.2.3, or VERSION=v1.2.3-rc.1"

# Where the name has no tag the chart would install another image than is pushed, and a digest is not known before.
[[ ${image##*/} == *:* && $image != *@* ]] ||
	fail "IMG \"$image\" has no tag: write IMG=registry.example.com/backupsync:$version"

# What CHANGELOG.md has under the heading of the version, up to the next one.
notes=$(awk -v heading="## [${version#v}]" '
	/^## / { found = index($0, heading) == 1; next }
	found && !/^\[[^]]*\]: / { print }' CHANGELOG.md)
[ -n "${notes//[[:space:]]/}" ] ||
	fail "CHANGELOG.md says nothing under \"## [${version#v}]\": write there what has changed, for whoever upgrades"
[ -z "$(git status --porcelain)" ] || fail "there are changes that are not committed: git status shows them"

rm -rf dist
make --no-print-directory image plugin installer VERSION="$version" IMG="$image"
if [ -e config/chart/Chart.yaml ]; then
	make --no-print-directory chart-package VERSION="$version" IMG="$image"
	repack dist/*.tgz
fi
sed '/./,$!d' <<<"$notes" >dist/release-notes.md
cp LICENSE dist/LICENSE
cd dist
sums=$(find . -type f -printf '%P\0' | LC_ALL=C sort -z | xargs -0 sha256sum)
echo "$sums" >SHA256SUMS
cd ..
echo "dist/ has the release $version of the image $image: make image-push IMG=$image pushes it, install.yaml installs it from there"
