#!/usr/bin/env bash
# Fails if a generated file is not what its generator makes of the sources today.
set -euo pipefail
cd "$(dirname "$0")/.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
gen=(go tool -modfile=hack/tools/go.mod controller-gen)
"${gen[@]}" crd paths=./api/... output:crd:dir="$work/crd"
"${gen[@]}" rbac:roleName=manager-role paths=./internal/controller/... output:rbac:dir="$work/rbac"
"${gen[@]}" object:headerFile=hack/boilerplate.go.txt paths=./api/... output:object:dir="$work/api"
sed 's/^kind: ClusterRole$/kind: Role/' "$work/rbac/role.yaml" >"$work/role.yaml"
hack/reference/generate.sh "$work/reference.md"
hack/chart/copy.sh "$work/chart"
hack/monitoring/generate.sh "$work/prometheus_rule.yaml"
hack/argocd/generate.sh "$work/argocd-cm.yaml"
status=0
diff -u config/rbac/role.yaml "$work/rbac/role.yaml" || status=1
diff -u config/components/namespaced/role/role.yaml "$work/role.yaml" || status=1
diff -u api/v1alpha1/zz_generated.deepcopy.go "$work/api/zz_generated.deepcopy.go" || status=1
diff -u docs/reference.md "$work/reference.md" || status=1
diff -u config/components/prometheus/prometheus_rule.yaml "$work/prometheus_rule.yaml" || status=1
diff -u config/argocd/argocd-cm.yaml "$work/argocd-cm.yaml" || status=1
diff -ru config/crd/bases "$work/crd" || status=1
diff -ru config/chart/files "$work/chart" || status=1
[ "$status" -eq 0 ] || { echo "generated files are not current: run make generate" >&2; exit 1; }
