"""MCP servers as sources of tools: started when needed, spoken with, kept within bounds, ended.

Only `session`, `pipes` and `posts` know the SDK; they are imported by the first server that is started, because the SDK
takes a second and 55 MB to load.
"""
