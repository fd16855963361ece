{{- /* What `sidecar inject` needs to know to make the same container, as far as it can. */ -}}
{{- define "credential-sidecar.injectFlags" -}}
{{- $flags := list "--config-map" (include "credential-sidecar.configMap" .) "--image" (include "credential-sidecar.image" .) -}}
{{- if not .Values.native }}{{ $flags = append $flags "--classic" }}{{ end -}}
{{- if ne (include "credential-sidecar.adminListen" .) "0.0.0.0:9181" -}}
{{- $flags = concat $flags (list "--admin-listen" (include "credential-sidecar.adminListen" .)) -}}
{{- end -}}
{{- range .Values.secrets.files -}}
{{- $flags = concat $flags (list "--secret-file" (ternary (printf "%s=%v" .secret .mountPath) .secret (hasKey . "mountPath"))) -}}
{{- end -}}
{{- range .Values.secrets.env -}}
{{- $flags = concat $flags (list "--secret-env" (printf "%s=%s:%s" .name .secret .key)) -}}
{{- end -}}
{{- with .Values.image.pullPolicy }}{{ $flags = concat $flags (list "--pull-policy" .) }}{{ end -}}
{{- range $kind := list "requests" "limits" -}}
{{- with get $.Values.resources $kind -}}
{{- $quantities := list -}}
{{- range $name, $quantity := . }}{{ $quantities = append $quantities (printf "%s=%v" $name $quantity) }}{{ end -}}
{{- $flags = concat $flags (list (printf "--%s" $kind) (join "," $quantities)) -}}
{{- end -}}
{{- end -}}
{{- $context := dict -}}
{{- range $name, $value := .Values.securityContext }}{{ if ne (toString $value) "65532" }}{{ $_ := set $context $name $value }}{{ end }}{{ end -}}
{{- range list "runAsUser" "runAsGroup" }}{{ if not (hasKey $.Values.securityContext .) }}{{ $_ := set $context . nil }}{{ end }}{{ end -}}
{{- with $context }}{{ $flags = concat $flags (list "--security-context" (toJson . | squote)) }}{{ end -}}
{{- join " " $flags -}}
{{- end -}}

{{- /* The values in use of which `sidecar inject` knows nothing. */ -}}
{{- define "credential-sidecar.beyondInject" -}}
{{- $beyond := list -}}
{{- range list "env" "volumes" "volumeMounts" "readinessProbe" -}}
{{- if get $.Values . }}{{ $beyond = append $beyond . }}{{ end -}}
{{- end -}}
{{- if or .Values.aws.region (include "credential-sidecar.awsToken" .) }}{{ $beyond = append $beyond "aws" }}{{ end -}}
{{- if .Values.valkey.enabled }}{{ $beyond = append $beyond "valkey" }}{{ end -}}
{{- if .Values.resources.claims }}{{ $beyond = append $beyond "resources.claims" }}{{ end -}}
{{- if and (not .Values.native) .Values.config.drain_min_delay }}{{ $beyond = append $beyond "config.drain_min_delay" }}{{ end -}}
{{- range $index, $file := .Values.secrets.files -}}
{{- if $file.items }}{{ $beyond = append $beyond (printf "secrets.files[%d].items" $index) }}{{ end -}}
{{- end -}}
{{- join ", " $beyond -}}
{{- end -}}

{{- /* A shell's loop that ends once `mode: inject` is in effect on each API server. It creates no pod. */ -}}
{{- define "credential-sidecar.wait" -}}
n=0
until [ $n -ge 5 ]; do
  kubectl -n {{ .Release.Namespace }} run probe --image=probe --dry-run=server -l {{ include "credential-sidecar.podLabels" . | replace ": " "=" }} \
    --overrides='{"apiVersion":"v1","spec":{"securityContext":{"runAsNonRoot":true,"seccompProfile":{"type":"RuntimeDefault"}},"containers":[{"name":"probe","image":"probe","securityContext":{"allowPrivilegeEscalation":false,"capabilities":{"drop":["ALL"]}}}]}}' \
    -o jsonpath='{.spec.{{ ternary "initContainers" "containers" .Values.native }}[*].name}' | grep -qw sidecar && n=$((n+1)) || n=0
  sleep 0.2
done
{{- end -}}
