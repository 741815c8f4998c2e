"""What happens, for other tools: log lines, Prometheus, OpenTelemetry, health over HTTP.

Each module is imported by who uses it; nothing here is loaded otherwise.
"""
