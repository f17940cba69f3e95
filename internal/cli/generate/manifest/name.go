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
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"text/template"
	"time"

	"k8s.io/apimachinery/pkg/util/validation"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/cbr"
)

// Names gives objects their names.
type Names struct {
	template *template.Template // nil: by the id of the backup
	data     map[string]any
}

// defaultType is what the CustomResourceDefinition gives a backup without a resource type.
const defaultType = "OS::Native::Server"

// functions are those of name templates.
var functions = template.FuncMap{
	"dns":   DNS,
	"lower": strings.ToLower,
	"short": short,
	"hash":  Hash,
	"date":  func(layout string, seconds int64) string { return time.Unix(seconds, 0).UTC().Format(layout) },
}

// ByTemplate returns names by a template over the fields of a backup, and by its folded id if the template is empty. A template that names
// no field, or one that there is not, is refused.
func ByTemplate(text string) (*Names, error) {
	names := &Names{data: map[string]any{}}
	if text == "" {
		return names, nil
	}
	parsed, err := template.New("--name-template").Option("missingkey=error").Funcs(functions).Parse(text)
	if err != nil {
		return nil, fmt.Errorf("read the template of names: %w", err)
	}
	names.template = parsed
	sample := &v1alpha1.BackupSyncSpec{BackupID: "1f9e6b47-7655-4a19-b563-21b4ef023025", BackupName: "erp", BucketName: "erp", ImagePath: "erp/erp", ResourceID: "erp",
		ResourceName: "erp", ResourceType: defaultType, CreatedAt: 1553587260}
	if _, err := names.execute(sample); err != nil {
		return nil, err
	}
	return names, nil
}

// ByID reports whether names are the folded ids wherever these are names.
func (n *Names) ByID() bool { return n.template == nil }

// Name returns the name of a backup's object. It is not for several goroutines.
func (n *Names) Name(spec *v1alpha1.BackupSyncSpec) (string, error) {
	if n.template == nil {
		return byID(spec.BackupID), nil
	}
	name, err := n.execute(spec)
	if err != nil {
		return "", err
	}
	if wrong := validation.IsDNS1123Subdomain(name); len(wrong) > 0 {
		return "", fmt.Errorf("the name %q by --name-template is no name of an object: %s; the function dns makes one", name, strings.Join(wrong, "; "))
	}
	return name, nil
}

func (n *Names) execute(spec *v1alpha1.BackupSyncSpec) (string, error) {
	for name, value := range map[string]any{
		"backup_id": spec.BackupID, "backup_name": spec.BackupName, "bucket_name": spec.BucketName, "image_path": spec.ImagePath,
		"resource_id": spec.ResourceID, "resource_name": spec.ResourceName, "resource_type": resourceType(spec), "created_at": spec.CreatedAt,
	} {
		n.data[name] = value
	}
	var name strings.Builder
	if err := n.template.Execute(&limited{&name}, n.data); err != nil {
		return "", fmt.Errorf("fill in the template of names: %w; its fields are .backup_id, .backup_name, .bucket_name, .image_path, "+
			".resource_id, .resource_name, .resource_type and .created_at", err)
	}
	return name.String(), nil
}

func resourceType(spec *v1alpha1.BackupSyncSpec) string {
	if spec.ResourceType == "" {
		return defaultType
	}
	return spec.ResourceType
}

// byID returns the folded id where it is a name. Else it is made one, and a hash keeps it apart from others that become the same.
func byID(id string) string {
	folded := cbr.Fold(id)
	if len(validation.IsDNS1123Subdomain(folded)) == 0 {
		return folded
	}
	return strings.TrimPrefix(DNS(folded)+"-"+Hash(folded), "-")
}

// DNS returns a text as (a part of) the name of an object: in lower case, with "-" for each run of other characters than Latin letters,
// digits and ".", and none of them at its ends or beside a dot. Chinese characters leave nothing: join it with a hash or an id.
func DNS(text string) string {
	var made strings.Builder
	last := '-'
	for _, char := range strings.ToLower(text) {
		if !strings.ContainsRune("abcdefghijklmnopqrstuvwxyz0123456789.", char) {
			char = '-'
		}
		if (char == '-' || char == '.') && (last == '-' || last == '.') {
			continue
		}
		made.WriteRune(char)
		last = char
	}
	name := strings.TrimRight(made.String(), "-.")
	return strings.TrimRight(name[:min(len(name), validation.DNS1123SubdomainMaxLength)], "-.")
}

// Hash returns ten hexadecimal digits that stand for a text.
func Hash(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:5])
}

// short returns the first characters of a text.
func short(count int, text string) string {
	runes := []rune(text)
	return string(runes[:max(0, min(count, len(runes)))])
}

// limited takes no more than any name may have, and something to tell.
type limited struct{ *strings.Builder }

var errLong = errors.New("the name is far too long")

// Write implements io.Writer.
func (l *limited) Write(text []byte) (int, error) {
	if l.Len()+len(text) > 4*validation.DNS1123SubdomainMaxLength {
		return 0, errLong
	}
	return l.Builder.Write(text)
}
