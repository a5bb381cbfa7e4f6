"""Calls about capabilities."""

from __future__ import annotations

from urllib.parse import quote

import msgspec

from caxton.client.transport import Transport
from caxton.core.views.capabilities import CapabilityView


class _Capabilities(msgspec.Struct):
    capabilities: list[CapabilityView]
    total: int


class CapabilityCalls(Transport):
    """What agents offer."""

    def capabilities(self, *, limit: int | None = None, offset: int | None = None) -> list[CapabilityView]:
        """What is offered, by name, and by whom."""
        return self._get("/api/v1/capabilities", _Capabilities, {"limit": limit, "offset": offset}).capabilities

    def capability(self, name: str) -> CapabilityView:
        """One capability and those who offer it."""
        return self._get(f"/api/v1/capabilities/{quote(name, safe='')}", CapabilityView)
