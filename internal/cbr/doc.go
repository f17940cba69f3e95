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

// Package cbr is a client of the few REST calls of Huawei Cloud Backup and Recovery (CBR) that an import
// needs: ImportBackup ("POST /v3/{project_id}/backups/sync"), the operation logs (CBR's tasks) and the
// backups themselves. It knows nothing of Kubernetes.
//
// Facts of the API come from the vendor's API reference for CBR (support.huaweicloud.com/intl/en-us/api-cbr),
// its OpenAPI definitions and its Go SDK. Where those are silent the client is careful: it retries nothing,
// follows no redirect, and takes only a 200 with the documented JSON as an acceptance.
package cbr
