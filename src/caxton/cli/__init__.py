"""The `caxton` command: nouns and verbs for people and scripts.

Speaks to a server only through `caxton.client`; `serve` alone imports the server. Modules that cost time to
import (httpx, rich, yaml, the server) are imported inside the function that needs them: `caxton version` must
feel instant.
"""
