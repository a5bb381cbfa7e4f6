"""What is offered by whom, for those who look from outside."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from caxton.bus.capabilities import health_word, load
from caxton.core.errors.receivers import CapabilityNotFound
from caxton.core.errors.workspaces import WorkspaceNotFound
from caxton.core.ids import DEFAULT_WORKSPACE, WorkspaceName
from caxton.core.views.capabilities import CapabilityView, OfferView

if TYPE_CHECKING:
    from collections.abc import Callable

    from caxton.bus.bus import Bus
    from caxton.bus.capabilities import Capabilities
    from caxton.bus.mailbox import Receiver


class CapabilityService:
    """`properties` tells what an agent registered about a capability."""

    def __init__(self, bus: Bus, properties: Callable[[str, str], dict[str, Any]]) -> None:
        self._bus, self._properties = bus, properties

    def list(self, workspace: WorkspaceName) -> list[CapabilityView]:
        """All that are offered, by name."""
        index = self._index(workspace)
        return [self._view(index, name) for name in index.names()]

    def get(self, workspace: WorkspaceName, name: str) -> CapabilityView:
        """One of them. Raises `CapabilityNotFound`."""
        index = self._index(workspace)
        if not index.offering(name):
            raise CapabilityNotFound(name, index.nearest(name))
        return self._view(index, name)

    def _index(self, workspace: WorkspaceName) -> Capabilities:
        if workspace != DEFAULT_WORKSPACE:
            raise WorkspaceNotFound(workspace)
        return self._bus.names.directory(workspace).capabilities

    def _view(self, index: Capabilities, name: str) -> CapabilityView:
        return CapabilityView(name=name, agents=[self._offer(receiver, name) for receiver in index.offering(name)])

    def _offer(self, receiver: Receiver, name: str) -> OfferView:
        return OfferView(
            agent=receiver.name, priority=receiver.offers[name], health=health_word(receiver),
            load=round(load(receiver), 4), waiting=receiver.messages, registered=name in receiver.registered,
            properties=self._properties(receiver.name, name),
        )  # fmt: skip
