{{- /* Checks that a schema cannot express. Each error names the value. `sidecar validate` checks the rest. */ -}}
{{- define "credential-sidecar.check" -}}
{{- $config := .Values.config -}}
{{- if and .Values.existingConfigMap (omit $config "listen" "admin") -}}
{{- fail "existingConfigMap: the file is in that ConfigMap; config may hold only listen and admin.listen, with the values of the file" -}}
{{- else if not (or .Values.existingConfigMap $config.routes) -}}
{{- fail "config.routes: give the sidecar at least one route, or existingConfigMap" -}}
{{- end -}}
{{- range $index, $route := $config.routes -}}
{{- if and $route.token (not (hasKey ($config.tokens | default dict) $route.token)) -}}
{{- fail (printf "config.routes[%d].token: there is no config.tokens.%s" $index $route.token) -}}
{{- end -}}
{{- end -}}
{{- range $name, $token := $config.tokens -}}
{{- if not (hasKey ($config.credentials | default dict) $token.credentials) -}}
{{- fail (printf "config.tokens.%s.credentials: there is no config.credentials.%s" $name $token.credentials) -}}
{{- end -}}
{{- end -}}
{{- include "credential-sidecar.checkQuantities" . -}}
{{- $paths := list "/etc/sidecar" -}}
{{- range $index, $file := .Values.secrets.files -}}
{{- $path := $file.mountPath | default (printf "/var/run/secrets/%s" $file.secret) | clean -}}
{{- if has $path $paths }}{{ fail (printf "secrets.files[%d]: another volume is mounted at %s; give each its own mountPath" $index $path) }}{{ end -}}
{{- $paths = append $paths $path -}}
{{- end -}}
{{- $volumes := list -}}
{{- range $index, $volume := .Values.volumes -}}
{{- if regexMatch "^sidecar-(config|aws-token|secret-[0-9]+)$" $volume.name }}{{ fail (printf "volumes[%d].name: the sidecar has a volume %s; rename it" $index $volume.name) }}{{ end -}}
{{- if has $volume.name $volumes }}{{ fail (printf "volumes[%d].name: there are two volumes %s; rename one" $index $volume.name) }}{{ end -}}
{{- $volumes = append $volumes $volume.name -}}
{{- end -}}
{{- if eq .Values.mode "app" }}{{ range .Values.app.podSpec.volumes }}{{ $volumes = append $volumes .name }}{{ end }}{{ end -}}
{{- range $index, $mount := .Values.volumeMounts -}}
{{- /* With `mode: none` the pods are of others, and may have further volumes. */ -}}
{{- if not (or (has $mount.name $volumes) (eq $.Values.mode "none")) -}}
{{- fail (printf "volumeMounts[%d].name: there is no volume %s; add it to volumes" $index $mount.name) -}}
{{- end -}}
{{- if has (clean $mount.mountPath) $paths }}{{ fail (printf "volumeMounts[%d].mountPath: another volume is mounted at %s; choose another" $index $mount.mountPath) }}{{ end -}}
{{- $paths = append $paths (clean $mount.mountPath) -}}
{{- end -}}
{{- $admin := include "credential-sidecar.adminListen" . -}}
{{- $port := include "credential-sidecar.adminPort" . | int -}}
{{- if or (lt $port 1) (gt $port 65535) (regexMatch "^(127\\.|localhost:|\\[::1\\]|unix:)" $admin) -}}
{{- fail (printf "config.admin.listen: the kubelet cannot reach %s; write 0.0.0.0:9181, or [::]:9181 where pods have IPv6 only" $admin) -}}
{{- end -}}
{{- if and .Values.aws.roleArn .Values.aws.podIdentity -}}
{{- fail "aws: give either roleArn or podIdentity" -}}
{{- end -}}
{{- if and .Values.valkey.enabled (hasKey $config "redis") -}}
{{- fail "valkey.enabled: config.redis names another server; remove one of the two" -}}
{{- end -}}
{{- if and (eq .Values.mode "inject") (semverCompare "<1.36.0-0" .Capabilities.KubeVersion.Version) -}}
{{- fail (printf "mode: inject requires Kubernetes 1.36 or later, this is %s; use mode: none and `sidecar inject`. `helm template` does not know your cluster: add --kube-version with its version" .Capabilities.KubeVersion.Version) -}}
{{- end -}}
{{- end -}}

{{- define "credential-sidecar.checkApp" -}}
{{- include "credential-sidecar.check" . -}}
{{- if not .Values.app.container.image -}}
{{- fail "app.container.image: mode: app requires the image of your application" -}}
{{- end -}}
{{- if eq (.Values.app.container.name | default "app") "sidecar" -}}
{{- fail "app.container.name: the sidecar has the name sidecar; choose another" -}}
{{- end -}}
{{- if .Values.app.podSpec.hostNetwork -}}
{{- fail "app.podSpec.hostNetwork: every process of the node could use the tokens; remove it" -}}
{{- end -}}
{{- if .Values.app.podSpec.hostPID -}}
{{- fail "app.podSpec.hostPID: privileged containers of other pods could read the sidecar's memory; remove it" -}}
{{- end -}}
{{- $data := regexFind "[0-9]+$" (include "credential-sidecar.listen" .) -}}
{{- $api := regexFind "[0-9]+$" (include "credential-sidecar.tokenApiListen" .) -}}
{{- $taken := compact (list $data $api (include "credential-sidecar.adminPort" .)) -}}
{{- range $index, $port := .Values.app.container.ports -}}
{{- if has (toString $port.containerPort) $taken -}}
{{- fail (printf "app.container.ports[%d].containerPort: the sidecar listens on %v; choose another port" $index $port.containerPort) -}}
{{- end -}}
{{- end -}}
{{- if and .Values.app.servicePort (has (toString .Values.app.servicePort) $taken) -}}
{{- fail (printf "app.servicePort: the sidecar listens on %v; choose another port" .Values.app.servicePort) -}}
{{- end -}}
{{- end -}}
