{{- /*
The sidecar's container: files/container.yaml, its blanks filled in from the values. Another chart that has this one as a
dependency includes it as

  initContainers:
    - {{- include "credential-sidecar.container" (index .Subcharts "credential-sidecar") | nindent 6 }}
  volumes:
    {{- include "credential-sidecar.volumes" (index .Subcharts "credential-sidecar") | nindent 4 }}
*/ -}}
{{- define "credential-sidecar.container" -}}
{{- include "credential-sidecar.defaults" . -}}
{{- include "credential-sidecar.check" . -}}
{{- $definition := .Files.Get "files/container.yaml" | fromYaml -}}
{{- $container := $definition.container -}}
{{- $_ := set $container "image" (include "credential-sidecar.image" .) -}}
{{- with .Values.image.pullPolicy }}{{ $_ := set $container "imagePullPolicy" . }}{{ end -}}
{{- $listen := dict "name" "SIDECAR_ADMIN_LISTEN" "value" (include "credential-sidecar.adminListen" .) -}}
{{- $env := concat $container.env (list $listen) -}}
{{- if .Values.native -}}
{{- $container = merge $container $definition.native -}}
{{- else -}}
{{- $env = concat $env $definition.classic.env -}}
{{- with .Values.config.drain_min_delay }}{{ $env = append $env (dict "name" "SIDECAR_DRAIN_MIN_DELAY" "value" .) }}{{ end -}}
{{- end -}}
{{- $env = concat $env (include "credential-sidecar.env" . | fromYamlArray) -}}
{{- $_ := set $container "env" (include "credential-sidecar.lastOfEachName" $env | fromYamlArray) -}}
{{- $_ := set (first $container.ports) "containerPort" (include "credential-sidecar.adminPort" . | int) -}}
{{- with .Values.resources }}{{ $_ := set $container "resources" . }}{{ end -}}
{{- $context := omit $container.securityContext "runAsUser" "runAsGroup" -}}
{{- range $name, $_ := .Values.securityContext }}{{ $context = omit $context $name }}{{ end -}}
{{- $_ := set $container "securityContext" (merge (deepCopy .Values.securityContext) $context) -}}
{{- $mounts := include "credential-sidecar.mounts" . | fromYamlArray -}}
{{- $paths := list -}}
{{- range $mounts }}{{ $paths = append $paths (clean .mountPath) }}{{ end -}}
{{- $own := list (first $container.volumeMounts) -}}
{{- range rest $container.volumeMounts }}{{ if not (has .mountPath $paths) }}{{ $own = append $own . }}{{ end }}{{ end -}}
{{- $_ := set $container "volumeMounts" (concat $own $mounts) -}}
{{- if .Values.readinessProbe }}{{ $container = merge $container $definition.ready }}{{ end -}}
{{- toYaml $container -}}
{{- end -}}

{{- /* The volumes of a pod that has the container. */ -}}
{{- define "credential-sidecar.volumes" -}}
{{- include "credential-sidecar.defaults" . -}}
{{- $definition := .Files.Get "files/container.yaml" | fromYaml -}}
{{- $_ := set (first $definition.volumes).configMap "name" (include "credential-sidecar.configMap" .) -}}
{{- $volumes := $definition.volumes -}}
{{- range $index, $file := .Values.secrets.files -}}
{{- $secret := dict "secretName" $file.secret -}}
{{- with $file.items }}{{ $_ := set $secret "items" . }}{{ end -}}
{{- $volumes = append $volumes (dict "name" (printf "sidecar-secret-%d" $index) "secret" $secret) -}}
{{- end -}}
{{- with include "credential-sidecar.awsToken" . | fromYaml -}}
{{- $token := dict "audience" .audience "expirationSeconds" 86400 "path" "token" -}}
{{- $projected := dict "sources" (list (dict "serviceAccountToken" $token)) -}}
{{- $volumes = append $volumes (dict "name" "sidecar-aws-token" "projected" $projected) -}}
{{- end -}}
{{- toYaml (concat $volumes .Values.volumes) -}}
{{- end -}}

{{- define "credential-sidecar.mounts" -}}
{{- $mounts := list -}}
{{- range $index, $file := .Values.secrets.files -}}
{{- $path := $file.mountPath | default (printf "/var/run/secrets/%s" $file.secret) -}}
{{- $mounts = append $mounts (dict "name" (printf "sidecar-secret-%d" $index) "mountPath" $path "readOnly" true) -}}
{{- end -}}
{{- with include "credential-sidecar.awsToken" . | fromYaml -}}
{{- $mounts = append $mounts (dict "name" "sidecar-aws-token" "mountPath" .directory "readOnly" true) -}}
{{- end -}}
{{- toYaml (concat $mounts .Values.volumeMounts) -}}
{{- end -}}

{{- define "credential-sidecar.env" -}}
{{- $env := list -}}
{{- with .Values.aws.region }}{{ $env = append $env (dict "name" "AWS_REGION" "value" .) }}{{ end -}}
{{- with include "credential-sidecar.awsToken" . | fromYaml -}}
{{- range $name, $value := .env }}{{ $env = append $env (dict "name" $name "value" $value) }}{{ end -}}
{{- end -}}
{{- if .Values.valkey.enabled -}}
{{- $name := printf "%s-valkey" (include "credential-sidecar.name" .) -}}
{{- $env = append $env (dict "name" "REDIS_URL" "value" (printf "redis://%s.%s.svc:6379/0" $name .Release.Namespace)) -}}
{{- $key := dict "secretKeyRef" (dict "name" $name "key" "fleet.key") -}}
{{- $env = append $env (dict "name" "SIDECAR_ENCRYPTION_KEY" "valueFrom" $key) -}}
{{- end -}}
{{- range .Values.secrets.env -}}
{{- $from := dict "secretKeyRef" (dict "name" .secret "key" .key) -}}
{{- $env = append $env (dict "name" .name "valueFrom" $from) -}}
{{- end -}}
{{- toYaml (concat $env .Values.env) -}}
{{- end -}}

{{- /* Of entries with the same name the last one, in the place of the first. */ -}}
{{- define "credential-sidecar.lastOfEachName" -}}
{{- $names := list -}}
{{- $last := dict -}}
{{- range . }}{{ $names = append $names .name }}{{ $_ := set $last .name . }}{{ end -}}
{{- $entries := list -}}
{{- range uniq $names }}{{ $entries = append $entries (get $last .) }}{{ end -}}
{{- toYaml $entries -}}
{{- end -}}

{{- /* The identity for AWS that only the sidecar has; empty without one. */ -}}
{{- define "credential-sidecar.awsToken" -}}
{{- if .Values.aws.roleArn -}}
audience: sts.amazonaws.com
directory: /var/run/secrets/sidecar-aws
env:
  AWS_ROLE_ARN: {{ .Values.aws.roleArn | quote }}
  AWS_WEB_IDENTITY_TOKEN_FILE: /var/run/secrets/sidecar-aws/token
{{- else if .Values.aws.podIdentity -}}
audience: pods.eks.amazonaws.com
directory: /var/run/secrets/sidecar-aws
env:
  AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE: /var/run/secrets/sidecar-aws/token
  AWS_CONTAINER_CREDENTIALS_FULL_URI: http://169.254.170.23/v1/credentials
{{- end -}}
{{- end -}}

{{- define "credential-sidecar.image" -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" .Values.image.repository .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" .Values.image.repository (.Values.image.tag | default .Chart.AppVersion) -}}
{{- end -}}
{{- end -}}
