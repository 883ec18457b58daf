"""Logs, traces and metrics, the same way in every part.

Three modules, each imported for itself: `logs` (JSON lines, a constant event plus fields),
`tracing` (OpenTelemetry, W3C Trace Context) and `metrics` (Prometheus). This package imports
nothing: a Function's cold start pays only for what it uses, and exporters are loaded when they are
configured.
"""
