{{- define "credential-sidecar.name" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride -}}
{{- else if contains .Chart.Name .Release.Name -}}
{{- .Release.Name | trunc 53 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name .Chart.Name | trunc 53 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "credential-sidecar.configMap" -}}
{{- .Values.existingConfigMap | default (include "credential-sidecar.name" .) -}}
{{- end -}}

{{- define "credential-sidecar.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{- .Values.serviceAccount.name | default (include "credential-sidecar.name" .) -}}
{{- else -}}
{{- .Values.serviceAccount.name | default "default" -}}
{{- end -}}
{{- end -}}

{{- define "credential-sidecar.labels" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}

{{- /* What every pod with this release's sidecar carries; a pod that already has it asks `mode: inject` for one. */ -}}
{{- define "credential-sidecar.podLabels" -}}
{{- include "credential-sidecar.defaults" . -}}
credential-sidecar/inject: {{ include "credential-sidecar.name" . }}
{{- end -}}

{{- define "credential-sidecar.metadata" -}}
name: {{ include "credential-sidecar.name" . }}
namespace: {{ .Release.Namespace }}
labels:
  {{- include "credential-sidecar.labels" . | nindent 2 }}
{{- end -}}

{{- define "credential-sidecar.listen" -}}
{{- .Values.config.listen | default "127.0.0.1:9180" -}}
{{- end -}}

{{- define "credential-sidecar.adminListen" -}}
{{- dig "admin" "listen" "0.0.0.0:9181" .Values.config -}}
{{- end -}}

{{- define "credential-sidecar.adminPort" -}}
{{- regexFind "[0-9]+$" (include "credential-sidecar.adminListen" .) -}}
{{- end -}}

{{- /* The pods of which `mode: inject` is: where the configuration and the Secrets are, and by their label. */ -}}
{{- define "credential-sidecar.labelledPods" -}}
matchResources:
  namespaceSelector:
    matchLabels:
      kubernetes.io/metadata.name: {{ .Release.Namespace }}
  objectSelector:
    matchLabels:
      {{- include "credential-sidecar.podLabels" . | nindent 6 }}
{{- end -}}
