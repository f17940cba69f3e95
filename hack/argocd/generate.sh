#!/usr/bin/env bash
# Writes the patch of Argo CD's ConfigMap with the health scripts of config/argocd to the file that its argument names.
set -euo pipefail
scripts=$(cd "$(dirname "$0")/../../config/argocd" && pwd)

# entry prints a script as the value of a key of the ConfigMap.
entry() {
  echo "  resource.customizations.health.cbr.backupsync.dev_$1: |"
  sed 's/^\(.\)/    \1/' "$scripts/$2"
}

{
  echo '# Made of backupsync.lua and cbrproject.lua: edit those, then run "make generate".'
  printf 'apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: argocd-cm\ndata:\n'
  entry BackupSync backupsync.lua
  entry CBRProject cbrproject.lua
} >"$1"
