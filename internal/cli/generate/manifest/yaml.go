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

package manifest

import (
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"backupsync.dev/operator/api/v1alpha1"
)

// Frame is what all manifests have in common.
type Frame struct {
	// Namespace is that of the objects; empty leaves it to who applies them.
	Namespace string
	// Project is the name of their CBRProject.
	Project string
	// Labels and Annotations are those of the objects.
	Labels, Annotations map[string]string
	// Suspend keeps the backups from being sent.
	Suspend bool
}

// Append appends a manifest, without a line of dashes.
func (f *Frame) Append(text []byte, name string, spec *v1alpha1.BackupSyncSpec) []byte {
	text = append(text, "apiVersion: "+v1alpha1.GroupVersion.String()+"\nkind: BackupSync\nmetadata:\n"...)
	text = line(text, "  name: ", name)
	if f.Namespace != "" {
		text = line(text, "  namespace: ", f.Namespace)
	}
	text = pairs(text, "labels", f.Labels)
	text = pairs(text, "annotations", f.Annotations)
	text = append(text, "spec:\n  projectRef:\n"...)
	text = line(text, "    name: ", f.Project)
	text = line(text, "  backupID: ", spec.BackupID)
	text = line(text, "  backupName: ", spec.BackupName)
	text = line(text, "  bucketName: ", spec.BucketName)
	text = line(text, "  imagePath: ", spec.ImagePath)
	text = line(text, "  resourceID: ", spec.ResourceID)
	text = line(text, "  resourceName: ", spec.ResourceName)
	if spec.ResourceType != "" {
		text = line(text, "  resourceType: ", spec.ResourceType)
	}
	text = append(strconv.AppendInt(append(text, "  createdAt: "...), spec.CreatedAt, 10), '\n')
	if f.Suspend {
		text = append(text, "  suspend: true\n"...)
	}
	return text
}

func line(text []byte, key, value string) []byte {
	return append(append(append(text, key...), Scalar(value)...), '\n')
}

func pairs(text []byte, key string, values map[string]string) []byte {
	if len(values) == 0 {
		return text
	}
	text = append(text, "  "+key+":\n"...)
	for _, name := range slices.Sorted(maps.Keys(values)) {
		text = line(text, "    "+Scalar(name)+": ", values[name])
	}
	return text
}

var (
	// word is what every YAML takes for text, but for a few words: it begins with a letter.
	word = regexp.MustCompile(`^[A-Za-z\p{Han}][0-9A-Za-z\p{Han}_./:-]*$`)
	// path begins with a digit, but no number and no time has a slash.
	path = regexp.MustCompile(`^[0-9][0-9A-Za-z\p{Han}_.-]*/[0-9A-Za-z\p{Han}_./-]*$`)
	// id is a UUID: no number and no time has four dashes.
	id = regexp.MustCompile(`^[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}$`)
)

// reserved are the words that one version of YAML or another does not take for text.
var reserved = []string{"y", "n", "yes", "no", "on", "off", "true", "false", "null", "nan", "inf", "infinity"}

// Scalar returns a text in YAML: as it is where nothing can mistake it, else in double quotes.
func Scalar(text string) string {
	plain := word.MatchString(text) && !strings.HasSuffix(text, ":") && !slices.Contains(reserved, strings.ToLower(text)) ||
		path.MatchString(text) || id.MatchString(text)
	if plain {
		return text
	}
	return quoted(text)
}

// quoted returns a text in double quotes, with escapes for all that cannot be seen.
func quoted(text string) string {
	var made strings.Builder
	made.WriteByte('"')
	for _, char := range text {
		switch {
		case char == '"' || char == '\\':
			made.WriteByte('\\')
			made.WriteRune(char)
		case unicode.IsPrint(char):
			made.WriteRune(char)
		case char > 0xffff:
			made.WriteString(`\U` + escape(char, 8))
		default:
			made.WriteString(`\u` + escape(char, 4))
		}
	}
	made.WriteByte('"')
	return made.String()
}

func escape(char rune, width int) string {
	digits := strconv.FormatInt(int64(char), 16)
	return strings.Repeat("0", width-len(digits)) + digits
}
