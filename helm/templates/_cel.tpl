{{- /*
A value as a CEL literal. CEL in Kubernetes wants all members of a list or map to be of one type, so each one is made
`dyn`, which is any.
*/ -}}
{{- define "credential-sidecar.cel" -}}
{{- if kindIs "map" . -}}
{ {{- $comma := "" }}{{ range $key, $value := . }}{{ $comma }}{{ toJson $key }}: dyn({{ include "credential-sidecar.cel" $value }}){{ $comma = ", " }}{{ end -}} }
{{- else if kindIs "slice" . -}}
[ {{- $comma := "" }}{{ range . }}{{ $comma }}dyn({{ include "credential-sidecar.cel" . }}){{ $comma = ", " }}{{ end -}} ]
{{- else if kindIs "float64" . -}}
{{- int64 . -}}
{{- else -}}
{{- toJson . -}}
{{- end -}}
{{- end -}}
