"""What an agent's instance was given and what it did: on disk, and again in a fresh sandbox.

`agents/` records, `services/` hands out, `cli/` replays; nothing in here knows a node that lives.
"""
