/*
Copyright 2026 The BackupSync Authors.

Licensed under the Apache License, Version 2.0 (the "License");
you may not use this file except in compliance with the License.
You may obtain a copy of the License at

    http://www.apache.org/licenses/LICENSE-2.0

Unless required by applicable law or agreed to in writing, software
distributed under the License is distributed on an "AS IS" BASIS,
WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied.
See the License for the specific language governing permissions and
limitations under the License.
*/

// Package install tries what installs the operator: the chart of config/chart and the kustomizations of config, with Helm 3 and 4 and
// kubectl, against the schemas of all supported versions of Kubernetes, and on a real API server.
//
// There are tests alone here: `make install-test` runs them. The program of the folder verify is what a newcomer does by the README.
package install
