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

// Package generate is kubectl backupsync generate: from inventories of backups to manifests.
//
// Rows are read in one goroutine, judged in several, and taken in their order in the one that runs the command. Whatever the length of an
// inventory, it holds some batches of rows. What it knows duplicates by is in a temporary file as soon as it is much.
package generate
