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

package act

import (
	"cmp"
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/util/sets"
)

// The kinds that are acted on.
const (
	kindBackup  = "BackupSync"
	kindProject = "CBRProject"
)

// kindWords are how kinds are called on the command line, as kubectl calls them, and shorter.
var kindWords = map[string]string{
	"backup": kindBackup, "backups": kindBackup, "backupsync": kindBackup, "backupsyncs": kindBackup, "bsync": kindBackup,
	"project": kindProject, "projects": kindProject, "cbrproject": kindProject, "cbrprojects": kindProject, "cbrp": kindProject,
}

// kindOf returns the kind of a word, which may have the group behind it, as in "backupsync.cbr.backupsync.dev"; "" if it is none.
func kindOf(word string) string {
	word = strings.ToLower(word)
	if name, group, qualified := strings.Cut(word, "."); qualified && (group == "cbr.backupsync.dev" || group == "v1alpha1.cbr.backupsync.dev") {
		word = name
	}
	return kindWords[word]
}

// parseTargets reads the arguments: [KIND] NAME..., or KIND/NAME.... Without a kind they are BackupSyncs.
func parseTargets(arguments []string) (kind string, names []string, err error) {
	kind = kindBackup
	first := ""
	if len(arguments) > 0 && kindOf(arguments[0]) != "" {
		first, kind, arguments = arguments[0], kindOf(arguments[0]), arguments[1:]
	}
	for _, argument := range arguments {
		word, name, qualified := strings.Cut(argument, "/")
		if !qualified {
			names = append(names, argument)
			first = cmp.Or(first, argument)
			continue
		}
		named := kindOf(word)
		switch {
		case named == "" || name == "":
			return "", nil, fmt.Errorf("%q is no KIND/NAME: the kinds are backup and project", argument)
		case first != "" && named != kind:
			return "", nil, fmt.Errorf("%q is of another kind than %q: act on backups and projects by a command each", argument, first)
		}
		first, kind, names = cmp.Or(first, argument), named, append(names, name)
	}
	if double := firstDouble(names); double != "" {
		return "", nil, fmt.Errorf("%q is named twice", double)
	}
	return kind, names, nil
}

func firstDouble(names []string) string {
	seen := sets.New[string]()
	for _, name := range names {
		if seen.Has(name) {
			return name
		}
		seen.Insert(name)
	}
	return ""
}

// plural counts things.
func plural(count int, kind string) string {
	if count == 1 {
		return "1 " + kind
	}
	return fmt.Sprintf("%d %ss", count, kind)
}
