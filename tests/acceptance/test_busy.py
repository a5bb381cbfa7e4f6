"""A server whose bus never rests still answers at its doors."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import msgspec
import pytest

from caxton.core.views.agents import AgentSpec, Resources
from caxton.messages.message import AclMessage
from caxton.testing.guests import example
from tests.acceptance.test_stop import served

if TYPE_CHECKING:
    from pathlib import Path

GUESTS = 4
REQUESTS = 300
"""A request takes several turns of the event loop: with slices of a tenth of a second these would take minutes."""


@pytest.mark.timeout(40)
def test_saturated_bus_does_not_shut_the_doors(tmp_path: Path) -> None:
    with served(tmp_path) as (_, client):
        for n in range(GUESTS):
            client.deploy(AgentSpec(name=f"ring-{n}", resources=Resources(messages_per_s=10_000_000)), example("ring"))
        for n in range(20):
            content = msgspec.Raw(json.dumps({"hops": 1_000_000_000, "ring": GUESTS}).encode())
            client.send(AclMessage(performative="inform", receiver=f"ring-{n % GUESTS}", content=content))
        handled = client.health().messages_handled
        for _ in range(REQUESTS):
            client.agents()
        assert client.health().messages_handled > handled + 1000  # it was busy all the time
