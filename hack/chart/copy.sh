#!/usr/bin/env bash
# Writes into the folder $1 what the chart has in common with the kustomizations: a chart holds no files of elsewhere.
set -euo pipefail
cd "$(dirname "$0")/../.."
mkdir -p "$1/crds"
cp config/crd/bases/*.yaml "$1/crds/"
cp config/rbac/role.yaml "$1/role.yaml"
cp config/components/edit-warnings/policy.yaml "$1/edit-warnings.yaml"
for file in alerts.yaml dashboard.json; do
	if [ -e "config/monitoring/$file" ]; then cp "config/monitoring/$file" "$1/$file"; fi
done
