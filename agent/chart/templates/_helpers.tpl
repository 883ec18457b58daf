{{- define "arcbridge.labels" -}}
app.kubernetes.io/part-of: arcbridge
{{- end }}

{{- define "arcbridge.selector" -}}
app.kubernetes.io/name: arcbridge-agent
{{- end }}

{{- define "arcbridge.secret" -}}
{{ .Values.existingSecret | default "arcbridge-bootstrap" }}
{{- end }}

{{- define "arcbridge.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end -}}
{{- end }}

{{- define "arcbridge.subject" -}}
kind: ServiceAccount
name: {{ .name }}
namespace: {{ .root.Release.Namespace }}
{{- end }}
