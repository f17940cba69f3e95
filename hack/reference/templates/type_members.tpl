{{- define "type_members" -}}
{{- .Doc | trim | replace "\n" " " | markdownRenderFieldDoc -}}
{{- end -}}
