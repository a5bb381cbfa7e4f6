"""All interaction protocols that the bus knows, by name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from caxton.protocols.request import REQUEST

if TYPE_CHECKING:
    from caxton.protocols.machine import Protocol

PROTOCOLS: dict[str, Protocol] = {protocol.name: protocol for protocol in (REQUEST,)}
"""Name, as in the message parameter `protocol`, → rules."""
