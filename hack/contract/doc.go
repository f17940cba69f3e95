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

// Package contract holds this project's client of CBR, its CBR in memory and its signatures against the vendor's Go SDK, which
// was written by those who know the API: the SDK must be able to talk to the CBR in memory and lose nothing of its answers,
// it must make the same requests as the client, and read the same in the same answers. Where it does not, a test says so.
//
// There are tests alone here: `make contract` runs them.
package contract
