#!/usr/bin/env bash
# Writes the patch of Argo CD's ConfigMap with the health script of config/argocd, for both kinds, to the file that its argument names.
set -euo pipefail
script=$(cd "$(dirname "$0")/../../config/argocd" && pwd)/health.lua

# entry prints the script as the value of a kind's key of the ConfigMap.
entry() {
  echo "  resource.customizations.health.cbr.backupsync.dev_$1: |"
  sed 's/^\(.\)/    \1/' "$script"
}

{
  echo '# Made of health.lua: edit that, then run "make generate".'
  printf 'apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: argocd-cm\ndata:\n'
  entry BackupSync
  entry CBRProject
} >"$1"
