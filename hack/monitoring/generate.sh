#!/usr/bin/env bash
# Writes the PrometheusRule of config/components/prometheus to a file: the rules of config/monitoring/alerts.yaml as they are, below spec.
set -euo pipefail
cd "$(dirname "$0")/../.."
{
	cat <<'MANIFEST'
# Made of config/monitoring/alerts.yaml by make generate: change that.
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: backupsync-alerts
  namespace: backupsync-system
  labels:
    app.kubernetes.io/name: backupsync
    app.kubernetes.io/instance: backupsync
spec:
MANIFEST
	sed -e '/^#/d' -e 's/^\(.\)/  \1/' config/monitoring/alerts.yaml
} >"$1"
