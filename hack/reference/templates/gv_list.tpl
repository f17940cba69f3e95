{{- define "gvList" -}}
<!-- Generated from api/v1alpha1 by `make generate`: do not edit. -->
# API reference

Every type of the API, from the comments in [api/v1alpha1](../api/v1alpha1). [backupsync.md](backupsync.md) and
[cbrproject.md](cbrproject.md) explain the two kinds, with examples. Rules that span several characters or fields are in the
[CRDs](../config/crd/bases), and their messages say what is wrong.
{{- range . }}
{{ template "gvDetails" . }}
{{- end }}
{{- end -}}
