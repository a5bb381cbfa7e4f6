"""Caxton: a multi-agent orchestration server."""
