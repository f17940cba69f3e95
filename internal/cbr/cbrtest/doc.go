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

// Package cbrtest is Huawei Cloud Backup and Recovery (CBR) in memory: an HTTP server for tests that behaves as
// the vendor's API reference says, is strict where the reference is strict and nasty where it is silent. It
// keeps a ledger of all that it was sent, so that a test can prove that no backup was submitted twice, and it
// takes faults to inject.
//
// What the reference leaves open is decided against the client on purpose:
//
//   - ImportBackup answers in the reverse order of the request;
//   - a second import of a backup is accepted, starts another task, and is counted in the ledger;
//   - one bad item fails the whole call;
//   - tasks are listed by their ids, which is no order of time;
//   - times come in the three documented formats, and null wherever null is possible.
//
// Options make it do what else a CBR, a gateway, a proxy or a sister cloud may do: name no backup in a task, show things
// late, fold the case of ids, answer errors in other shapes, show lists in part, refuse every call for a while.
//
// IAM issues tokens, and the keys of a pod's identity, that a Cloud accepts until they end.
//
// The state of tasks and backups follows from the clock when it is read: nothing runs in the background.
package cbrtest
