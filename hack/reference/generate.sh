#!/usr/bin/env bash
# Writes the reference of the API, from the comments of its types, to the file that is named.
set -euo pipefail
cd "$(dirname "$0")/../.."
go tool -modfile=hack/tools/go.mod crd-ref-docs --config=hack/reference/config.yaml --templates-dir=hack/reference/templates \
	--source-path=api --renderer=markdown --output-path="$1" --log-level=ERROR
