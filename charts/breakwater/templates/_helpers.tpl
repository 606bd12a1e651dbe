{{- define "breakwater.name" -}}
{{- if contains .Chart.Name .Release.Name }}{{ .Release.Name | trunc 40 | trimSuffix "-" }}{{ else }}{{ printf "%s-%s" .Release.Name .Chart.Name | trunc 40 | trimSuffix "-" }}{{ end }}
{{- end }}

{{- define "breakwater.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "breakwater.labels" -}}
{{ include "breakwater.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}

{{/* The user that the controller is to the API server. */}}
{{- define "breakwater.user" -}}
system:serviceaccount:{{ .Release.Namespace }}:{{ include "breakwater.name" . }}
{{- end }}

{{/* Rights on one kind of tenant. */}}
{{- define "breakwater.tenantRule" -}}
- apiGroups: [{{ .apiGroup | quote }}]
  resources: [{{ .resource | quote }}]
  verbs: [get, list, watch, patch]
{{- end }}

{{/* Fields of one kind that may hold a version, as a JSON list: what the value says, else what is known of the kind. */}}
{{- define "breakwater.paths" -}}
{{- $images := list "spec.template.spec.containers[name=*].image" "spec.template.spec.initContainers[name=*].image" -}}
{{- $known := dict
  "apps/Deployment" $images
  "apps/StatefulSet" $images
  "apps/DaemonSet" $images
  "argoproj.io/Rollout" $images
  "installation.mattermost.com/Mattermost" (list "spec.version" "spec.image")
  "helm.toolkit.fluxcd.io/HelmRelease" (list "spec.chart.spec.version" "spec.values.image.tag")
  "source.toolkit.fluxcd.io/OCIRepository" (list "spec.ref.tag" "spec.ref.semver")
  "source.toolkit.fluxcd.io/GitRepository" (list "spec.ref.tag" "spec.ref.semver")
  "argoproj.io/Application" (list "spec.source.targetRevision" "spec.source.helm.parameters[name=*].value")
-}}
{{- $kind := printf "%s/%s" .apiGroup .kind -}}
{{- if .paths -}}
{{- .paths | toJson -}}
{{- else if hasKey $known $kind -}}
{{- get $known $kind | toJson -}}
{{- else -}}
{{- fail (printf "fleets: nothing is known of %s, so paths must name the fields that may hold its version, such as [spec.version]; [\"*\"] is any" $kind) -}}
{{- end -}}
{{- end }}
