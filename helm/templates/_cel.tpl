{{- /*
A value as a CEL literal. CEL in Kubernetes requires all members of a list or map to be of one type, so each one is made
`dyn`, which is any. Numbers of values are floats in Helm: a whole one becomes an integer, any other keeps all its digits.
*/ -}}
{{- define "credential-sidecar.cel" -}}
{{- if kindIs "map" . -}}
{ {{- $comma := "" }}{{ range $key, $value := . }}{{ $comma }}{{ toJson $key }}: dyn({{ include "credential-sidecar.cel" $value }}){{ $comma = ", " }}{{ end -}} }
{{- else if kindIs "slice" . -}}
[ {{- $comma := "" }}{{ range . }}{{ $comma }}dyn({{ include "credential-sidecar.cel" . }}){{ $comma = ", " }}{{ end -}} ]
{{- else if kindIs "float64" . -}}
{{- if and (eq (floor .) .) (le . 9007199254740991.0) (ge . -9007199254740991.0) -}}{{ int64 . }}{{- else -}}{{ printf "%g" . }}{{- end -}}
{{- else -}}
{{- toJson . -}}
{{- end -}}
{{- end -}}
