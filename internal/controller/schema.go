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

package controller

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-logr/logr"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/openapi"

	"backupsync.dev/operator/api/v1alpha1"
	"backupsync.dev/operator/internal/backupsync"
)

// An API server drops what its CRDs do not know. With CRDs that are older than the operator a record of a call, or an
// outcome, would be dropped as it is written, and the backup sent again: so nothing is sent then.

// schemaRecheck is the time after which CRDs that are outdated are looked at again.
const schemaRecheck = 10 * time.Second

// errCRDsOutdated says that the CRDs in the cluster are older than the operator.
var errCRDsOutdated = errors.New("the CRDs in the cluster are older than the operator")

// IsCRDsOutdated reports whether an error says that the CRDs in the cluster are older than this version, or are not there.
func IsCRDsOutdated(err error) bool { return errors.Is(err, errCRDsOutdated) }

// applyCRDs says what to do about CRDs that are older than the operator.
const applyCRDs = "Apply those of the operator's version, the way they were installed: helm upgrade, or kubectl apply -k config/crd."

// errPruned says that a write was answered without what it wrote.
var errPruned = fmt.Errorf("%w (they did not keep what was written)", errCRDsOutdated)

// selectableFields are those that live reads select by.
var selectableFields = map[string][]string{
	"BackupSync": {"spec.projectRef.name", "spec.backupID"},
	"CBRProject": {"spec.projectID"},
}

// kindTypes are the Go types of the kinds.
var kindTypes = map[string]reflect.Type{
	"BackupSync": reflect.TypeFor[v1alpha1.BackupSync](),
	"CBRProject": reflect.TypeFor[v1alpha1.CBRProject](),
}

// SchemaCheck tells whether the CRDs in the cluster have every field that the operator uses. It is safe for concurrent use.
type SchemaCheck struct {
	schemas openapi.ClientWithContext
	log     logr.Logger
	mutex   sync.Mutex
	current bool
	due     time.Time // of the next look, after one that was not well
	problem error
}

// NewSchemaCheck makes a SchemaCheck over what the API server publishes of its CRDs.
func NewSchemaCheck(schemas openapi.Client, log logr.Logger) *SchemaCheck {
	return &SchemaCheck{schemas: openapi.ToClientWithContext(schemas), log: log}
}

// Check returns what is wrong with the CRDs, nil if nothing is: errCRDsOutdated, or why they could not be looked at. Once
// they were well it does not ask again, until Doubt.
func (s *SchemaCheck) Check(ctx context.Context, now time.Time) error {
	if s == nil {
		return nil
	}
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if s.current || now.Before(s.due) {
		return s.problem
	}
	err := s.look(ctx)
	if err == nil {
		s.current, s.problem = true, nil
		return nil
	}
	s.due = now.Add(schemaRecheck)
	if s.problem == nil || s.problem.Error() != err.Error() {
		s.log.Error(nil, "Nothing is sent before the CRDs are known to fit this version of the operator", "problem", err.Error())
	}
	s.problem = err
	return err
}

// Doubt notes that a write was answered without what it wrote: the CRDs have changed since they were looked at.
func (s *SchemaCheck) Doubt() {
	if s == nil {
		return
	}
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.current, s.due = false, time.Time{}
}

// look compares the published schemas with the Go types.
func (s *SchemaCheck) look(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, schemaRecheck)
	defer cancel()
	paths, err := s.schemas.PathsWithContext(ctx)
	if err != nil {
		return fmt.Errorf("read the schemas of the API server: %w", err)
	}
	group, found := paths["apis/"+v1alpha1.GroupVersion.String()]
	if !found {
		return fmt.Errorf("%w (those of %s are not installed)", errCRDsOutdated, v1alpha1.GroupVersion)
	}
	document, err := group.SchemaWithContext(ctx, "application/json")
	if err != nil {
		return fmt.Errorf("read the schema of %s: %w", v1alpha1.GroupVersion, err)
	}
	missing, err := missingFields(document)
	if err != nil {
		return err
	}
	if len(missing) > 0 {
		return fmt.Errorf("%w (they lack %s)", errCRDsOutdated, backupsync.Quote(strings.Join(missing, ", ")))
	}
	return nil
}

// fieldSchema is what an OpenAPI document says of a field, as far as it matters here.
type fieldSchema struct {
	Properties map[string]*fieldSchema `json:"properties"`
	Items      *fieldSchema            `json:"items"`
	Kinds      []struct {
		Kind string `json:"kind"`
	} `json:"x-kubernetes-group-version-kind"`
	Selectable []selectableField `json:"x-kubernetes-selectable-fields"`
}

type selectableField struct {
	FieldPath string `json:"fieldPath"`
}

// maxMissing bounds what a message names.
const maxMissing = 3

// missingFields returns which fields of the kinds a document lacks, some of them if they are many.
func missingFields(document []byte) ([]string, error) {
	var content struct {
		Components struct {
			Schemas map[string]*fieldSchema `json:"schemas"`
		} `json:"components"`
	}
	if err := json.Unmarshal(document, &content); err != nil {
		return nil, fmt.Errorf("decode the schema of %s: %w", v1alpha1.GroupVersion, err)
	}
	byKind := map[string]*fieldSchema{}
	for _, schema := range content.Components.Schemas {
		for _, kind := range schema.Kinds {
			byKind[kind.Kind] = schema
		}
	}
	var missing []string
	for _, kind := range []string{"BackupSync", "CBRProject"} {
		schema := byKind[kind]
		if schema == nil {
			missing = append(missing, kind)
			continue
		}
		missing = append(missing, lacking(schema, kindTypes[kind], kind)...)
		missing = append(missing, unselectable(schema, kind)...)
	}
	return missing[:min(len(missing), maxMissing)], nil
}

// lacking returns the paths of the fields of a Go type that a schema lacks, those of spec and status.
func lacking(schema *fieldSchema, of reflect.Type, path string) []string {
	for of.Kind() == reflect.Pointer || of.Kind() == reflect.Slice {
		if of.Kind() == reflect.Slice && schema.Items != nil {
			schema = schema.Items
		}
		of = of.Elem()
	}
	if of.Kind() != reflect.Struct || of.PkgPath() != kindTypes["BackupSync"].PkgPath() && of != reflect.TypeFor[metav1.Condition]() {
		return nil
	}
	var missing []string
	for i := range of.NumField() {
		field := of.Field(i)
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		if name == "" || field.Anonymous {
			continue
		}
		if inner := schema.Properties[name]; inner != nil {
			missing = append(missing, lacking(inner, field.Type, path+"."+name)...)
		} else {
			missing = append(missing, path+"."+name)
		}
	}
	return missing
}

func unselectable(schema *fieldSchema, kind string) []string {
	var missing []string
	for _, wanted := range selectableFields[kind] {
		if !slices.ContainsFunc(schema.Selectable, func(field selectableField) bool {
			return strings.TrimPrefix(field.FieldPath, ".") == wanted
		}) {
			missing = append(missing, "the selectable field "+wanted+" of "+kind)
		}
	}
	return missing
}

// checkSchema finds out whether the CRDs are older than the operator.
func (l *loader) checkSchema(ctx context.Context) error {
	err := l.options.Schema.Check(ctx, l.now)
	if errors.Is(err, errCRDsOutdated) {
		l.foundOutdated(err)
		return nil
	}
	return err
}

// foundOutdated notes that the CRDs are older than the operator.
func (s *step) foundOutdated(err error) {
	s.outdated = err.Error()
	s.requeueAt(s.now.Add(schemaRecheck))
}
