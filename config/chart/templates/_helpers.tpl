{{/* The name of the chart. */}}
{{- define "backupsync.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 40 | trimSuffix "-" }}
{{- end }}

{{/* What the names of objects begin with: the release, and the chart's name where the release does not hold it. At most 40
characters: the longest name adds 35. */}}
{{- define "backupsync.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" }}
{{- else if contains (include "backupsync.name" .) .Release.Name }}
{{- .Release.Name | trunc 40 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name (include "backupsync.name" .) | trunc 40 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{/* The same for objects of the cluster: with the namespace, so that two releases of one name fit in one cluster. */}}
{{- define "backupsync.clusterName" -}}
{{- $name := include "backupsync.fullname" . }}
{{- if eq .Release.Namespace (printf "%s-system" $name) }}
{{- $name }}
{{- else }}
{{- printf "%s-%s" .Release.Namespace $name }}
{{- end }}
{{- end }}

{{- define "backupsync.serviceAccountName" -}}
{{- if .Values.serviceAccount.create }}
{{- default (printf "%s-controller-manager" (include "backupsync.fullname" .)) .Values.serviceAccount.name }}
{{- else }}
{{- required "serviceAccount.name is needed where serviceAccount.create is false" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{- define "backupsync.selectorLabels" -}}
app.kubernetes.io/name: {{ include "backupsync.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "backupsync.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{ include "backupsync.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "backupsync.image" -}}
{{- if .Values.image.digest }}
{{- printf "%s@%s" .Values.image.repository .Values.image.digest }}
{{- else }}
{{- printf "%s:%s" .Values.image.repository (default .Chart.AppVersion .Values.image.tag) }}
{{- end }}
{{- end }}

{{- define "backupsync.metricsService" -}}
{{- include "backupsync.fullname" . }}-controller-manager-metrics-service
{{- end }}

{{/* The Secret with the certificate of the metrics; empty if the manager signs its own. */}}
{{- define "backupsync.metricsSecret" -}}
{{- if .Values.metrics.certificate.certManager.enabled }}
{{- default (printf "%s-metrics-certificate" (include "backupsync.fullname" .)) .Values.metrics.certificate.secretName }}
{{- else }}
{{- .Values.metrics.certificate.secretName }}
{{- end }}
{{- end }}

{{/* The subject of the operator's bindings. */}}
{{- define "backupsync.subject" -}}
- kind: ServiceAccount
  name: {{ include "backupsync.serviceAccountName" . }}
  namespace: {{ .Release.Namespace }}
{{- end }}
