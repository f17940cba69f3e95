{{- define "type" -}}
{{- $type := . -}}
{{- if markdownShouldRenderType $type }}

### {{ $type.Name }}
{{ if $type.Doc }}
{{ $type.Doc }}
{{ end -}}
{{- if $type.IsAlias }}
Underlying type: {{ markdownRenderTypeLink $type.UnderlyingType }}.
{{ end -}}
{{- if $type.References }}
Appears in: {{ range $i, $reference := $type.SortedReferences }}{{ if $i }}, {{ end }}{{ markdownRenderTypeLink $reference }}{{ end }}.
{{ end -}}
{{- if $type.Members }}
| Field | Type | Description | Default | Validation |
|---|---|---|---|---|
{{- if $type.GVK }}
| `apiVersion` | string | `{{ $type.GVK.Group }}/{{ $type.GVK.Version }}` | | |
| `kind` | string | `{{ $type.GVK.Kind }}` | | |
{{- end }}
{{- range $type.Members }}
| `{{ .Name }}` | {{ regexReplaceAll "\\[(\\w+)\\]\\(https:[^)]*\\)" (markdownRenderType .Type) "$1" }} | {{ template "type_members" . }} |
{{- if contains "map[" .Default }} in the CRD{{ else if .Default }} `{{ .Default }}`{{ end }} |
{{- range $i, $rule := .Validation }}{{ if $i }},{{ end }} {{ regexReplaceAll "^(Required|Optional): \\{\\}$" $rule "$1" | markdownRenderFieldDoc }}{{ end }} |
{{- end }}
{{- end }}
{{- if $type.EnumValues }}
| Value | Description |
|---|---|
{{- range $type.EnumValues }}
| `{{ .Name }}` | {{ .Doc | trim | replace "\n" " " | markdownRenderFieldDoc }} |
{{- end }}
{{- end }}
{{- end -}}
{{- end -}}
