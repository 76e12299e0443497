{{/* What is published under a path: a dict from the path to the suffix of the Service and the name of its port. */}}
{{- define "headwind.paths" -}}
{{- if eq . "ui" }}
{{- list (dict "path" "/api/" "service" "" "port" "api") (dict "path" "/openapi.json" "service" "" "port" "api") (dict "path" "/" "service" "" "port" "ui") | toJson }}
{{- else }}
{{- list (dict "path" "/webhook/" "service" "-webhook" "port" "webhook") | toJson }}
{{- end }}
{{- end }}

{{/* The number of a Service's port. */}}
{{- define "headwind.servicePort" -}}
{{- $service := .root.Values.service }}
{{- if eq .port "ui" }}{{ $service.api.uiPort }}{{ else }}{{ (index $service .port).port }}{{ end }}
{{- end }}
