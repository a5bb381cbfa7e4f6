"""What is offered by whom."""

from __future__ import annotations

from typing import Any

import msgspec


class OfferView(msgspec.Struct, kw_only=True):
    """One agent's offer of a capability, as it is now."""

    agent: str
    priority: int
    """0 to 1000."""
    health: str
    """`healthy`, `degraded` or `unhealthy`."""
    load: float
    """How full its mailbox is: 0 to 1."""
    waiting: int
    """Messages that it has not settled."""
    registered: bool
    """With the directory facilitator; else it was deployed with it."""
    properties: dict[str, Any]
    """As registered."""


class CapabilityView(msgspec.Struct, kw_only=True):
    """A capability and those who offer it."""

    name: str
    agents: list[OfferView]
    """By name."""
