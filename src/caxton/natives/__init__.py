"""The agents that every node has itself: directory facilitator, agent management, tasks."""
