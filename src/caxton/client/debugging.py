"""Calls that look into one agent, profile it, or gather what a bug report needs."""

from __future__ import annotations

from caxton.client.transport import Timeout, Transport, agent_path
from caxton.core.views.debugging import AgentDebug, BundleView, KvDebug, MailboxDebug, MemoryDebug, StackDebug

_MORE_S = 30.0
"""What a profile may take beside its time, and a bundle altogether beside an ordinary answer."""


class DebugCalls(Transport):
    """What can be seen of an agent from inside."""

    def figures(self, name: str, *, window: str | None = None) -> AgentDebug:
        """What an agent uses, and did in the last `window` (like `60s`)."""
        return self._get(f"{agent_path(name)}/debug", AgentDebug, {"window": window})

    def mailbox(self, name: str, *, limit: int | None = None) -> MailboxDebug:
        """What waits for it, and what it has in hand."""
        return self._get(f"{agent_path(name)}/debug/mailbox", MailboxDebug, {"limit": limit})

    def state(self, name: str, *, prefix: str | None = None, limit: int | None = None) -> KvDebug:
        """Its keys and values; `prefix` is text, or `hex:` and hexadecimal digits."""
        return self._get(f"{agent_path(name)}/debug/kv", KvDebug, {"prefix": prefix, "limit": limit})

    def stack(self, name: str) -> StackDebug:
        """Where each of its replicas is."""
        return self._get(f"{agent_path(name)}/debug/stack", StackDebug)

    def memory(
        self, name: str, *, offset: int | None = None, length: int | None = None, replica: int | None = None
    ) -> MemoryDebug:
        """Bytes of the memory of one replica. Refused with OUTSIDE_MEMORY when they are not there."""
        query = {"offset": offset, "length": length, "replica": replica}
        return self._get(f"{agent_path(name)}/debug/memory", MemoryDebug, query)

    def profile(self, name: str, *, duration_s: float = 30.0) -> bytes:
        """Sample it for so long: JSON that the Firefox profiler opens."""
        timeout = Timeout(duration_s + _MORE_S)
        query = {"duration": f"{duration_s:g}s"}
        return self._request("POST", f"{agent_path(name)}/profile", query=query, timeout=timeout).content

    def bundle(self) -> BundleView:
        """The server's part of an archive for a bug report."""
        response = self._request("GET", "/api/v1/debug/bundle", timeout=Timeout(_MORE_S))
        return self._decode(response, BundleView)
