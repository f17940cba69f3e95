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

package rules

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	structuralschema "k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/defaulting"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	celconfig "k8s.io/apiserver/pkg/apis/cel"
	"sigs.k8s.io/yaml"
)

// Rules are those of one kind. Several goroutines may use them.
type Rules struct {
	structural *structuralschema.Structural
	schema     validation.SchemaValidator
	cel        *cel.Validator
}

// New reads the rules from a CustomResourceDefinition in YAML: those of its first version.
func New(crd []byte) (*Rules, error) {
	var definition apiextensionsv1.CustomResourceDefinition
	if err := yaml.UnmarshalStrict(crd, &definition); err != nil {
		return nil, fmt.Errorf("read the CustomResourceDefinition: %w", err)
	}
	if len(definition.Spec.Versions) == 0 || definition.Spec.Versions[0].Schema == nil {
		return nil, errors.New("read the CustomResourceDefinition: it has no schema")
	}
	var schema apiextensions.JSONSchemaProps
	if err := apiextensionsv1.Convert_v1_JSONSchemaProps_To_apiextensions_JSONSchemaProps(
		definition.Spec.Versions[0].Schema.OpenAPIV3Schema, &schema, nil); err != nil {
		return nil, fmt.Errorf("read the schema: %w", err)
	}
	delete(schema.Properties, "status") // it is the operator's alone, and costs most of the time
	return compile(&schema)
}

func compile(schema *apiextensions.JSONSchemaProps) (*Rules, error) {
	structural, err := structuralschema.NewStructural(schema)
	if err != nil {
		return nil, fmt.Errorf("read the schema: %w", err)
	}
	validator, _, err := validation.NewSchemaValidator(schema)
	if err != nil {
		return nil, fmt.Errorf("compile the schema: %w", err)
	}
	return &Rules{structural: structural, schema: validator, cel: cel.NewValidator(structural, true, celconfig.PerCallLimit)}, nil
}

// Check returns what the API server would say against the creation of an object, whose values are those of JSON. It
// fills in the defaults. The rules in CEL are asked only of values that have the right type and length: so does the API server.
func (r *Rules) Check(ctx context.Context, object map[string]any) field.ErrorList {
	defaulting.Default(object, r.structural)
	defaulting.PruneNonNullableNullsWithoutDefaults(object, r.structural)
	found := validation.ValidateCustomResource(nil, object, r.schema)
	if slices.ContainsFunc(found, blocking) {
		return found
	}
	more, _ := r.cel.Validate(ctx, nil, r.structural, object, nil, celconfig.RuntimeCELCostBudget)
	return append(found, more...)
}

// blocking reports whether the API server asks no rule in CEL after an error.
func blocking(err *field.Error) bool {
	switch err.Type {
	case field.ErrorTypeNotSupported, field.ErrorTypeRequired, field.ErrorTypeTooLong, field.ErrorTypeTooMany, field.ErrorTypeTypeInvalid:
		return true
	default:
		return false
	}
}
