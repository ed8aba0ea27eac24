{{- define "stateward.selector" -}}
app.kubernetes.io/name: stateward
app.kubernetes.io/component: door
{{- end }}
{{- define "stateward.operatorSelector" -}}
app.kubernetes.io/name: stateward
app.kubernetes.io/component: operator
{{- end }}
{{- define "stateward.labels" -}}
app.kubernetes.io/name: stateward
app.kubernetes.io/part-of: stateward
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end }}
{{- define "stateward.tlsSecret" -}}
{{- if eq .Values.certificates.source "mounted" }}{{ .Values.certificates.secretName }}{{ else }}stateward-tls{{ end }}
{{- end }}
