{{- define "credential-sidecar.appLabels" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: app
{{- end -}}

{{- define "credential-sidecar.appPodLabels" -}}
{{ include "credential-sidecar.appLabels" . }}
{{ include "credential-sidecar.podLabels" . }}
{{- end -}}

{{- /*
The running sidecar reads a changed file. Only keys that require a restart of the sidecar change the annotation, so that
Kubernetes replaces the pods.
*/ -}}
{{- define "credential-sidecar.podAnnotations" -}}
kubectl.kubernetes.io/default-container: {{ .Values.app.container.name | default "app" }}
{{- $cache := pick (.Values.config.cache | default dict) "mode" "store_ttl" "max_entries" }}
{{- $log := pick (.Values.config.log | default dict) "format" }}
{{- $api := pick (.Values.config.token_api | default dict) "listen" }}
{{- $others := pick .Values.config "listen" "redis" "busts" }}
credential-sidecar/restart: {{ list $cache $log $api $others | toJson | sha256sum }}
{{- if include "credential-sidecar.awsToken" . }}
# Where the service account has a role all the same, AWS gives it to no container but the sidecar.
eks.amazonaws.com/skip-containers: {{ .Values.app.container.name | default "app" }}
{{- end }}
{{- end -}}
