{{/* The name of the chart. */}}
{{- define "backupsync.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 40 | trimSuffix "-" }}
{{- end }}

{{/* What the names of objects begin with: the release, and the chart's name where the release does not hold it. At most 40
characters, as pods and what selects them have 63 with the Deployment's 19 more. */}}
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
app.kubernetes.io/name: {{ include "backupsync.name" . | quote }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
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

{{/* The Service of the metrics. Its name is a label of DNS: 63 characters. */}}
{{- define "backupsync.metricsService" -}}
{{- $name := include "backupsync.fullname" . }}
{{- if le (len $name) 28 }}
{{- $name }}-controller-manager-metrics-service
{{- else }}
{{- $name }}-metrics-service
{{- end }}
{{- end }}

{{/* The Secret with the certificate of the metrics; empty if the manager signs its own, or serves none. */}}
{{- define "backupsync.metricsSecret" -}}
{{- if not .Values.metrics.enabled }}
{{- else if .Values.metrics.certificate.certManager.enabled }}
{{- default (printf "%s-metrics-certificate" (include "backupsync.fullname" .)) .Values.metrics.certificate.secretName }}
{{- else }}
{{- .Values.metrics.certificate.secretName }}
{{- end }}
{{- end }}

{{/* The subject of the operator's bindings. */}}
{{- define "backupsync.subject" -}}
- kind: ServiceAccount
  name: {{ include "backupsync.serviceAccountName" . | quote }}
  namespace: {{ .Release.Namespace | quote }}
{{- end }}

{{/* Refuses what the schema cannot tell is wrong. A duration of Go is a sum of numbers with units. */}}
{{- define "backupsync.check" -}}
{{- $timeout := "60s" }}
{{- range .Values.extraArgs }}
{{- if hasPrefix "--call-timeout=" . }}
{{- $timeout = trimPrefix "--call-timeout=" . }}
{{- end }}
{{- end }}
{{- $needed := 45.0 }}
{{- range regexFindAll "[0-9.]+(h|ms|m|s)" $timeout -1 }}
{{- $seconds := get (dict "h" 3600.0 "m" 60.0 "s" 1.0 "ms" 0.001) (regexFind "[a-z]+$" .) }}
{{- $needed = addf $needed (mulf (float64 (regexFind "^[0-9.]+" .)) $seconds) }}
{{- end }}
{{- if lt (float64 .Values.terminationGracePeriodSeconds) $needed }}
{{- fail (printf "terminationGracePeriodSeconds must be %v or more: a call may take %s (--call-timeout), and what is written after it 45 s" (ceil $needed) $timeout) }}
{{- end }}
{{- if not (or .Values.crds.install .Values.crds.keep) }}
{{- fail "crds.install: to take it back while crds.keep is false deletes the CRDs, and all that is declared. First upgrade with crds.install and crds.keep set to true" }}
{{- end }}
{{- if .Values.goMemoryLimit }}
{{- range .Values.extraEnv }}
{{- if eq .name "GOMEMLIMIT" }}
{{- fail "extraEnv: GOMEMLIMIT is the value goMemoryLimit" }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
