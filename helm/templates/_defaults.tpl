{{- /*
Give each value its default where a values file has its key and nothing after it, such as `volumes:` with all entries commented
out: Helm then deletes the default too. Every template that reads values includes this first. `make chart` writes
files/defaults.yaml from values.yaml, which templates cannot read.
*/ -}}
{{- define "credential-sidecar.defaults" -}}
{{- range .Files.Get "files/defaults.yaml" | fromYamlArray -}}
{{- $place := $.Values -}}
{{- range initial .path -}}
{{- if kindIs "invalid" (index $place .) }}{{ $_ := set $place . dict }}{{ end -}}
{{- $place = index $place . -}}
{{- end -}}
{{- if kindIs "invalid" (index $place (last .path)) }}{{ $_ := set $place (last .path) .default }}{{ end -}}
{{- end -}}
{{- end -}}
