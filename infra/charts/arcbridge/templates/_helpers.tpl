{{- define "arcbridge.labels" -}}
app.kubernetes.io/part-of: arcbridge
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
{{- end }}

{{- define "arcbridge.selector" -}}
app.kubernetes.io/name: {{ .name }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
{{- end }}

{{- define "arcbridge.image" -}}
{{- if .image.digest -}}
{{ .image.repository }}@{{ .image.digest }}
{{- else -}}
{{ .image.repository }}:{{ .image.tag | default .root.Chart.AppVersion }}
{{- end -}}
{{- end }}

{{- define "arcbridge.pod" -}}
automountServiceAccountToken: false
{{- with .Values.imagePullSecrets }}
imagePullSecrets: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .Values.nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
securityContext:
  runAsNonRoot: true
  runAsUser: 10001
  runAsGroup: 10001
  fsGroup: 10001
  seccompProfile: {type: RuntimeDefault}
{{- end }}

{{- define "arcbridge.spread" -}}
topologySpreadConstraints:
  - maxSkew: 1
    topologyKey: kubernetes.io/hostname
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels: {{- include "arcbridge.selector" . | nindent 8 }}
{{- end }}

{{- define "arcbridge.container" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: {{ .readOnly }}
capabilities: {drop: [ALL]}
{{- end }}

{{- define "arcbridge.secret" -}}
- name: {{ .variable }}
  valueFrom: {secretKeyRef: {name: {{ .root.Values.existingSecret }}, key: {{ .key }}}}
{{- end }}

{{- define "arcbridge.stores" -}}
{{ include "arcbridge.secret" (dict "root" . "variable" "ARCBRIDGE_POSTGRES_URL" "key" "postgresUrl") }}
{{ include "arcbridge.secret" (dict "root" . "variable" "ARCBRIDGE_REDIS_URL" "key" "redisUrl") }}
- {name: ARCBRIDGE_TRUST_DOMAIN, value: {{ .Values.trustDomain | quote }}}
- {name: ARCBRIDGE_CA_DIR, value: /ca}
- {name: ARCBRIDGE_CERTIFICATE_HOURS, value: {{ .Values.certificateHours | quote }}}
- {name: ARCBRIDGE_HEARTBEAT_SECONDS, value: {{ .Values.heartbeatSeconds | quote }}}
- {name: ARCBRIDGE_LOG_LEVEL, value: {{ .Values.logLevel | quote }}}
{{- end }}
