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

package text

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	"sigs.k8s.io/yaml"
)

// The formats of output that programs read.
const (
	JSON = "json"
	YAML = "yaml"
)

// CheckFormat returns an error if a format of output is none of those that there are; "" always is one.
func CheckFormat(format string, formats ...string) error {
	if format == "" || slices.Contains(formats, format) {
		return nil
	}
	return fmt.Errorf("--output=%s is not known: it can be %s", format, strings.Join(formats, ", "))
}

// WriteStructured writes a value as JSON or YAML.
func WriteStructured(out io.Writer, format string, value any) error {
	var written []byte
	var err error
	if format == YAML {
		written, err = yaml.Marshal(value)
	} else if written, err = json.MarshalIndent(value, "", "  "); err == nil {
		written = append(written, '\n')
	}
	if err != nil {
		return fmt.Errorf("write as %s: %w", format, err)
	}
	return Write(out, string(written))
}

// WriteLines writes lines.
func WriteLines(out io.Writer, lines []string) error {
	if len(lines) == 0 {
		return nil
	}
	return Write(out, strings.Join(lines, "\n")+"\n")
}

// Write writes a text.
func Write(out io.Writer, text string) error {
	if _, err := io.WriteString(out, text); err != nil {
		return fmt.Errorf("write the output: %w", err)
	}
	return nil
}
