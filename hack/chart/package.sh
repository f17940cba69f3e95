#!/usr/bin/env bash
# Writes the chart of a version, which installs an image, as a package into a folder: package.sh VERSION IMAGE FOLDER.
set -euo pipefail
cd "$(dirname "$0")/../.."
version=$1 image=$2 folder=$3
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cp -r config/chart "$work/backupsync"
tag=${image##*:}
if [[ $tag == */* || $tag == "$image" ]]; then repository=$image tag=$version; else repository=${image%:*}; fi
sed -i -e "s|^  repository: controller\$|  repository: $repository|" "$work/backupsync/values.yaml"
[ "$tag" = "$version" ] || sed -i -e "s|^  tag: \"\"\$|  tag: \"$tag\"|" "$work/backupsync/values.yaml"
mkdir -p "$folder"
bin/helm package "$work/backupsync" --version "${version#v}" --app-version "$version" --destination "$folder"
