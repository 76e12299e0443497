{{- define "headwind.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{/* The longest suffix, -metrics, still fits into 63 characters. */}}
{{- define "headwind.fullname" -}}
{{- $name := default .Chart.Name .Values.nameOverride }}
{{- $full := ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name) }}
{{- default $full .Values.fullnameOverride | trunc 54 | trimSuffix "-" }}
{{- end }}

{{- define "headwind.selectorLabels" -}}
app.kubernetes.io/name: {{ include "headwind.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "headwind.labels" -}}
{{ include "headwind.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
{{- if not .Values.flatManifests }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{- end }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* Labels and annotations of an object: a dict with `root`, and optionally `labels` and `annotations`. */}}
{{- define "headwind.meta" -}}
labels:
  {{- include "headwind.labels" .root | nindent 2 }}
  {{- with .labels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- with merge (dict) (.annotations | default dict) .root.Values.commonAnnotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- define "headwind.serviceAccountName" -}}
{{- if .Values.serviceAccount.create }}
{{- default (include "headwind.fullname" .) .Values.serviceAccount.name }}
{{- else }}
{{- required "serviceAccount.name is required if serviceAccount.create is false" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{- define "headwind.image" -}}
{{- if .Values.image.digest }}
{{- printf "%s@%s" .Values.image.repository .Values.image.digest }}
{{- else }}
{{- printf "%s:%s" .Values.image.repository (default .Chart.AppVersion .Values.image.tag) }}
{{- end }}
{{- end }}

{{- define "headwind.tlsSecret" -}}
{{- if .Values.tls.certManager.enabled }}
{{- printf "%s-tls" (include "headwind.fullname" .) }}
{{- else }}
{{- required "tls.existingSecret or tls.certManager.enabled is required if tls.enabled is true" .Values.tls.existingSecret }}
{{- end }}
{{- end }}

{{/* The Services' DNS names, as a JSON list. */}}
{{- define "headwind.serviceNames" -}}
{{- $root := . }}
{{- $full := include "headwind.fullname" . }}
{{- $names := list }}
{{- range list "" "-webhook" "-metrics" }}
{{- $service := print $full . }}
{{- range list "" (print "." $root.Release.Namespace) (print "." $root.Release.Namespace ".svc") (print "." $root.Release.Namespace ".svc.cluster.local") }}
{{- $names = append $names (print $service .) }}
{{- end }}
{{- end }}
{{- toJson $names }}
{{- end }}

{{/* The public host of the UI or of the webhooks: a dict with `root` and `of`. */}}
{{- define "headwind.publicHosts" -}}
{{- $ingress := index .root.Values.ingress .of }}
{{- $route := index .root.Values.httpRoute .of }}
{{- $hosts := list }}
{{- if $ingress.enabled }}
{{- $hosts = append $hosts $ingress.host }}
{{- end }}
{{- if $route.enabled }}
{{- $hosts = concat $hosts $route.hostnames }}
{{- end }}
{{- toJson $hosts }}
{{- end }}

{{/*
The settings that are no secrets, as a JSON object: `settings`, and what follows from other values. Headwind knows the names
of the Services if the full name is `headwind`; else the chart adds them to the allowed hosts. It knows hosts by their whole
name, so a hostname with a wildcard is none of them.
*/}}
{{- define "headwind.settings" -}}
{{- $address := .Values.listenAddress }}
{{- $public := list }}
{{- range include "headwind.publicHosts" (dict "root" . "of" "ui") | fromJsonArray }}
{{- if not (contains "*" .) }}
{{- $public = append $public . }}
{{- end }}
{{- end }}
{{- $out := dict "HEADWIND_UI_AUTH_MODE" .Values.auth.mode }}
{{- range $port, $number := .Values.ports }}
{{- $_ := set $out (printf "HEADWIND_%s_ADDR" (upper $port)) (printf "%s:%d" $address (int $number)) }}
{{- end }}
{{- if .Values.watchNamespaces }}
{{- $_ := set $out "HEADWIND_WATCH_NAMESPACES" (join "," .Values.watchNamespaces) }}
{{- end }}
{{- if or .Values.registries.config .Values.registries.existingSecret }}
{{- $_ := set $out "HEADWIND_REGISTRY_CONFIG" "/etc/headwind/registries/config.yaml" }}
{{- end }}
{{- if .Values.tls.enabled }}
{{- $_ := set $out "HEADWIND_TLS_CERT_FILE" "/etc/headwind/tls/tls.crt" }}
{{- $_ := set $out "HEADWIND_TLS_KEY_FILE" "/etc/headwind/tls/tls.key" }}
{{- end }}
{{- if $public }}
{{- $secure := or .Values.httpRoute.ui.enabled .Values.ingress.ui.tlsSecret .Values.tls.enabled }}
{{- $url := printf "%s://%s" (ternary "https" "http" (not (empty $secure))) (first $public) }}
{{- $_ := set $out "HEADWIND_UI_URL" $url }}
{{- $_ := set $out "HEADWIND_API_URL" $url }}
{{- end }}
{{- range $name, $value := .Values.settings }}
{{- if kindIs "slice" $value }}
{{- $_ := set $out $name (join "," $value) }}
{{- else if kindIs "float64" $value }}
{{- $_ := set $out $name (int64 $value | toString) }}
{{- else if not (kindIs "invalid" $value) }}
{{- $_ := set $out $name (toString $value) }}
{{- end }}
{{- end }}
{{- if eq .Values.auth.mode "proxy" }}
{{- $_ := required "settings.HEADWIND_UI_PROXY_CIDRS is required if auth.mode is proxy" (get $out "HEADWIND_UI_PROXY_CIDRS") }}
{{- end }}
{{- $hosts := list }}
{{- with get $out "HEADWIND_ALLOWED_HOSTS" }}
{{- $hosts = splitList "," . }}
{{- end }}
{{- if gt (len $public) 1 }}
{{- $hosts = concat $hosts (rest $public) }}
{{- end }}
{{- if ne (include "headwind.fullname" .) "headwind" }}
{{- $hosts = concat $hosts (include "headwind.serviceNames" . | fromJsonArray) }}
{{- end }}
{{- if $hosts }}
{{- $_ := set $out "HEADWIND_ALLOWED_HOSTS" (join "," $hosts) }}
{{- end }}
{{- toJson $out }}
{{- end }}
