#!/usr/bin/env bash
# Writes into the folder $1 what the chart has in common with the kustomizations: a chart holds no files of elsewhere.
set -euo pipefail
cd "$(dirname "$0")/../.."
mkdir -p "$1/crds"
cp config/crd/bases/*.yaml "$1/crds/"
cp config/rbac/role.yaml config/rbac/leader_election_role.yaml config/components/metrics/metrics_auth_role.yaml \
	config/components/metrics/metrics_reader_role.yaml "$1/"
mkdir -p "$1/people"
cp config/rbac/*_editor_role.yaml config/rbac/*_viewer_role.yaml "$1/people/"
cp config/components/edit-warnings/policy.yaml "$1/edit-warnings.yaml"
for file in alerts.yaml dashboard.json; do
	if [ -e "config/monitoring/$file" ]; then cp "config/monitoring/$file" "$1/$file"; fi
done
