{{- define "toolbox.name" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 50 | trimSuffix "-" -}}
{{- else if contains .Chart.Name .Release.Name -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name .Chart.Name | trunc 50 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* Labels by which objects of one component are found: (list $ component) */}}
{{- define "toolbox.selector" -}}
app.kubernetes.io/name: toolbox
app.kubernetes.io/instance: {{ (index . 0).Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end -}}

{{/* All labels of one component: (list $ component) */}}
{{- define "toolbox.labels" -}}
{{ include "toolbox.selector" . }}
app.kubernetes.io/version: {{ (index . 0).Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ (index . 0).Release.Service }}
helm.sh/chart: {{ printf "%s-%s" (index . 0).Chart.Name (index . 0).Chart.Version }}
{{- end -}}

{{- define "toolbox.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "toolbox.name" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- define "toolbox.secret" -}}
{{- if .Values.secrets.external.enabled -}}
{{- default (include "toolbox.name" .) .Values.secrets.existing -}}
{{- else -}}
{{- required "secrets.existing must name a Secret with DATABASE_URL, SECRET_KEY and API_KEY, or secrets.external.enabled be true; `.dev/secrets --kubernetes NAME` makes one for development" .Values.secrets.existing -}}
{{- end -}}
{{- end -}}

{{/* The image: (list $ tag) */}}
{{- define "toolbox.image" -}}
{{- $root := index . 0 -}}
{{- printf "%s:%s" $root.Values.image.repository (index . 1 | default $root.Values.image.tag | default $root.Chart.AppVersion) -}}
{{- end -}}

{{/* Settings that are not secret */}}
{{- define "toolbox.config" -}}
{{- $config := dict "HOST" "0.0.0.0" "PORT" "8000" "LOG_FORMAT" "json" -}}
{{- $_ := set $config "WORKERS" (toString .Values.server.workers) -}}
{{- if and .Values.ingress.enabled .Values.ingress.host -}}
{{- $_ := set $config "PUBLIC_URL" (printf "%s://%s" (ternary "https" "http" .Values.ingress.tls.enabled) .Values.ingress.host) -}}
{{- end -}}
{{- if .Values.valkey.enabled -}}
{{- $_ := set $config "REDIS_URL" (printf "redis://%s-valkey:6379/0" (include "toolbox.name" .)) -}}
{{- end -}}
{{- if .Values.tls.existingSecret -}}
{{- $_ := set $config "SSL_CERT_PATH" "/etc/toolbox/tls/tls.crt" -}}
{{- $_ := set $config "SSL_KEY_PATH" "/etc/toolbox/tls/tls.key" -}}
{{- end -}}
{{- range $name, $value := .Values.config -}}
{{- $_ := set $config $name (toString $value) -}}
{{- end -}}
{{- toYaml $config -}}
{{- end -}}

{{/* The environment of everything that runs ToolBox. A Job before the install cannot use the ConfigMap: (list $ inline) */}}
{{- define "toolbox.environment" -}}
{{- $root := index . 0 -}}
envFrom:
{{- if not (index . 1) }}
  - configMapRef:
      name: {{ include "toolbox.name" $root }}
{{- end }}
  - secretRef:
      name: {{ include "toolbox.secret" $root }}
env:
{{- if index . 1 }}
{{- range $name, $value := fromYaml (include "toolbox.config" $root) }}
  - name: {{ $name }}
    value: {{ $value | quote }}
{{- end }}
{{- end }}
{{- if $root.Values.postgresql.enabled }}
  - name: POSTGRES_PASSWORD
    valueFrom:
      secretKeyRef:
        name: {{ include "toolbox.secret" $root }}
        key: POSTGRES_PASSWORD
  - name: DATABASE_URL
    value: postgresql://toolbox:$(POSTGRES_PASSWORD)@{{ include "toolbox.name" $root }}-postgresql:5432/toolbox
{{- end }}
  - name: HOME
    value: /tmp
{{- end -}}

{{/* What every container may do */}}
{{- define "toolbox.containerSecurity" -}}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities:
    drop: [ALL]
{{- end -}}

{{/* What every pod is: (list user) */}}
{{- define "toolbox.podSecurity" -}}
automountServiceAccountToken: false
enableServiceLinks: false
securityContext:
  runAsNonRoot: true
  runAsUser: {{ . }}
  runAsGroup: {{ . }}
  fsGroup: {{ . }}
  fsGroupChangePolicy: OnRootMismatch
  seccompProfile:
    type: RuntimeDefault
{{- end -}}

{{- define "toolbox.pullSecrets" -}}
{{- with .Values.image.pullSecrets }}
imagePullSecrets:
{{- range . }}
  - name: {{ . }}
{{- end }}
{{- end }}
{{- end -}}

{{/* Whether migrations run in the pods, because what they need is not there before the release is */}}
{{- define "toolbox.migratesInPods" -}}
{{- if and .Values.migrations.enabled (or .Values.postgresql.enabled .Values.secrets.external.enabled) }}true{{ end -}}
{{- end -}}

{{/* Waits for the database, and brings its schema up to date: (list $ tag) */}}
{{- define "toolbox.migrationsContainer" -}}
{{- $root := index . 0 -}}
- name: migrations
  image: {{ include "toolbox.image" . }}
  imagePullPolicy: {{ $root.Values.image.pullPolicy }}
  command: [sh, -c]
  args:
    - |
      for attempt in $(seq 60); do
        toolbox db upgrade && exit 0
        sleep 5
      done
      exit 1
  {{- include "toolbox.environment" (list $root false) | nindent 2 }}
  {{- include "toolbox.containerSecurity" $root | nindent 2 }}
  resources: {{- toYaml $root.Values.worker.resources | nindent 4 }}
  volumeMounts:
    - name: tmp
      mountPath: /tmp
{{- end -}}

{{/* The versions that are served: a list of {suffix, track, tag, replicas}, as JSON */}}
{{- define "toolbox.tracks" -}}
{{- $tracks := list -}}
{{- if .Values.blueGreen.enabled -}}
{{- range $color := list "blue" "green" -}}
{{- $tag := (index $.Values.blueGreen $color).tag -}}
{{- if $tag -}}
{{- $tracks = append $tracks (dict "suffix" (printf "-%s" $color) "track" $color "tag" $tag "replicas" $.Values.server.replicas) -}}
{{- end -}}
{{- end -}}
{{- if not (index $.Values.blueGreen $.Values.blueGreen.active).tag -}}
{{- fail (printf "blueGreen.%s.tag must name the image of the active version" $.Values.blueGreen.active) -}}
{{- end -}}
{{- else -}}
{{- $tracks = append $tracks (dict "suffix" "" "track" "stable" "tag" "" "replicas" .Values.server.replicas) -}}
{{- if .Values.canary.enabled -}}
{{- $tag := required "canary.tag must name the image of the new version" .Values.canary.tag -}}
{{- $tracks = append $tracks (dict "suffix" "-canary" "track" "canary" "tag" $tag "replicas" .Values.canary.replicas) -}}
{{- end -}}
{{- end -}}
{{- toJson $tracks -}}
{{- end -}}
