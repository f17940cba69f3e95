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

package main

import (
	"bytes"
	"fmt"
	"time"

	"github.com/google/uuid"
)

// firstBackup is when the oldest of the generated backups was made.
var firstBackup = time.Date(2026, time.March, 1, 18, 0, 0, 0, time.UTC)

// days is the number of backups of each virtual machine, one a day.
const days = 10

// generate returns the manifests of backups as backup software would list them: some days of each machine. Their names
// are in alphabetical order.
func generate(count int) []byte {
	var manifests bytes.Buffer
	for number := range count {
		manifests.WriteString(manifest(number/days+1, number%days))
	}
	return manifests.Bytes()
}

// manifest returns the BackupSync of a machine's backup of a day, counted from the first.
func manifest(machine, day int) string {
	made := firstBackup.AddDate(0, 0, day)
	resource := fmt.Sprintf("vm-%02d", machine)
	name := resource + made.Format("-20060102")
	return fmt.Sprintf(`---
apiVersion: cbr.backupsync.dev/v1alpha1
kind: BackupSync
metadata:
  name: %[1]s
  namespace: %[2]s
spec:
  projectRef:
    name: %[3]s
  backupID: %[4]s
  backupName: %[1]s
  bucketName: vmware-backups-cn-north-4
  imagePath: %[5]s/%[4]s/%[4]s
  resourceID: %[5]s
  resourceName: %[6]s
  resourceType: OS::VMware::Server
  createdAt: %[7]d
`, name, namespace, projectName, id(name), id(resource), resource, made.Unix())
}

// id returns a UUID that is the same for a name in every run.
func id(name string) string {
	return uuid.NewSHA1(uuid.NameSpaceDNS, []byte(name+".backupsync.dev")).String()
}
