"""Exports traces, metrics and logs by OTLP. The only importer of OpenTelemetry, and only once an endpoint is set.

`telemetry.room` is what the server builds; it hears of the flight recorder's records, of requests that named a trace
and of log lines, and everything else happens on threads of its own.
"""
