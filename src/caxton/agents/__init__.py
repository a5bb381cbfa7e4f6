"""Agents: what they are, how they live, who restarts them, what they log; and the services that the doors call."""
