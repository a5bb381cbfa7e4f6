"""What one asks of a node, call by call: messages, dead letters, conversations, traffic, settings."""
