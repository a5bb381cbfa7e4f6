"""What the outside sees of the inside: logs and metrics. The only importer of structlog."""
