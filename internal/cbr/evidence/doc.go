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

// Package evidence tells what CBR has of a backup: one judge for everybody who has to know.
//
// A Look holds what CBR has shown, and a Judge turns it into one Verdict for each backup. To look means to read: first the
// tasks, then the backups. An import that ends meanwhile is then seen as a task that runs, or as a backup that is there; in
// the other order it could be neither. The judge is a pure function. Whatever it cannot tell is Unknown, never Absent: an
// absent backup may be sent, and a second import cannot be taken back.
//
// The assumptions, apart from what the API documents:
//   - CBR shows what it took within the settling time, and the backup of a task that has ended within Known.SettleTime.
//   - The clock by which CBR dates tasks is not behind that of its Date headers by more than Known.DateLag, which tasks that ended have told;
//     or, where none has, by ten times Known.SettleTime. It matters for tasks that have
//     ended when they are first seen, and for how long others run. CBR's times are compared with no other clock.
//   - Elements of a list keep their order while it is read, whatever order it is, and pages are all of the longest length that
//     CBR gives; or CBR counts the elements right.
//   - A list that is narrowed, by enterprise projects or permissions, hides so many of the backups that are asked about that
//     asking for three of those that it lacks finds one (see Look.AskFor for those who want to be certain).
//   - An id that is no UUID, and that CBR takes in no question for that, is not hidden by a list that is read as a whole.
//   - CBR keeps an id as it was sent, or in lower case, or finds it in any case; or it shows ids with capitals, and keeps them all so.
//   - A task that may be a backup's, but is not known to be, and runs for longer than Known.OverdueAfter, never ends.
package evidence
