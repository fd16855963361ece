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

{{- /* The label of every pod with this release's sidecar. `mode: inject` adds the sidecar to pods that have the label. */ -}}
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

{{- define "credential-sidecar.tokenApiListen" -}}
{{- dig "token_api" "listen" "" .Values.config -}}
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

{{- /*
Why a pod cannot have the sidecar: CEL that is true then, and words for it. `sidecar inject` refuses the same pods
(sidecar/kubernetes/inject.py). `ours` is CEL that is true once the sidecar is there.
*/ -}}
{{- define "credential-sidecar.hindrances" -}}
{{- $container := include "credential-sidecar.container" . | fromYaml -}}
{{- $volumes := include "credential-sidecar.volumes" . | fromYamlArray -}}
{{- $names := list -}}
{{- range $volumes }}{{ if regexMatch "^sidecar-(config|aws-token|secret-[0-9]+)$" .name }}{{ $names = append $names .name }}{{ end }}{{ end -}}
{{- $ports := list (include "credential-sidecar.adminPort" . | int) -}}
{{- $listen := include "credential-sidecar.listen" . -}}
{{- $tcp := not (hasPrefix "unix:" $listen) -}}
{{- if $tcp }}{{ $ports = append $ports (regexFind "[0-9]+$" $listen | int) }}{{ end -}}
{{- $api := include "credential-sidecar.tokenApiListen" . -}}
{{- if and $api (not (hasPrefix "unix:" $api)) }}{{ $tcp = true }}{{ $ports = append $ports (regexFind "[0-9]+$" $api | int) }}{{ end -}}
{{- $mount := first $container.volumeMounts -}}
{{- $each := list "object.spec.containers" "has(object.spec.initContainers) && object.spec.initContainers" -}}
{{- $taken := list -}}{{- $ported := list -}}{{- $ours := list -}}
{{- range $each -}}
{{- $taken = append $taken (printf "(%s.exists(c, c.name == %s))" . (toJson $container.name)) -}}
{{- $ported = append $ported (printf "(%s.exists(c, has(c.ports) && c.ports.exists(p, p.containerPort in %s)))" . (toJson $ports)) -}}
{{- $ours = append $ours (printf "(%s.exists(c, c.name == %s && has(c.volumeMounts) && c.volumeMounts.exists(m, m.name == %s && m.mountPath == %s)))" . (toJson $container.name) (toJson $mount.name) (toJson $mount.mountPath)) -}}
{{- end -}}
ours: {{ join " || " $ours | quote }}
hindrances:
  - name: no-container-of-the-name
    when: {{ join " || " $taken | quote }}
    words: {{ printf "a container `%s` exists, and is not the sidecar's: rename it" $container.name | quote }}
  - name: no-volume-of-the-name
    when: {{ printf "has(object.spec.volumes) && object.spec.volumes.exists(v, v.name in %s)" (toJson $names) | quote }}
    words: {{ printf "a volume with one of the names %s exists, and is not the sidecar's: rename it" (join ", " $names) | quote }}
  - name: no-port-taken
    when: {{ join " || " $ported | quote }}
    words: {{ printf "a container has a port of the sidecar (%s): choose another" (join ", " $ports) | quote }}
  {{- if $tcp }}
  - name: not-on-the-nodes-network
    when: "has(object.spec.hostNetwork) && object.spec.hostNetwork"
    words: "hostNetwork: every process of the node could use the tokens; remove hostNetwork"
  {{- end }}
  - name: not-among-the-nodes-processes
    when: "has(object.spec.hostPID) && object.spec.hostPID"
    words: "hostPID: privileged containers of other pods could read the sidecar's memory; remove hostPID"
  - name: not-on-windows
    when: >-
      (has(object.spec.os) && object.spec.os.name == "windows") || (has(object.spec.nodeSelector) &&
      "kubernetes.io/os" in object.spec.nodeSelector && object.spec.nodeSelector["kubernetes.io/os"] == "windows")
    words: "the sidecar's image is for Linux, and the pod is for Windows: remove the label"
  {{- if not .Values.native }}
  - name: always-restarts
    when: 'has(object.spec.restartPolicy) && object.spec.restartPolicy != "Always"'
    words: "restartPolicy: with a classic container the pod would never complete; set native: true in the values"
  {{- end }}
{{- end -}}
