{{- /*
The beginning of all names: the release's, unless the values say otherwise. Services' names begin with a letter, have no
dot and 63 characters at most, of which the longest ending of ours takes ten.
*/ -}}
{{- define "tidegate.fullname" -}}
{{- $name := .Values.fullnameOverride | default .Release.Name }}
{{- if and .Values.nameOverride (not .Values.fullnameOverride) }}
{{- $name = printf "%s-%s" .Release.Name .Values.nameOverride }}
{{- end }}
{{- $name = $name | replace "." "-" }}
{{- if not (regexMatch "^[a-z]" $name) }}
{{- $name = printf "tidegate-%s" $name }}
{{- end }}
{{- $name | trunc 53 | trimSuffix "-" }}
{{- end }}

{{- /* `name` is tidegate whatever the release is called: the commands of `tidegate` find their operator by it. */ -}}
{{- define "tidegate.labels" -}}
app.kubernetes.io/name: tidegate
app.kubernetes.io/instance: {{ .Release.Name | quote }}
app.kubernetes.io/version: {{ .Chart.AppVersion | replace "+" "_" | trunc 63 | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | quote }}
{{- end }}

{{- /* Labels of a pod: the values' own, and ours over them. */ -}}
{{- define "tidegate.podLabels" -}}
{{- $given := omit .Values.podLabels "app.kubernetes.io/name" "app.kubernetes.io/instance" "app.kubernetes.io/component" }}
{{- merge (include "tidegate.labels" . | fromYaml) $given | toYaml }}
{{- end }}

{{- define "tidegate.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end }}

{{- define "tidegate.serverImage" -}}
{{ .Values.server.image.repository }}:{{ .Values.server.image.tag | default .Chart.AppVersion }}
{{- end }}

{{- /* "true" where the platform gives pods their user and groups. */ -}}
{{- define "tidegate.openshift" -}}
{{- if kindIs "invalid" .Values.openshift.enabled }}
{{- .Capabilities.APIVersions.Has "security.openshift.io/v1" }}
{{- else }}
{{- .Values.openshift.enabled }}
{{- end }}
{{- end }}

{{- define "tidegate.podSecurity" -}}
runAsNonRoot: true
{{- if ne (include "tidegate.openshift" .) "true" }}
runAsUser: 10002
runAsGroup: 10002
fsGroup: 10002
{{- end }}
seccompProfile: {type: RuntimeDefault}
{{- end }}

{{- define "tidegate.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end }}

{{- /*
How many pods a Deployment asks for: (list . VALUES NAME). Where something else decides, nothing; but what Helm has set before
and then leaves out becomes 1, as the API server has it by default. So the number that is there is said again: by Helm 3, which
compares with what it said last, always; by Helm 4, which applies by the server, for as long as the field is Helm's own.
*/ -}}
{{- define "tidegate.replicas" -}}
{{- $root := index . 0 }}
{{- $values := index . 1 }}
{{- if not (or (kindIs "invalid" $values.replicas) (dig "autoscaling" "enabled" false $values)) }}
{{- $values.replicas }}
{{- else }}
{{- with lookup "apps/v1" "Deployment" $root.Release.Namespace (index . 2) }}
{{- $applied := dict }}
{{- range .metadata.managedFields }}
{{- if and (eq .manager "helm") (eq .operation "Apply") (not .subresource) }}
{{- $applied = .fieldsV1 }}
{{- end }}
{{- end }}
{{- if or (hasPrefix "v3." $root.Capabilities.HelmVersion.Version) (not $applied) (hasKey (get $applied "f:spec") "f:replicas") }}
{{- .spec.replicas }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}

{{- /* Of a PodDisruptionBudget: one of the two numbers, whichever was asked for last. */ -}}
{{- define "tidegate.disruptionBudget" -}}
{{- if not (kindIs "invalid" .minAvailable) }}
minAvailable: {{ .minAvailable }}
{{- else }}
maxUnavailable: {{ .maxUnavailable }}
{{- end }}
# A pod that isn't ready serves nobody, and keeps no node from being drained.
unhealthyPodEvictionPolicy: AlwaysAllow
{{- end }}

{{- /* Where the pods of a component run, by its values. */ -}}
{{- define "tidegate.placement" -}}
{{- $values := . }}
{{- with $values.priorityClassName }}
priorityClassName: {{ . | quote }}
{{- end }}
{{- with $values.nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.affinity }}
affinity: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- /* Prometheus, in the variables of whoever asks it. */ -}}
{{- define "tidegate.prometheus" -}}
- {name: TIDEGATE_PROMETHEUS_URL, value: {{ .Values.prometheus.url | quote }}}
- {name: TIDEGATE_SCRAPE_INTERVAL_SECONDS, value: {{ .Values.prometheus.scrapeIntervalSeconds | quote }}}
{{- if .Values.prometheus.secret }}
- {name: TIDEGATE_PROMETHEUS_SECRET, value: /etc/tidegate/prometheus}
{{- end }}
{{- include "tidegate.prometheusQueries" . }}
{{- end }}

{{- /* What is added to each query. */ -}}
{{- define "tidegate.prometheusQueries" -}}
{{- with .Values.prometheus.matchers }}
- {name: TIDEGATE_PROMETHEUS_MATCHERS, value: {{ . | quote }}}
{{- end }}
{{- with .Values.prometheus.headers }}
- {name: TIDEGATE_PROMETHEUS_HEADERS, value: {{ toJson . | quote }}}
{{- end }}
{{- with .Values.prometheus.queryParameters }}
- {name: TIDEGATE_PROMETHEUS_PARAMETERS, value: {{ toJson . | quote }}}
{{- end }}
{{- end }}
