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

// Package connection makes the credentials of a CBRProject of its spec and its Secret, and decides where they may be sent: which
// endpoints it may name, and which addresses the names of endpoints may lead to. It knows how requests went, with that when the next may
// be made, and says what failures mean in the words of conditions.
package connection
