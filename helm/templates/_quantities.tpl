{{- /* A quantity of Kubernetes, such as 500m, 64Mi or 1e3, as a number. */ -}}
{{- define "credential-sidecar.quantity" -}}
{{- $text := toString . -}}
{{- $suffix := regexFind "[A-Za-z]+$" $text -}}
{{- $decimal := dict "n" 1e-9 "u" 1e-6 "m" 1e-3 "k" 1e3 "M" 1e6 "G" 1e9 "T" 1e12 "P" 1e15 "E" 1e18 -}}
{{- $binary := dict "Ki" 1024.0 "Mi" 1048576.0 "Gi" 1073741824.0 "Ti" 1099511627776.0 "Pi" 1125899906842624.0 "Ei" 1152921504606846976.0 -}}
{{- mulf (float64 (trimSuffix $suffix $text)) (get (merge $decimal $binary) $suffix | default 1.0) -}}
{{- end -}}

{{- /* Refuse requests and limits with which Kubernetes would refuse every pod, as `sidecar inject` does (sidecar/kubernetes/quantities.py). */ -}}
{{- define "credential-sidecar.checkQuantities" -}}
{{- $requests := .Values.resources.requests | default dict -}}
{{- $limits := .Values.resources.limits | default dict -}}
{{- range $name, $request := $requests -}}
{{- $shared := has $name (list "cpu" "memory" "ephemeral-storage") -}}
{{- if hasKey $limits $name -}}
{{- $limit := get $limits $name -}}
{{- $requested := float64 (include "credential-sidecar.quantity" $request) -}}
{{- $limited := float64 (include "credential-sidecar.quantity" $limit) -}}
{{- if and $shared (gt $requested $limited) -}}
{{- fail (printf "resources.requests.%s: the request %v exceeds the limit %v; raise the limit" $name $request $limit) -}}
{{- else if and (not $shared) (ne $requested $limited) -}}
{{- fail (printf "resources.requests.%s: the request %v differs from the limit %v; set the same" $name $request $limit) -}}
{{- end -}}
{{- else if not $shared -}}
{{- fail (printf "resources.requests.%s: the request %v requires the same limit; set it" $name $request) -}}
{{- end -}}
{{- end -}}
{{- range $name, $limit := $limits -}}
{{- $limited := float64 (include "credential-sidecar.quantity" $limit) -}}
{{- if and (not (has $name (list "cpu" "memory" "ephemeral-storage"))) (ne $limited (floor $limited)) -}}
{{- fail (printf "resources.limits.%s: %v is not a whole number; write a whole number" $name $limit) -}}
{{- end -}}
{{- end -}}
{{- end -}}
