"""Public helpers for tests: small services in memory. Nothing else in Caxton imports it."""
