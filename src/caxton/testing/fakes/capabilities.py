"""`api.services.CapabilityService` over a list."""

from __future__ import annotations

from typing import TYPE_CHECKING

from caxton.core.errors.receivers import CapabilityNotFound
from caxton.core.errors.workspaces import WorkspaceNotFound
from caxton.core.ids import DEFAULT_WORKSPACE
from caxton.core.suggest import nearest_few
from caxton.core.views.capabilities import CapabilityView, OfferView

if TYPE_CHECKING:
    from caxton.core.ids import WorkspaceName


class FakeCapabilities:
    """One capability of two agents, unless the test says otherwise."""

    def __init__(self) -> None:
        self.views = [capability("sorting", offer("a", 80), offer("b", 50, health="degraded", load=0.25, waiting=7))]

    def list(self, workspace: WorkspaceName) -> list[CapabilityView]:
        """All of them."""
        if workspace != DEFAULT_WORKSPACE:
            raise WorkspaceNotFound(workspace)
        return list(self.views)

    def get(self, workspace: WorkspaceName, name: str) -> CapabilityView:
        """The one of this name."""
        for view in self.list(workspace):
            if view.name == name:
                return view
        raise CapabilityNotFound(name, nearest_few(name, (view.name for view in self.views), 3))


def capability(name: str, *agents: OfferView) -> CapabilityView:
    """A capability that these offer."""
    return CapabilityView(name=name, agents=list(agents))


def offer(
    agent: str, priority: int, *, health: str = "healthy", load: float = 0.0, waiting: int = 0, registered: bool = False
) -> OfferView:
    """One agent's offer."""
    return OfferView(
        agent=agent, priority=priority, health=health, load=load, waiting=waiting, registered=registered, properties={}
    )
